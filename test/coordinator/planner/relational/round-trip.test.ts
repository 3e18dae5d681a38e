import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { serialiseQuery } from '../../../../coordinator/analyse/relational.js';
import { decodeQuery } from '../../../../coordinator/planner/relational/decode.js';
import { renderQuery } from '../../../../coordinator/planner/relational/render.js';
import { refused, supported } from './queries.js';
import { openOracle, resultOf, type Oracle } from './tables.js';
import { quoteName } from '../../../../shared/sql-text.js';

let oracle: Oracle;
beforeAll(async () => {
  oracle = await openOracle();
});
afterAll(() => oracle.close());

async function decoded(sql: string) {
  const plan = await serialiseQuery(oracle.inputs, sql);
  if (!plan.ok) throw new Error(`${plan.type}: ${plan.message}`);
  const names = plan.columns.map(({ name }) => name);
  return decodeQuery(plan.json, names, plan.isVolatile);
}

async function rendered(sql: string): Promise<string> {
  const query = await decoded(sql);
  if (!query.ok) throw new Error(`unsupported: ${query.what}`);
  return renderQuery(query.query, (leaf) =>
    leaf.kind === 'scan' ? quoteName(leaf.input) : expect.fail('a reference without its result'),
  );
}

describe('a query written down again from its plan gives the same rows', () => {
  test.each(supported)('$sql', async ({ sql, ordered }) => {
    const again = await rendered(sql);
    const [expected, actual] = [
      await resultOf(oracle.connection, sql),
      await resultOf(oracle.connection, again),
    ];
    if (ordered !== true) for (const each of [expected, actual]) each.rows.sort();
    expect(actual, again).toEqual(expected);
  });
});

describe('what cannot be planned is refused by its name', () => {
  test.each(refused)('%s', async (sql, what) => {
    expect(await decoded(sql)).toEqual({ ok: false, what });
  });
});
