import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { supported } from './queries.js';
import { simulateSql, type SimulationOptions } from './simulate.js';
import { openOracle, resultOf, type Oracle } from './tables.js';

let oracle: Oracle;
beforeAll(async () => {
  oracle = await openOracle();
});
afterAll(() => oracle.close());

const rows = (source: string): number => (source === 'none' ? 0 : 100);
const ways: Readonly<Record<string, SimulationOptions>> = {
  'divided by keys, sorted by ranges': {
    splits: 3,
    partitions: 4,
    broadcastBytes: -1,
    inlineBytes: -1,
    sortBytes: 1500,
    rows,
  },
  'small sides read whole': {
    splits: 3,
    partitions: 4,
    broadcastBytes: 1e9,
    inlineBytes: -1,
    rows,
  },
  'small sources read by every chunk': {
    splits: 2,
    partitions: 2,
    broadcastBytes: 1e9,
    inlineBytes: 1e9,
    rows,
  },
  'one of each': { splits: 1, partitions: 1, broadcastBytes: 2000, inlineBytes: -1, rows },
};

describe.each(Object.entries(ways))('%s: the rows are those of the query', (_, options) => {
  // Two of the ways differ from the others in sizes alone: every third query is enough there.
  const queries =
    options.broadcastBytes < 1e9 ? supported : supported.filter((_query, at) => at % 3 === 0);
  test.each(queries)('$sql', async ({ sql, ordered }) => {
    const { sql: again } = await simulateSql(oracle, sql, options);
    const [expected, actual] = [
      await resultOf(oracle.connection, sql),
      await resultOf(oracle.connection, again),
    ];
    // Zeros of either sign are equal: which of them stands for a group is anybody's choice.
    for (const each of [expected, actual]) {
      each.rows = each.rows.map((row) =>
        row.replace(/(^| )-0(?= |$)/g, (_zero, before: string) => `${before}${(0).toPrecision(9)}`),
      );
      if (ordered !== true) each.rows.sort();
    }
    expect(actual, again).toEqual(expected);
  });
});
