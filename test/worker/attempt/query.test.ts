import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sliceOf } from '../../../shared/divided-file.js';
import type { ChunkRecord, Division, StageProgram } from '../../../shared/plan.js';
import type { ChunkWork, SourceWork } from '../../../worker/attempt/protocol.js';
import { columns, leaf, Place, queryProgram, read, work } from './fixture.js';

let place: Place;
beforeEach(() => {
  place = new Place();
});
afterEach(() => place.close());

const partitions = 3;
const byKey: Division = { kind: 'hash', partitions, keys: ['"k"'] };

async function sourcesOf(path: string, more: Partial<SourceWork> = {}): Promise<SourceWork[]> {
  return (await place.worksOf(path, more)).map(({ source }) => source!);
}

const filesOf = (records: readonly ChunkRecord[]) => records.flatMap(({ files }) => files);
const slicesOf = (records: readonly ChunkRecord[], from = 0, to = from + 1) =>
  filesOf(records).flatMap((file) => sliceOf(file, from, to) ?? []);

async function ran(program: StageProgram, works: readonly ChunkWork[]): Promise<ChunkRecord[]> {
  const { failure, records } = await place.run(program, works);
  expect(failure).toBeUndefined();
  expect(records).toHaveLength(works.length);
  return records;
}

/** One chunk for each row group of the file, divided by `k`. */
async function divided(name: string, path: string, definition: Record<string, string>) {
  const program = queryProgram(`select * from "${name}"`, [leaf(name, definition)], definition, {
    divide: byKey,
  });
  const sources = await sourcesOf(path);
  return ran(
    program,
    sources.map((source, chunk) => work(chunk, read(name, { sources: [source] }))),
  );
}

/** Directories below the spill directory that hold fetched parts. */
function fetchedDirectories(): string[] {
  const spill = join(place.root, 'spill');
  if (!existsSync(spill)) return [];
  return readdirSync(spill).filter((name) => name.startsWith('parts-'));
}

const users = { k: 'INTEGER', name: 'VARCHAR' };
const sales = { k: 'INTEGER', amount: 'BIGINT' };
const usersQuery = `select case when i % 50 = 0 then null else i % 3000 end::integer as k,
  'user ' || i as name from range(6000) t(i)`;
const salesQuery = `select case when i % 31 = 0 then null else (i * 7) % 4000 end::integer as k,
  i::bigint as amount from range(9000) t(i)`;
const rowGroups = ', row_group_size 2048';
const joinSql = 'select u."k", u."name", s."amount" from "users" u join "sales" s on u."k" = s."k"';
const joined = { ...users, amount: 'BIGINT' };

async function expectSameRows(records: readonly ChunkRecord[], expected: string): Promise<void> {
  const files = filesOf(records).map(({ path }) => `'${path}'`);
  const found = `select * from read_parquet([${files.join(', ')}])`;
  const [counts] = await place.sql(`select
    (select count(*) from (${found})) as found, (select count(*) from (${expected})) as expected,
    (select count(*) from (${found} except all ${expected})) as wrong`);
  expect(counts).toMatchObject({ wrong: 0n, found: counts?.['expected'] });
}

describe('a stage that begins with a query', () => {
  it('joins two divided inputs of several producers as DuckDB joins the tables', async () => {
    const paths = {
      users: await place.parquet('users.parquet', usersQuery, rowGroups),
      sales: await place.parquet('sales.parquet', salesQuery, rowGroups),
    };
    const left = await divided('users', paths.users, users);
    const right = await divided('sales', paths.sales, sales);
    expect([left.length, right.length]).toEqual([3, 5]);
    const program = queryProgram(joinSql, [leaf('users', users), leaf('sales', sales)], joined);
    const works = Array.from({ length: partitions }, (_, partition) =>
      work(
        partition,
        read('users', { slices: slicesOf(left, partition) }),
        read('sales', { slices: slicesOf(right, partition) }),
      ),
    );
    const records = await ran(program, works);
    await expectSameRows(
      records,
      joinSql
        .replace('"users"', `'${paths.users}'`)
        .replace('"sales"', `'${paths.sales}'`)
        .replaceAll(/'(\/[^']*)'/g, `read_parquet('$1')`),
    );
    expect(records.reduce((rows, { counts }) => rows + counts.rowsIn, 0)).toBe(15_000);
    expect(fetchedDirectories()).toEqual([]);
  });

  it('reads a small side whole beside ranges of a file, and counts the rows of the ranges alone', async () => {
    const path = await place.parquet('sales.parquet', salesQuery, rowGroups);
    const small = await place.parquet('users.parquet', usersQuery, rowGroups);
    const whole = await ran(queryProgram('from "users"', [leaf('users', users)], users), [
      work(0, read('users', { sources: await sourcesOf(small) })),
    ]);
    const leaves = [leaf('users', users, false), leaf('sales', sales)];
    const sources = await sourcesOf(path);
    const side = read('users', { files: filesOf(whole) });
    const records = await ran(queryProgram(joinSql, leaves, joined), [
      work(0, side, read('sales', { sources: sources.slice(0, 2) })),
      work(1, side, read('sales', { sources: sources.slice(2) })),
    ]);
    await expectSameRows(
      records,
      `select u.k, u.name, s.amount from read_parquet('${small}') u join read_parquet('${path}') s on u.k = s.k`,
    );
    expect(records.map(({ counts }) => counts.rowsIn)).toEqual([4096, 9000 - 4096]);
  });

  it('reads all parts of a divided file that it is to read whole', async () => {
    const path = await place.parquet('users.parquet', usersQuery, rowGroups);
    const files = filesOf(await divided('users', path, users));
    const program = queryProgram('from "users"', [leaf('users', users)], users);
    const records = await ran(program, [work(0, read('users', { files }))]);
    await expectSameRows(records, usersQuery);
    expect(records[0]?.counts.rowsIn).toBe(6000);
    expect(fetchedDirectories()).toEqual([]);
  });

  it('has columns from the path, and NULL for columns that a file lacks', async () => {
    const path = await place.parquet('sales.parquet', 'select 1::bigint as amount');
    const [one] = await sourcesOf(path, { hive: { day: '2026-11-20' }, missingColumns: ['k'] });
    const [two] = await sourcesOf(path, { hive: { day: null }, missingColumns: ['k'] });
    const result = { k: 'INTEGER', day: 'DATE', n: 'BIGINT' };
    const sql = 'select "k", "day", sum("amount")::bigint as n from "sales" group by all';
    const hive = columns({ day: 'DATE' });
    const program = queryProgram(sql, [{ ...leaf('sales', sales), hive }], result);
    const records = await ran(program, [work(0, read('sales', { sources: [one!, two!] }))]);
    expect(await place.rowsOf(records, 'k, day::varchar as day, n')).toEqual(
      expect.arrayContaining([
        { k: null, day: '2026-11-20', n: 1n },
        { k: null, day: null, n: 1n },
      ]),
    );
  });

  it('gathers nothing at all as DuckDB would', async () => {
    const sql =
      'select count(*) as n, sum("amount")::bigint as total, max("name") as last from "sales", "users"';
    const leaves = [leaf('sales', sales), leaf('users', users)];
    const program = queryProgram(sql, leaves, { n: 'BIGINT', total: 'BIGINT', last: 'VARCHAR' });
    const records = await ran(program, [work(0, read('sales'), read('users'))]);
    expect(await place.rowsOf(records)).toEqual([{ n: 0n, total: null, last: null }]);
    expect(records[0]?.counts).toMatchObject({ rowsIn: 0, rowsOut: 1 });
  });

  it('adds numbers of 128 bits up across the exchange without rounding', async () => {
    const numbers = 'select (i % 7)::integer as k, 9007199254740993 + i as v from range(5000) t(i)';
    const path = await place.parquet('n.parquet', numbers, rowGroups);
    const partial = queryProgram(
      'select "k", sum("v") as h from "n" group by "k"',
      [leaf('n', { k: 'INTEGER', v: 'BIGINT' })],
      { k: 'INTEGER', h: 'HUGEINT' },
      { divide: byKey, columns: columns({ k: 'INTEGER', h: 'DECIMAL(38,0)' }) },
    );
    const sources = await sourcesOf(path);
    const producers = await ran(
      partial,
      sources.map((source, chunk) => work(chunk, read('n', { sources: [source] }))),
    );
    const total = queryProgram(
      'select "k", sum("h") as h, typeof(any_value("h")) as t from "p" group by "k"',
      [leaf('p', { k: 'INTEGER', h: 'HUGEINT' })],
      { k: 'INTEGER', h: 'DECIMAL(38,0)', t: 'VARCHAR' },
    );
    const works = Array.from({ length: partitions }, (_, partition) =>
      work(partition, read('p', { slices: slicesOf(producers, partition) })),
    );
    const records = await ran(total, works);
    await expectSameRows(
      records,
      `select k, sum(v)::decimal(38,0), 'HUGEINT' from (${numbers}) group by k`,
    );
  });

  it('divides by keys as the query has them, not as they land in the file', async () => {
    const seconds = `select ('2026-01-01'::timestamp + to_hours(i::integer))::timestamp_s as t from range(200) r(i)`;
    const dividedBy = async (sql: string, type: string, key: string) => {
      const divide: Division = { kind: 'hash', partitions, keys: [key] };
      const sink = { divide, columns: columns({ t: 'TIMESTAMP' }) };
      const [record] = await ran(queryProgram(sql, [], { t: type }, sink), [work(0)]);
      return record!.files[0]!.divided!.parts.map(({ partition, rows }) => [partition, rows]);
    };
    const one = await dividedBy(seconds, 'TIMESTAMP_S', '"t"');
    expect(one).toHaveLength(partitions);
    const micros = `select t::timestamp as t from (${seconds})`;
    expect(await dividedBy(micros, 'TIMESTAMP', '"t"::timestamp_s')).toEqual(one);
  });

  it('goes on with narrow steps, and keeps a row that they refuse without a number', async () => {
    const path = await place.parquet('sales.parquet', salesQuery, rowGroups);
    const program: StageProgram = {
      ...queryProgram(
        'select "k", count(*) as n from "sales" group by "k"',
        [leaf('sales', sales)],
        { k: 'INTEGER', n: 'BIGINT' },
      ),
      steps: [
        { kind: 'filter', id: 'some', where: 'k is null or k < 2000' },
        {
          kind: 'expect',
          id: 'known',
          checks: [{ name: 'key', predicate: 'k is not null', action: 'deadLetter' }],
        },
        { kind: 'sql', id: 'twice', input: 'input', query: 'select k, n * 2 as n from input' },
      ],
    };
    const [record] = await ran(program, [
      work(0, read('sales', { sources: await sourcesOf(path) })),
    ]);
    await expectSameRows(
      [record!],
      `select k, count(*) * 2 as n from read_parquet('${path}') where k < 2000 group by k`,
    );
    expect(record!.counts).toMatchObject({ rowsIn: 9000, dead: 1 });
    expect(await place.deadOf(record)).toMatchObject([{ row: null, step: 'known' }]);
  });

  it('keeps the order of a query that sorts', async () => {
    const path = await place.parquet('sales.parquet', salesQuery, rowGroups);
    const sql = 'select "k", "amount" from "sales" order by "k" desc nulls last, "amount"';
    const program = queryProgram(sql, [leaf('sales', sales)], sales);
    const records = await ran(program, [
      work(0, read('sales', { sources: await sourcesOf(path) })),
    ]);
    const found = await place.rowsOf(records);
    expect(found).toEqual(
      await place.sql(
        `select k, amount from read_parquet('${path}') order by k desc nulls last, amount`,
      ),
    );
  });
});

describe('what a query cannot read', () => {
  const program = queryProgram('select "k" from "users"', [leaf('users', users)], { k: 'INTEGER' });
  let producers: ChunkRecord[];
  beforeEach(async () => {
    const path = await place.parquet('users.parquet', usersQuery, rowGroups);
    producers = await divided('users', path, users);
  });
  const all = () => work(0, read('users', { slices: slicesOf(producers, 0, partitions) }));

  it('names the producer of a divided file with a flipped byte, and leaves nothing behind', async () => {
    const [, damaged] = filesOf(producers);
    const bytes = readFileSync(damaged!.path);
    bytes[damaged!.divided!.blocks[0]!.offset + 40]! ^= 1;
    writeFileSync(damaged!.path, bytes);
    const before = place.leftFiles();
    const { failure, records } = await place.run(program, [all()]);
    expect(failure).toMatchObject({
      kind: 'fetchFailed',
      code: 'E_CHUNK_LOST',
      lost: [damaged!.path],
    });
    expect(records).toEqual([]);
    expect(fetchedDirectories()).toEqual([]);
    expect(place.leftFiles()).toEqual(before);
  });

  it('names a whole chunk file that is gone, later chunks’ files too', async () => {
    const path = await place.parquet('more.parquet', usersQuery, rowGroups);
    const whole = await ran(
      queryProgram('from "users"', [leaf('users', users)], users),
      (await sourcesOf(path)).map((source, chunk) =>
        work(chunk, read('users', { sources: [source] })),
      ),
    );
    const [first, second] = filesOf(whole);
    for (const { path: lost } of [first!, second!]) rmSync(lost);
    const works = [first!, second!].map((file, chunk) =>
      work(chunk, read('users', { files: [file] })),
    );
    expect((await place.run(program, works)).failure).toMatchObject({
      kind: 'fetchFailed',
      lost: [first!.path, second!.path],
    });
  });

  it('says which file changed since it was planned', async () => {
    const path = await place.parquet('more.parquet', usersQuery);
    const [source] = await sourcesOf(path, { mtimeMs: 1 });
    const { failure } = await place.run(program, [work(0, read('users', { sources: [source!] }))]);
    expect(failure).toMatchObject({ code: 'E_INPUT_CHANGED', at: { file: path } });
  });

  it('is no empty table where the coordinator forgot to say what it is', async () => {
    const { failure } = await place.run(program, [work(0)]);
    expect(failure).toMatchObject({ kind: 'broken', message: expect.stringContaining('users') });
  });
});
