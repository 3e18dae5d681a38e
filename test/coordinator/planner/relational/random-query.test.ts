import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { serialiseQuery } from '../../../../coordinator/analyse/relational.js';
import { decodeQuery } from '../../../../coordinator/planner/relational/decode.js';
import type { Query } from '../../../../coordinator/planner/relational/relation.js';
import { renderQuery } from '../../../../coordinator/planner/relational/render.js';
import { randomQuery } from './random-query.js';
import { simulate } from './simulate.js';
import { openOracle, resultOf, type Oracle } from './tables.js';

let oracle: Oracle;
beforeAll(async () => {
  oracle = await openOracle();
});
afterAll(() => oracle.close());

/** Without the queries that DuckDB's own optimiser or serialiser gives up on. */
async function forRandomQueries(
  options: { readonly numRuns: number; readonly seed?: number },
  check: (sql: string, query: Query) => Promise<void>,
): Promise<void> {
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(fc.gen(), async (draw) => {
      const sql = randomQuery(draw);
      const plan = await serialiseQuery(oracle.inputs, sql);
      if (!plan.ok) {
        expect(['internal', 'not implemented'], `${plan.message}: ${sql}`).toContain(plan.type);
        refused += 1;
        return;
      }
      const names = plan.columns.map(({ name }) => name);
      const decoded = decodeQuery(plan.json, names, plan.isVolatile);
      if (!decoded.ok) throw new Error(`unsupported: ${decoded.what}: ${sql}`);
      await check(sql, decoded.query);
    }),
    { ...options, endOnFailure: true },
  );
  expect(refused).toBeLessThan(options.numRuns / 4);
}

async function expectSame(sql: string, text: string): Promise<void> {
  const expected = await resultOf(oracle.connection, sql);
  const actual = await resultOf(oracle.connection, text);
  expected.rows.sort();
  actual.rows.sort();
  expect(actual, `${sql}\n${text}`).toEqual(expected);
}

async function expectSameWrittenDown(sql: string, query: Query): Promise<void> {
  const text = renderQuery(query, ({ kind, ...leaf }) =>
    kind === 'scan' && 'input' in leaf ? leaf.input : expect.fail('a reference'),
  );
  await expectSame(sql, text);
}

test('random queries written down again from their plans give the same rows', async () => {
  await forRandomQueries({ numRuns: 60 }, expectSameWrittenDown);
}, 120_000);

test('so does one that brought an optimiser of DuckDB down', async () => {
  await forRandomQueries({ numRuns: 5, seed: 1_434_532_397 }, expectSameWrittenDown);
});

test('random queries cut into stages give the same rows, in however many partitions', async () => {
  const small = { broadcastBytes: 2000, inlineBytes: -1 };
  const none = { broadcastBytes: -1, inlineBytes: -1 };
  const rows = (source: string): number => (source === 'none' ? 0 : 100);
  const ways = [
    { partitions: 1, splits: 1, ...small, rows },
    { partitions: 2, splits: 3, ...none, rows },
    { partitions: 7, splits: 2, ...none, sortBytes: 1500, rows },
  ];
  await forRandomQueries({ numRuns: 20, seed: 20_261_122 }, async (sql, query) => {
    for (const way of ways)
      await expectSame(sql, (await simulate(oracle.connection, query, way)).sql);
  });
}, 120_000);
