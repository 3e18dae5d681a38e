import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { simulateSql, type SimulationOptions } from './simulate.js';
import { openOracle, resultOf, type Oracle } from './tables.js';

let oracle: Oracle;
/** Keys that are NULL or many rows', on both sides; keys that only one side has; a table of no rows. */
beforeAll(async () => {
  const keys = `case when i % 7 = 0 then null else (i % 5)::integer end`;
  const names = `(['x', 'y', null])[1 + i % 3] as s`;
  oracle = await openOracle(
    [
      `create table l as select i::integer as id, ${keys} as k, ${names}, nullif(i * 3 % 50, 9)::integer as seen from range(50) r(i)`,
      `create table r as select i::integer as id, ${keys} + 1 as k, ${names}, nullif(i * 7 % 40, 7)::integer as seen from range(40) r(i)`,
      `create table none as from r where false`,
    ],
    { l: 50, r: 40, none: 0 },
  );
});
afterAll(() => oracle.close());

/** No side is small enough to be read whole. */
const large = (partitions: number): SimulationOptions => ({
  splits: 3,
  partitions,
  broadcastBytes: -1,
  inlineBytes: -1,
  rows: (source) => (source === 'none' ? 0 : 100),
});

const asof = 'select l.id, r.id as other from l asof join r on l.k = r.k and l.seen >= r.seen';
const first =
  'select l.id, z.* from l left join lateral (select r.id as other from r where r.k = l.k order by r.seen desc nulls last, r.id limit 2) z on true';
const rows = 'select id, (k, s) in (select k, s from r) as found from l';
const queries = [
  asof,
  'select l.id, r.id as other from l asof left join r on l.k = r.k and l.s = r.s and l.seen < r.seen',
  'select l.id, r.seen from l asof left join r on l.seen > r.seen',
  'select l.id, r.id as other from l asof left join none r on l.k = r.k and l.seen >= r.seen',
  'select l.id, r.id as other from none l asof join r on l.k = r.k and l.seen >= r.seen',
  first,
  'select id, (select seen from r where r.k = l.k and r.seen < l.seen order by seen desc limit 1 offset 1) as second from l',
  'select l.id, z.seen from l, lateral (select seen from none r where r.k = l.k order by r.seen limit 1) z',
  rows,
  'select id from l where (k, s) not in (select k, s from r)',
  'select id from l where (k, s) not in (select k, s from r where k > 2 and s is not null)',
  'select id from l where (k, s) not in (select k, s from none)',
  'select id from none where (k, s) not in (select k, s from r)',
];

describe.each([1, 2, 7])('in %i partitions', (partitions) => {
  test('nearest rows, first rows of each and rows among rows are those that DuckDB finds', async () => {
    for (const sql of queries) {
      const { sql: text } = await simulateSql(oracle, sql, large(partitions));
      const expected = await resultOf(oracle.connection, sql);
      const actual = await resultOf(oracle.connection, text);
      for (const each of [expected, actual]) each.rows.sort();
      expect(actual, `${sql}\n${text}`).toEqual(expected);
    }
  });
});

test.each([
  ['of an ASOF join by its keys', asof],
  ['of the first rows of each by what they are the first of', first],
])('large sides are divided: %s', async (_what, sql) => {
  const { fragments } = await simulateSql(oracle, sql, large(4));
  expect(fragments.map(({ driving }) => driving.kind)).toEqual(['partitions']);
});

test('rows are looked for among rows of another side in each chunk of theirs', async () => {
  const { fragments } = await simulateSql(oracle, rows, large(4));
  expect(fragments.map(({ driving }) => driving.kind)).toEqual(['source']);
});

test('the nearest of a large side without keys is found in one chunk, of a small one in each', async () => {
  const sql = 'select l.id, r.seen from l asof join r on l.seen >= r.seen';
  const drivenBy = async (options: SimulationOptions) =>
    (await simulateSql(oracle, sql, options)).fragments.map(({ driving }) => driving.kind);
  expect(await drivenBy(large(4))).toEqual(['once']);
  expect(await drivenBy({ ...large(4), broadcastBytes: 1e9 })).toEqual(['source']);
});
