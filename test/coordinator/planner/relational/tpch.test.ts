import { afterAll, beforeAll, expect, test } from 'vitest';
import { queryName, queryNumbers, queryText } from '../../../../bench/tpch/queries.js';
import { preparation, rowsSql, sizeOf, tables } from '../../../../bench/tpch/tables.js';
import { serialiseQuery } from '../../../../coordinator/analyse/relational.js';
import { decodeQuery } from '../../../../coordinator/planner/relational/decode.js';
import { inputsOf, type Relation } from '../../../../coordinator/planner/relational/relation.js';
import { renderQuery } from '../../../../coordinator/planner/relational/render.js';
import { openOracle, resultOf, type Oracle } from './tables.js';

const scale = 0.01;
let oracle: Oracle;
beforeAll(async () => {
  const statements = tables.map(
    (table) => `create table ${table} as ${rowsSql(table, scale, 0, sizeOf(table, scale).rows)}`,
  );
  const rows = Object.fromEntries(tables.map((table) => [table, sizeOf(table, 10).rows]));
  oracle = await openOracle([...preparation(), ...statements], rows);
}, 120_000);
afterAll(() => oracle.close());

function kinds(relation: Relation): string[] {
  const own = relation.kind === 'join' ? `${relation.join} join` : relation.kind;
  return [own, ...inputsOf(relation).flatMap(kinds)];
}

test.each(queryNumbers.map((number) => [queryName(number), number] as const))(
  '%s written down again from its plan for scale 10 gives the same rows in the same order',
  async (_, number) => {
    const sql = queryText(number, scale);
    const plan = await serialiseQuery(oracle.inputs, sql);
    if (!plan.ok) throw new Error(`${plan.type}: ${plan.message}`);
    const names = plan.columns.map(({ name }) => name);
    const decoded = decodeQuery(plan.json, names, plan.isVolatile);
    if (!decoded.ok) throw new Error(`unsupported: ${decoded.what}`);
    const text = renderQuery(decoded.query, (leaf) => {
      if (leaf.kind === 'reference') throw new Error(`${leaf.shared} is not defined`);
      return leaf.input;
    });
    const expected = await resultOf(oracle.connection, sql);
    expect(await resultOf(oracle.connection, text), text).toEqual(expected);
    // All of TPC-H is joins on keys: none of them asks row by row or multiplies tables.
    const found = kinds(decoded.query.relation);
    expect(found.filter((kind) => kind === 'single join')).toEqual([]);
  },
);
