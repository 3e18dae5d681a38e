import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { simulateSql, type Simulated, type SimulationOptions } from './simulate.js';
import { openOracle, resultOf, type Oracle } from './tables.js';

const manyRows = 3000;
/** NULL, NaN and both zeros among what is counted; `k` has many groups, `g` has two and NULL. */
const statements = [
  `create table t as select i::integer as id, (['a', 'b', null])[1 + (i % 3)] as g,
     (hash(i, 1) % 700)::integer as k, (hash(i, 2) % 10)::integer as few,
     case when i % 11 = 0 then null when i % 13 = 0 then 'nan'::double when i % 17 = 0 then '-0'::double
       when i % 19 = 0 then 0 else (hash(i, 3) % 2500) / 2.0 end as v,
     case when i % 7 = 0 then null else (hash(i, 4) % 900)::bigint - 300 end as x,
     ((hash(i, 5) % 90000)::integer / 100)::decimal(10, 2) as d,
     to_days((hash(i, 6) % 40)::integer) as iv, {'p': i % 5, 'q': [i % 3, null]} as s
   from range(${manyRows}) r(i)`,
  'create table u as select (i * 3)::integer as k, i % 4 as w from range(400) r(i)',
  'create table none(id integer, g varchar, v double)',
];

let oracle: Oracle;
beforeAll(async () => {
  oracle = await openOracle(statements, { t: manyRows, u: 400, none: 0 });
});
afterAll(() => oracle.close());

const divided: SimulationOptions = {
  splits: 3,
  partitions: 6,
  broadcastBytes: -1,
  inlineBytes: -1,
  rows: (source) => (source === 'none' ? 0 : manyRows),
};

async function sameRows(sql: string, options = divided): Promise<Simulated> {
  const found = await simulateSql(oracle, sql, options);
  const [expected, actual] = [
    await resultOf(oracle.connection, sql),
    await resultOf(oracle.connection, found.sql),
  ];
  // Zeros of either sign are equal: which of them stands for a group is anybody's choice.
  for (const each of [expected, actual]) {
    each.rows = each.rows.map((row) => row.replace(/(^| )-0(?= |$)/g, '$10.00000000')).sort();
  }
  expect(actual, found.sql).toEqual(expected);
  return found;
}

/** Rows that one chunk reads of what other stages wrote, at most. */
async function mostRead({ stages, fragments, chunksOf }: Simulated): Promise<number> {
  let most = 0;
  for (const fragment of [...stages.map((stage) => stage.fragment), ...fragments]) {
    if (fragment.driving.kind === 'source') continue;
    for (const reads of chunksOf(fragment)) {
      for (const from of Object.values(reads)) {
        const [row] = (
          await oracle.connection.runAndReadAll(`select count(*) from ${from}`)
        ).getRows();
        most = Math.max(most, Number(row![0]));
      }
    }
  }
  return most;
}

describe('measures over DISTINCT values have the answer of one place', () => {
  test.each([
    'select count(distinct v), avg(distinct v), count(*), min(g), sum(d), arg_max(g, id) from t where not isnan(v)',
    'select g, count(distinct v), list_sort(list(distinct v)), sum(x), count(x), bit_xor(x), avg(d) from t group by g',
    "select few, sum(distinct x) filter (where g > 'a'), count(distinct x) filter (where g > 'a'), count(*) from t group by few",
    'select g, count(distinct g), sum(distinct length(g)), any_value(1) from t group by g',
    'select count(distinct 1), count(distinct s), count(distinct s) filter (where few > 20) from t',
    'select g, stddev(distinct x), product(distinct few), count(distinct few) from t group by g',
    'select g, stddev(d), list_sort(list(k)), count(distinct v) from t group by g',
    'select g, count(distinct v), count(distinct k), sum(x) from t group by g',
    'select g, median(distinct k), count(distinct k) from t group by g',
    'select g, count(distinct iv), sum(distinct x) filter (where x > 0), count(*) from t group by g',
    'select count(distinct n), count(*) from (select k as n from t union all select w from u)',
    'select t.g, count(distinct u.k), sum(t.x) from t join u on t.k = u.k group by t.g',
    'select t.g, count(distinct t.k), count(distinct t.v), sum(t.x) from t join u on t.k = u.k group by t.g',
    'select g, count(distinct v), max(id) from none group by g',
  ])('%s', async (sql) => {
    await sameRows(sql);
  });
});

describe('groups of several sets have the answer of one place', () => {
  test.each([
    'select g, few, count(distinct v), sum(d), grouping(few, g), grouping(few) from t group by cube (g, few)',
    'select g, few, median(d), list_sort(list(k)), grouping(few, g) from t group by rollup (g, few)',
    'select g, few, sum(x), count(*) from t group by grouping sets ((g), (few), (g), (), (g, few), ())',
    'select g, few, median(d), count(distinct x) from t group by grouping sets ((g), (few, g), (g, few))',
    'select v, count(distinct few), count(distinct x) filter (where few > 5) from t group by rollup (v)',
    "select g, few, string_agg(g, ',' order by id) filter (where id > 50), max(iv) from t group by cube (g, few)",
    'select n, sum(m) from (select grouping(g, s) as n, count(*) as m from t group by cube (g, s)) group by n',
    'select g, few from t group by rollup (g, few)',
    'select t.few, t.k, count(distinct t.k), sum(x) from t join u on t.k = u.k group by cube (t.few, t.k)',
    'select g, count(*), sum(id) from none group by grouping sets ((g), (id))',
  ])('%s', async (sql) => {
    await sameRows(sql);
  });
});

test.each([
  'select count(distinct v), sum(distinct id), list(distinct g), count(*) from none',
  'select g, grouping(g), count(*), sum(id), bool_or(v > 1) from none group by rollup (g)',
  'select g, grouping(g), median(id), count(distinct id) from none group by grouping sets ((g), (), ())',
])('without rows, without files even, there is the row that DuckDB gives: %s', async (sql) => {
  await sameRows(sql);
  await sameRows(sql, { ...divided, splits: 0 });
});

test.each([
  'select count(distinct v), sum(x) from t',
  'select g, count(distinct v), avg(x) from t group by g',
  "select count(distinct id) filter (where g = 'a') from t",
  'select g, k, sum(x), count(*) from t group by cube (g, k)',
  'select g, count(distinct v) from t group by rollup (g)',
])('no chunk reads the rows of all groups, nor all values: %s', async (sql) => {
  expect(await mostRead(await sameRows(sql))).toBeLessThan(manyRows / 2);
});

test('each value travels once from each producer, however many rows have it', async () => {
  const found = await sameRows('select g, count(distinct few), sum(x), count(*) from t group by g');
  expect(await mostRead(found)).toBeLessThanOrEqual(3 * 3 * 10);
});

test('values that are in one chunk only are counted there', async () => {
  const found = await sameRows(
    'select t.g, count(distinct t.k) from t join u on t.k = u.k group by t.g',
  );
  const keys = found.stages.flatMap(({ divide }) => (divide?.kind === 'hash' ? [divide.keys] : []));
  expect(keys.map((each) => each.length)).toEqual([1, 1, 1]);
});

test('where all rows of the groups are few they go to their keys, an exchange less', async () => {
  const sql = 'select g, count(distinct v) from t group by g';
  expect((await sameRows(sql)).stages).toHaveLength(2);
  expect((await sameRows(sql, { ...divided, broadcastBytes: 1e9 })).stages).toHaveLength(1);
});
