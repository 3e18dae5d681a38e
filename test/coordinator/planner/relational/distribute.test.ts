import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { supported } from './queries.js';
import type { Query } from '../../../../coordinator/planner/relational/relation.js';
import { decodeSql, simulate, type SimulationOptions } from './simulate.js';
import { openOracle, resultOf, type Oracle } from './tables.js';

let oracle: Oracle;
beforeAll(async () => {
  oracle = await openOracle();
});
afterAll(() => oracle.close());

interface Known {
  readonly query: Query;
  readonly expected: Awaited<ReturnType<typeof resultOf>>;
}

/** Planning and asking take longer than what is asked: once for all ways. */
const known = new Map<string, Promise<Known>>();
function knownOf(sql: string): Promise<Known> {
  const ask = async (): Promise<Known> => ({
    query: await decodeSql(oracle, sql),
    expected: await resultOf(oracle.connection, sql),
  });
  const found = known.get(sql) ?? ask();
  known.set(sql, found);
  return found;
}

/** Zeros of either sign are equal: which of them stands for a group is anybody's choice. */
const unsigned = (row: string): string =>
  row.replace(/(^| )-0(?= |$)/g, (_zero, before: string) => `${before}${(0).toPrecision(9)}`);

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
    const { query, expected } = await knownOf(sql);
    const { sql: again } = await simulate(oracle.connection, query, options);
    const comparable = ({ rows: found, ...rest }: Known['expected']) => {
      const texts = found.map(unsigned);
      return { ...rest, rows: ordered === true ? texts : texts.sort() };
    };
    const actual = await resultOf(oracle.connection, again);
    expect(comparable(actual), again).toEqual(comparable(expected));
  });
});
