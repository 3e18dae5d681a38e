import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { isConsistent, sliceOf, wholeSlice } from '../../../shared/divided-file.js';
import type { ChunkFile, Division, SinkProgram } from '../../../shared/plan.js';
import { ChunkSink } from '../../../worker/attempt/sink.js';
import { copyStatement, partsStatement } from '../../../worker/attempt/statement.js';
import { Kernel } from '../../../worker/kernel/duckdb.js';
import { partitionColumn, sortKey } from '../../../worker/shuffle/divide.js';
import { fetchFiles, wantedOfSlice } from '../../../worker/shuffle/fetch.js';

let directory: string;
let kernel: Kernel;

beforeEach(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'windrow-divide-'));
  kernel = await Kernel.open({
    directories: [directory],
    memoryLimitBytes: 256 << 20,
    spillDirectory: path.join(directory, 'spill'),
  });
});

afterEach(() => {
  kernel.close();
  rmSync(directory, { recursive: true, force: true });
});

const go = { throwIfCancelled: (): void => undefined };
const identity = 'ab'.repeat(32);

async function divided(table: string, divide: Division, tag = 'a'): Promise<ChunkFile> {
  const columns = (await kernel.rows(`describe ${table}`)).map((column) => ({
    name: String(column['column_name']),
    type: String(column['column_type']),
  }));
  const program: SinkProgram = { columns, compression: 'uncompressed', partitionBy: [], divide };
  const sink = new ChunkSink({
    directory,
    identity,
    attemptTag: tag,
    several: false,
    expendable: true,
  });
  const input = { sql: `from ${table}`, columns: [], carriesRow: false, open: false };
  await kernel.run(copyStatement(input, program, sink.target));
  const parts = await kernel.rows(partsStatement(sink.target));
  const told = parts.map(({ partition, rows }) => ({
    partition: Number(partition),
    rows: Number(rows),
  }));
  return (await sink.finish(told))[0]!;
}

/** A relation of the partition's rows. */
async function fetched(file: ChunkFile, partition: number): Promise<string> {
  const slice = sliceOf(file, partition, partition + 1)!;
  const [place] = await fetchFiles([wantedOfSlice(slice)], directory, go);
  return `(select * exclude (${partitionColumn}) from read_parquet('${place}') where ${partitionColumn} = ${partition})`;
}

const count = async (sql: string): Promise<number> =>
  Number((await kernel.rows(`select count(*) as n from (${sql})`))[0]!['n']);

describe('dividing by hash', () => {
  const byKey: Division = { kind: 'hash', partitions: 7, keys: ['k', 's'] };

  beforeEach(async () => {
    await kernel.run(`create table t as select case when i % 11 = 0 then null else i % 1000 end as k,
      case when i % 13 = 0 then null when i % 13 = 1 then '' else 'key ' || i % 5 end as s, i as v
      from range(20000) r(i)`);
  });

  test('every row arrives in exactly one partition, and equal keys in the same one', async () => {
    const file = await divided('t', byKey);
    expect(file.rows).toBe(20000);
    const all: string[] = [];
    for (let partition = 0; partition < 7; partition += 1) {
      const rows = await fetched(file, partition);
      await kernel.run(`create table p${partition} as select *, ${partition} as p from ${rows}`);
      all.push(`from p${partition}`);
    }
    await kernel.run(`create table u as ${all.join(' union all ')}`);
    expect(await count('select k, s, v from u except all from t')).toBe(0);
    expect(await count('from u')).toBe(20000);
    expect(await count('select k, s from u group by k, s having count(distinct p) > 1')).toBe(0);
  });

  test('two producers put equal keys into the same partition', async () => {
    const one = await divided('t', byKey);
    await kernel.run('create table other as select k, s, -v as v from t where v % 3 = 0');
    const two = await divided('other', byKey, 'b');
    const left = await fetched(one, 3);
    const right = await fetched(two, 3);
    const matched = await count(
      `select * from ${right} r semi join ${left} l
       on l.k is not distinct from r.k and l.s is not distinct from r.s`,
    );
    expect(matched).toBe(await count(`from ${right}`));
  });

  test('row groups of long rows have fewer of them', async () => {
    await kernel.run('create table short as select i as k, i as s from range(40000) r(i)');
    await kernel.run(`create table long as select k, s, 'text' as t from short`);
    await kernel.run('create table nested as select k, s, [k] as l from short');
    const rowsOf = async (table: string): Promise<number[]> =>
      (await divided(table, byKey, table)).divided!.blocks.map(({ rows }) => rows);
    expect(await rowsOf('short')).toEqual([32_768, 7_232, 0]);
    for (const table of ['long', 'nested']) {
      expect(await rowsOf(table)).toEqual([16_384, 16_384, 7_232, 0]);
    }
  });

  test('a chunk without rows has no parts', async () => {
    await kernel.run('create table none as select * from t where false');
    const file = await divided('none', byKey);
    expect(file).toMatchObject({ rows: 0, divided: { parts: [] } });
    expect(isConsistent(file, 7)).toBe(true);
  });

  test('one file holds all partitions and nothing else is left', async () => {
    const file = await divided('t', byKey);
    expect(isConsistent(file, 7)).toBe(true);
    expect(readFileSync(file.path)).toHaveLength(file.bytes);
    const left = readdirSync(directory, { recursive: true, withFileTypes: true });
    expect(left.filter((each) => each.isFile()).map(({ name }) => name)).toEqual([
      path.basename(file.path),
    ]);
  });
});

describe('dividing by range', () => {
  test('the partitions in turn are the sorted rows, with descending order and nulls where they belong', async () => {
    await kernel.run(`create table t as select case when i % 17 = 0 then null else (i * 7919) % 5003 end as a,
      'x' || i % 7 as b, i from range(5000) r(i)`);
    const keys = [
      { expr: 'a', order: 'DESC NULLS LAST' },
      { expr: 'b', order: 'ASC NULLS FIRST' },
    ];
    const bounds = (
      await kernel.rows(`select hex(x) as x from (select unnest(quantile_disc(${sortKey(keys)},
        [0.2, 0.4, 0.6, 0.8])) as x from t)`)
    ).map((row) => String(row['x']));
    const file = await divided('t', { kind: 'range', keys, bounds });
    expect(file.divided!.parts.map(({ partition }) => partition)).toEqual([0, 1, 2, 3, 4]);
    const rows: unknown[] = [];
    for (const { partition } of file.divided!.parts) {
      const part = await fetched(file, partition);
      rows.push(
        ...(await kernel.rows(
          `select a::integer as a, b from ${part} order by a desc nulls last, b`,
        )),
      );
    }
    expect(rows).toEqual(
      await kernel.rows('select a::integer as a, b from t order by a desc nulls last, b'),
    );
  });
});

describe('fetching', () => {
  let file: ChunkFile;
  beforeEach(async () => {
    await kernel.run('create table t as select i as k from range(10000) r(i)');
    file = await divided('t', { kind: 'hash', partitions: 3, keys: ['k'] });
  });
  const fetchAll = async (): Promise<unknown> => {
    mkdirSync(path.join(directory, 'all'));
    const all = wantedOfSlice(wholeSlice(file)!);
    return fetchFiles([all], path.join(directory, 'all'), go).catch((error: unknown) => error);
  };

  test('a flipped byte names the file, so that its producer runs again', async () => {
    const bytes = readFileSync(file.path);
    bytes[file.divided!.blocks[0]!.offset + 100]! ^= 1;
    writeFileSync(file.path, bytes);
    expect(await fetchAll()).toMatchObject({
      failure: { kind: 'fetchFailed', code: 'E_CHUNK_LOST', lost: [file.path] },
    });
  });

  test('a file that is gone, or ends early, is named too', async () => {
    writeFileSync(file.path, readFileSync(file.path).subarray(0, file.bytes - 10));
    expect(await fetchAll()).toMatchObject({ failure: { lost: [file.path] } });
    rmSync(path.join(directory, 'all'), { recursive: true });
    rmSync(file.path);
    expect(await fetchAll()).toMatchObject({
      failure: { kind: 'fetchFailed', lost: [file.path] },
    });
  });

  test('a file that has become longer is named: its footer is looked for at its end', async () => {
    appendFileSync(file.path, 'more');
    expect(await fetchAll()).toMatchObject({ failure: { lost: [file.path] } });
  });

  test('what is sound is read where it lies, and nothing is copied', async () => {
    expect(await fetchAll()).toEqual([file.path]);
    expect(readdirSync(path.join(directory, 'all'))).toEqual([]);
  });

  test('stops between two blocks when it is cancelled', async () => {
    let asked = 0;
    const throwIfCancelled = (): void => {
      asked += 1;
      if (asked === 2) throw new Error('cancelled');
    };
    const all = wantedOfSlice(wholeSlice(file)!);
    const fetched = fetchFiles([all], directory, { throwIfCancelled });
    await expect(fetched).rejects.toThrow('cancelled');
    expect(asked).toBe(2);
  });
});
