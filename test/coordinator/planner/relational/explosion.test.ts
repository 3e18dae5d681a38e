import { afterAll, beforeAll, expect, test } from 'vitest';
import { Estimates } from '../../../../coordinator/planner/relational/estimate.js';
import { pairsWithoutKeys } from '../../../../coordinator/planner/relational/explosion.js';
import type { Query } from '../../../../coordinator/planner/relational/relation.js';
import { queryOf } from '../made-query.js';
import { openOracle, type Oracle } from './tables.js';

let oracle: Oracle;
beforeAll(async () => {
  oracle = await openOracle();
});
afterAll(() => oracle.close());

async function pairsOf(sql: string): Promise<number> {
  const { input } = await queryOf(oracle.inputs, sql);
  const { relation } = JSON.parse(input.relational!) as Query;
  const rows = new Map(oracle.inputs.map(({ name }) => [name, { rows: 1_000_000 }]));
  return pairsWithoutKeys(relation, new Estimates(rows));
}

test.each([
  'select t.id from t join u on t.a = u.a',
  'select id from t where a not in (select a from u)',
  'select id, a in (select a from u) as there from t',
])('looks at no pairs where keys say which rows belong together: %s', async (sql) => {
  expect(await pairsOf(sql)).toBe(0);
});

test.each([
  'select t.id from t, u',
  'select t.id from t join u on t.a < u.a',
  'select id, a > any (select a from u) as more from t',
])('looks at about every pair where they do not: %s', async (sql) => {
  expect(await pairsOf(sql)).toBeGreaterThan(1e11);
});
