/** What the benchmarks take for right without the engine: arithmetic on row numbers, held against DuckDB. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { digestOf, disorderOf } from '../../bench/published.js';
import { operators } from '../../bench/spill-operators.js';
import { groupRows, inverse, rowBytes, rowsFor, rowsSql, step } from '../../bench/wide-rows.js';

const rows = 4096;
let instance: DuckDBInstance;
let connection: DuckDBConnection;
beforeAll(async () => {
  instance = await DuckDBInstance.create(':memory:', { threads: '1' });
  connection = await instance.connect();
  await connection.run(`create table wide as ${rowsSql(rows)}`);
});
afterAll(() => {
  connection.closeSync();
  instance.closeSync();
});

describe('the rows', () => {
  test('are as many as come to the bytes asked for, in whole groups, and never a multiple of the step', () => {
    expect(rowsFor(10e9) * rowBytes).toBeCloseTo(10e9, -3);
    expect(rowsFor(10e9) % groupRows).toBe(0);
    expect(rowsFor(1)).toBe(groupRows);
    expect(rowsFor(step * groupRows * rowBytes)).toBe((step + 1) * groupRows);
  });

  test('have each key once, and a text of the length that their size stands for', async () => {
    const result = await connection.runAndReadAll(
      `select count(distinct k)::int, min(k)::int, max(k)::int, min(length(p))::int, max(length(p))::int from wide`,
    );
    expect(result.getRows()).toEqual([[rows, 0, rows - 1, rowBytes - 32, rowBytes - 32]]);
  });

  test('are found by their keys: the permutation has an inverse', () => {
    for (const m of [4, 9, 4096, rowsFor(10e9)]) {
      expect(Number((BigInt(step) * BigInt(inverse(step, m))) % BigInt(m))).toBe(1);
    }
    expect(() => inverse(6, 4)).toThrow('common divisor 2');
  });
});

describe.each(Object.entries(operators))('what %s is expected to give', (_, operator) => {
  const { sql, expected, columns } = operator(rows);

  test('is what DuckDB gives', async () => {
    const found = await digestOf(connection, columns, sql);
    expect(found).toBe(await digestOf(connection, columns, expected));
    expect(found).not.toMatch(/^0 /);
  });

  test('is not what it gives for one other row', async () => {
    const other = `select * replace (case when i = 2 then '!' else p end as p) from wide`;
    const found = await digestOf(
      connection,
      columns,
      sql.replaceAll('from wide', `from (${other})`),
    );
    expect(found).not.toBe(await digestOf(connection, columns, expected));
  });
});

test('files out of order are told, within a file and from one to the next', async () => {
  const place = mkdtempSync(path.join(tmpdir(), 'windrow-bench-'));
  const file = async (name: string, values: readonly number[]): Promise<string> => {
    const made = path.join(place, `${name}.parquet`);
    const list = `unnest([${values.join(', ')}]::bigint[])`;
    await connection.run(`copy (select ${list} as k) to '${made}' (format parquet)`);
    return made;
  };
  try {
    const [low, high, wrong, none] = [
      await file('low', [1, 2, 2]),
      await file('high', [2, 7]),
      await file('wrong', [3, 5, 4]),
      await file('none', []),
    ];
    expect(await disorderOf(connection, [low, none, high], 'k')).toBeUndefined();
    expect(await disorderOf(connection, [high, none, low], 'k')).toBe('low.parquet begins too low');
    expect(await disorderOf(connection, [low, wrong], 'k')).toContain('1 rows of wrong.parquet');
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
});
