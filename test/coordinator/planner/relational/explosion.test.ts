import { afterAll, beforeAll, expect, test } from 'vitest';
import { Estimates } from '../../../../coordinator/planner/relational/estimate.js';
import { joinSizes, type JoinSizes } from '../../../../coordinator/planner/relational/explosion.js';
import type { Query } from '../../../../coordinator/planner/relational/relation.js';
import { queryOf } from '../made-query.js';
import { openOracle, type Oracle } from './tables.js';

let oracle: Oracle;
beforeAll(async () => {
  oracle = await openOracle();
});
afterAll(() => oracle.close());

/** Of inputs of a million rows each. */
async function sizesOf(sql: string): Promise<JoinSizes> {
  const { input } = await queryOf(oracle.inputs, sql);
  const query = JSON.parse(input.relational!) as Query;
  const rows = new Map(oracle.inputs.map(({ name }) => [name, { rows: 1_000_000 }]));
  return joinSizes(query, new Estimates(rows));
}

test.each([
  'select t.id from t join u on t.a = u.a',
  'select id from t where a not in (select a from u)',
  'select id, a in (select a from u) as there from t',
])('looks at no pairs where keys say which rows belong together: %s', async (sql) => {
  expect((await sizesOf(sql)).pairs).toBe(0);
});

test.each([
  'select t.id from t, u',
  'select t.id from t join u on t.a < u.a',
  'select id, a > any (select a from u) as more from t',
])('looks at about every pair where they do not: %s', async (sql) => {
  expect((await sizesOf(sql)).pairs).toBeGreaterThan(1e11);
});

test.each([
  ['select t.id from t, u', 1e12],
  ['select count(*) from t join u on (t.a > 2) = (u.a > 2)', 5e11],
  ['select t.id from t join u on (t.a > 2) = (u.a > 2) and t.a = u.a', 1e6],
  ['select t.id from t join u on t.a = u.a', 1e6],
  [
    'with x as materialized (select t.id from t, u) select id from x union all select id from x',
    1e12,
  ],
  ['select id from t', 0],
])('gives as many rows as sizes and values of its keys allow: %s', async (sql, rows) => {
  expect((await sizesOf(sql)).rows).toBe(rows);
});

test('has the bytes of the columns that are read of it', async () => {
  const narrow = await sizesOf('select t.id from t, u');
  const wide = await sizesOf('select t.id, t.b, u.v from t, u');
  expect(narrow.bytes).toBeGreaterThanOrEqual(4e12);
  expect(wide.bytes - narrow.bytes).toBe(48e12);
});
