import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { queryName, queryNumbers, queryText } from '../../../../bench/tpch/queries.js';
import { preparation, rowsSql, sizeOf, tables } from '../../../../bench/tpch/tables.js';
import { serialiseQuery } from '../../../../coordinator/analyse/relational.js';
import { decodeQuery } from '../../../../coordinator/planner/relational/decode.js';
import { simulate } from './simulate.js';
import { openOracle, resultOf, type Oracle } from './tables.js';

const scale = 0.01;
let oracle: Oracle;
const rowsOf = new Map(tables.map((table) => [String(table), sizeOf(table, scale).rows]));

beforeAll(async () => {
  const statements = tables.map(
    (table) => `create table ${table} as ${rowsSql(table, scale, 0, sizeOf(table, scale).rows)}`,
  );
  const rows = Object.fromEntries(tables.map((table) => [table, sizeOf(table, 10).rows]));
  oracle = await openOracle([...preparation(), ...statements], rows);
}, 120_000);
afterAll(() => oracle.close());

const rows = (source: string): number => rowsOf.get(source) ?? 0;
const ways = {
  'all divided by keys': { splits: 2, partitions: 3, broadcastBytes: -1, inlineBytes: -1, rows },
  'small sides read whole': {
    splits: 2,
    partitions: 2,
    broadcastBytes: 300_000,
    inlineBytes: 10_000,
    rows,
  },
};

describe.each(Object.entries(ways))('%s', (_, options) => {
  test.each(queryNumbers.map((number) => [queryName(number), number] as const))(
    '%s has its rows, in their order, and no large table in one chunk',
    async (_name, number) => {
      const sql = queryText(number, scale);
      const plan = await serialiseQuery(oracle.inputs, sql);
      if (!plan.ok) throw new Error(`${plan.type}: ${plan.message}`);
      const names = plan.columns.map(({ name }) => name);
      const decoded = decodeQuery(plan.json, names, plan.isVolatile);
      if (!decoded.ok) throw new Error(`unsupported: ${decoded.what}`);
      const found = await simulate(oracle.connection, decoded.query, options);
      const expected = await resultOf(oracle.connection, sql);
      expect(await resultOf(oracle.connection, found.sql), found.sql).toEqual(expected);
      for (const { fragment } of found.stages) {
        for (const side of fragment.driving.kind === 'once' ? fragment.sides : []) {
          expect(side.kind === 'source' ? side.source : '').not.toMatch(/lineitem|orders|partsupp/);
        }
      }
    },
  );
});
