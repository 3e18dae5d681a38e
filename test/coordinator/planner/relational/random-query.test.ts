import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { serialiseQuery } from '../../../../coordinator/analyse/relational.js';
import { decodeQuery } from '../../../../coordinator/planner/relational/decode.js';
import { renderQuery } from '../../../../coordinator/planner/relational/render.js';
import { randomQuery } from './random-query.js';
import { openOracle, resultOf, type Oracle } from './tables.js';

let oracle: Oracle;
beforeAll(async () => {
  oracle = await openOracle();
});
afterAll(() => oracle.close());

test('random queries written down again from their plans give the same rows', async () => {
  let refused = 0;
  const runs = 60;
  await fc.assert(
    fc.asyncProperty(fc.gen(), async (draw) => {
      const sql = randomQuery(draw);
      const plan = await serialiseQuery(oracle.inputs, sql);
      if (!plan.ok) {
        // DuckDB's own optimiser or serialiser gives up on some nests of subqueries.
        expect(['internal', 'not implemented'], `${plan.message}: ${sql}`).toContain(plan.type);
        refused += 1;
        return;
      }
      const names = plan.columns.map(({ name }) => name);
      const decoded = decodeQuery(plan.json, names, plan.isVolatile);
      if (!decoded.ok) throw new Error(`unsupported: ${decoded.what}: ${sql}`);
      const text = renderQuery(decoded.query, ({ kind, ...leaf }) =>
        kind === 'scan' && 'input' in leaf ? leaf.input : expect.fail('a reference'),
      );
      const expected = await resultOf(oracle.connection, sql);
      const actual = await resultOf(oracle.connection, text);
      expected.rows.sort();
      actual.rows.sort();
      expect(actual, `${sql}\n${text}`).toEqual(expected);
    }),
    { numRuns: runs, endOnFailure: true },
  );
  expect(refused).toBeLessThan(runs / 4);
}, 120_000);
