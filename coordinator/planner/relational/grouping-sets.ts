/**
 * Grouping sets as ordinary groups: each row says to which set it belongs, so that groups of all sets
 * meet by their keys. Pure; never decides where rows go.
 */
import { complete, type Grouping } from './aggregate-phases.js';
import { columnExpression, combine } from './expression.js';
import type { Fragment } from './physical.js';
import type { Aggregate, Column, Expression } from './relation.js';
import { neededBelow, over } from './wrap.js';
import { quoteName } from '../../../shared/sql-text.js';

/** Bits that `grouping` can give. */
const keysMax = 63;

export interface SetGroups {
  /** The same groups without sets: the number of a group's set is the first of its keys. */
  readonly aggregate: Aggregate;
  /** Of rows as they are, each set once, with the set's number. */
  readonly grouping: Grouping;
  /** Each row once for each of the sets, without the keys that are not in the set. */
  readonly expanded: (fragment: Fragment) => Fragment;
  /** The aggregation's own columns, and the groups of a set as often as it is asked for. */
  readonly restored: (fragment: Fragment) => Fragment;
}

/** @returns undefined where the groups have no keys, or too many */
export function setGroups(aggregate: Aggregate): SetGroups | undefined {
  const { sets = [], keys } = aggregate;
  if (keys.length === 0 || keys.length > keysMax) return undefined;
  const number: Column = { id: `${keys[0]!.column.id}.set`, name: 'set', type: 'BIGINT' };
  /** Of the number, as `grouping` of all keys has it: set where the key is not in the set. */
  const bitOf = (key: number): number => keys.length - 1 - key;
  const numberOf = (set: readonly number[]): bigint =>
    keys.reduce((sum, _, key) => (set.includes(key) ? sum : sum | (1n << BigInt(bitOf(key)))), 0n);
  const times = new Map<bigint, number>();
  for (const set of sets) times.set(numberOf(set), (times.get(numberOf(set)) ?? 0) + 1);
  const unique = new Map(sets.map((set) => [numberOf(set), set]));
  const all = [number, ...keys.map(({ column }) => column)];
  const measured = aggregate.measures.map(({ column }) => column);
  return {
    aggregate: {
      kind: 'aggregate',
      input: aggregate.input,
      keys: all.map((column) => ({ column, from: column.id })),
      measures: aggregate.measures,
      groupings: [],
      columns: [...all, ...measured],
    },
    grouping: {
      keys,
      sets: [...unique.values()],
      groupings: [{ column: number, keys: keys.map((_, at) => at) }],
    },
    expanded: (fragment) => expanded(fragment, aggregate, number, [...unique.keys()]),
    restored: (fragment) => {
      const bits = new Map(
        aggregate.groupings.map(({ column, keys: asked }) => [
          column.id,
          bitsOf(number, asked.map(bitOf), column.type),
        ]),
      );
      const expressions = aggregate.columns.map(
        (column) => bits.get(column.id) ?? columnExpression(column),
      );
      const input = repeated(fragment, number, times);
      return over(input, {
        kind: 'project',
        input: input.relation,
        expressions,
        columns: aggregate.columns,
      });
    },
  };
}

/** DuckDB's own answer where there are no rows. */
export function ofNoRows(aggregate: Aggregate, { relation }: Fragment): Fragment {
  const none = { kind: 'values', rows: [], columns: relation.columns } as const;
  return complete({ driving: { kind: 'once' }, sides: [], relation: none, hashed: [] }, aggregate);
}

function expanded(
  fragment: Fragment,
  aggregate: Aggregate,
  number: Column,
  numbers: readonly bigint[],
): Fragment {
  const { keys, measures } = aggregate;
  const input = unnested(fragment, number, listOf(numbers));
  const ids = new Set(measures.map(({ column }) => column.id));
  const read = neededBelow({ ...aggregate, keys: [] }, ids);
  const others = fragment.relation.columns.filter(({ id }) => read.has(id));
  const own = keys.map(({ column, from }, at) => {
    const key = columnExpression({ ...column, id: from });
    const absent = bitsOf(number, [keys.length - 1 - at], number.type);
    const inSet = `${absent.sql} = ${integer(0n)}`;
    return combine(`case when ${inSet} then ${key.sql} end`, column.type, [absent, key]);
  });
  return over(input, {
    kind: 'project',
    input: input.relation,
    expressions: [columnExpression(number), ...own, ...others.map(columnExpression)],
    columns: [number, ...keys.map(({ column }) => column), ...others],
  });
}

function repeated(
  fragment: Fragment,
  number: Column,
  times: ReadonlyMap<bigint, number>,
): Fragment {
  const more = [...times].filter(([, count]) => count > 1);
  if (more.length === 0) return fragment;
  const itself = columnExpression(number);
  const cases = more.map(
    ([set, count]) => `when ${integer(set)} then ${listOf(Array<bigint>(count).fill(set)).sql}`,
  );
  const list = combine(
    `case ${itself.sql} ${cases.join(' ')} else ${listOf([0n]).sql} end`,
    'BIGINT[]',
    [itself],
  );
  return unnested(fragment, { ...number, id: `${number.id}.again` }, list);
}

function unnested(fragment: Fragment, column: Column, list: Expression): Fragment {
  return over(fragment, {
    kind: 'unnest',
    input: fragment.relation,
    lists: [{ column, list }],
    columns: [...fragment.relation.columns, column],
  });
}

/** Bits of the set's number, the first of them the highest, as `grouping` gives them. */
function bitsOf({ id }: Column, bits: readonly number[], type: string): Expression {
  const name = quoteName(id);
  const shifted = bits.map((bit, at) => {
    const one = `((${name} >> ${integer(BigInt(bit))}) & ${integer(1n)})`;
    const left = bits.length - 1 - at;
    return left === 0 ? one : `(${one} << ${integer(BigInt(left))})`;
  });
  return combine(shifted.join(' + '), type, [columnExpression({ id, name: id, type: 'BIGINT' })]);
}

function listOf(values: readonly bigint[]): Expression {
  return combine(`[${values.map(integer).join(', ')}]`, 'BIGINT[]', []);
}

function integer(value: bigint): string {
  return `cast(${value} as BIGINT)`;
}
