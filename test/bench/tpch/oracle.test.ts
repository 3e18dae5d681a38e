import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { answerOf, differenceOf, hashOf, type Answer } from '../../../bench/tpch/answer.js';
import { generateTpch } from '../../../bench/tpch/generate.js';
import {
  checkAnswers,
  createViews,
  runOracle,
  type OracleRun,
} from '../../../bench/tpch/oracle.js';
import { queryName, queryNumbers, queryText } from '../../../bench/tpch/queries.js';

const scale = 0.01;
const folder = mkdtempSync(path.join(tmpdir(), 'windrow-oracle-'));
const others = path.join(folder, 'answers');
let connection: DuckDBConnection;
let runs: OracleRun[];

beforeAll(async () => {
  await generateTpch({ scale, folder });
  runs = await runOracle({ folder, scale, threads: 2, rounds: 1 });
  connection = await (await DuckDBInstance.create()).connect();
  await createViews(connection, folder);
  mkdirSync(others);
});
afterAll(() => {
  connection.closeSync();
  rmSync(folder, { recursive: true, force: true });
});

async function answer(query: string): Promise<Answer> {
  return answerOf(await connection.runAndReadAll(query));
}

describe('queries', () => {
  test('all 22 answer with rows, even at the smallest scale', () => {
    expect(runs.map(({ query }) => query)).toEqual(queryNumbers);
    expect(runs.filter((run) => run.answer.length === 0).map(({ query }) => query)).toEqual([]);
  });

  test('their answers are those of every machine', () => {
    const rows = (query: number): Answer => runs.find((run) => run.query === query)?.answer ?? [];
    expect(rows(6)).toEqual([['1166971.1813']]);
    expect(rows(4)).toEqual([
      ['1-URGENT', '103'],
      ['2-HIGH', '97'],
      ['3-MEDIUM', '102'],
      ['4-NOT SPECIFIED', '128'],
      ['5-LOW', '101'],
    ]);
  });

  test('the fraction of query 11 shrinks as the scale grows', () => {
    expect(queryText(11, 1)).toContain('* 0.0001\n');
    expect(queryText(11, 10)).toContain('* 0.00001\n');
    expect(queryText(11, 0.01)).toContain('* 0.01\n');
  });
});

describe('answers', () => {
  test('another engine may give floating point for decimals and rows in any order', async () => {
    for (const query of queryNumbers) {
      const result = await connection.runAndReadAll(queryText(query, scale));
      const columns = result.columnNames().map((name, k) => {
        const type = result.columnTypes()[k]?.toString() ?? '';
        return `"${name}"${type.startsWith('DECIMAL') ? '::double' : ''} as c${k}`;
      });
      await connection.run(`copy (select ${columns.join(', ')} from (${queryText(query, scale)})
        order by hash(columns(*))) to '${others}/${queryName(query)}.parquet'`);
    }
    expect([...(await checkAnswers(runs, others))]).toEqual([]);
  });

  test('a wrong and a missing answer are named', async () => {
    await connection.run(
      `copy (select 'MAIL' as mode, 1 as high, 2 as low) to '${others}/q12.parquet'`,
    );
    rmSync(path.join(others, 'q13.parquet'), { force: true });
    const wrong = await checkAnswers(runs, others);
    expect(wrong.get(12)).toBe('1 rows instead of 2');
    expect(wrong.get(13)).toBe('missing');
  });

  test('decimals and integers compare exactly, floating point to 1e-9', async () => {
    const exact = await answer(
      `select 1200::bigint, 0.10::decimal(15, 2), 7.00::decimal(38, 2), 'x'`,
    );
    expect(exact).toEqual([['1200', '0.1', '7', 'x']]);
    const differs = (other: string): Promise<string | undefined> =>
      answer(other).then((rows) => differenceOf(exact, rows));
    expect(await differs(`select 1200.0::double, 0.1::decimal(38, 4), 7, 'x'`)).toBeUndefined();
    expect(await differs(`select 1200.0000005::double, 0.1, 7, 'x'`)).toBeUndefined();
    expect(await differs(`select 1200.000005::double, 0.1, 7, 'x'`)).toContain('instead of');
    expect(await differs(`select 1200, 0.1000000001::decimal(15, 10), 7, 'x'`)).toContain(
      'instead of',
    );
    expect(await differs(`select 1200, 0.1, 7, null`)).toContain('instead of');
    expect(await differs(`select 1200, 0.1, 7`)).toBe('3 columns instead of 4');
  });

  test('a decimal may stand for floating point to its sixth digit, floating point for a decimal not', async () => {
    const floating = await answer('select 0.0263749038::double');
    const decimal = await answer('select 0.026375::decimal(38, 6)');
    expect(differenceOf(floating, decimal)).toBeUndefined();
    expect(differenceOf(decimal, floating)).toContain('instead of');
    expect(differenceOf(floating, await answer('select 0.026377::decimal(38, 6)'))).toContain(
      'instead of',
    );
  });

  test('the hash knows the rows and not their order', async () => {
    const hash = async (query: string): Promise<string> => hashOf(await answer(query));
    const two = await hash(`select * from (values (1, 0.5::double), (2, 0.25)) order by 1`);
    expect(await hash(`select * from (values (1, 0.5::double), (2, 0.25)) order by 1 desc`)).toBe(
      two,
    );
    expect(await hash(`select * from (values (1, 0.5::double), (2, 0.26))`)).not.toBe(two);
    expect(await hash(`select * from (values (1, 0.5::double), (2, 0.25), (2, 0.25))`)).not.toBe(
      two,
    );
  });
});
