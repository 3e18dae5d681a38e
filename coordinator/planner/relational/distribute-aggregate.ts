/**
 * An aggregation over fragments: where the rows of a group already meet, at once; else in two phases,
 * so that groups travel instead of rows; else by their keys. Pure.
 */
import type { Distributor, Lowered } from './distribute.js';
import type { Fragment } from './physical.js';
import type { Aggregate, Column, Expression, Relation } from './relation.js';
import { twoPhase, type TwoPhase } from './two-phase.js';
import { isSingle, over, whole } from './wrap.js';
import { columnExpression } from './expression.js';

interface SplitMeasure {
  readonly column: Column;
  readonly split: TwoPhase;
}

export function distributeAggregate(
  distributor: Distributor,
  aggregate: Aggregate,
  rows: Lowered,
  needed: ReadonlySet<string>,
): Lowered {
  if (!rows) return undefined;
  const measures = aggregate.measures.filter(({ column }) => needed.has(column.id));
  const used: Aggregate = {
    ...aggregate,
    measures,
    columns: aggregate.columns.filter(
      ({ id }) =>
        !aggregate.measures.some(({ column }) => column.id === id) ||
        measures.some(({ column }) => column.id === id),
    ),
  };
  const from = new Set(aggregate.keys.map((key) => key.from));
  const [only] = rows;
  const meets = (fragment: Fragment): boolean =>
    isSingle(fragment) ||
    (!aggregate.sets && fragment.hashed.some((ids) => ids.every((id) => from.has(id))));
  if (only && rows.length === 1 && meets(only)) return [complete(only, used)];

  const split = measures.flatMap(({ column, call }): SplitMeasure[] => {
    const found = twoPhase(call, column.type);
    return found ? [{ column, split: found }] : [];
  });
  const keys = keysIn(rows[0]!.relation, used);
  if (split.length === measures.length) {
    const partial = rows.map((fragment) => firstPhase(fragment, keys, split));
    const columns = new Set(partial[0]!.relation.columns.map(({ id }) => id));
    // The coarsest of several sets may hold all groups.
    const found = distributor.together(partial, aggregate.sets ? [] : keys, columns);
    return found && [secondPhase(found, used, split)];
  }
  const columns = new Set(rows[0]!.relation.columns.map(({ id }) => id));
  const found = distributor.together(rows, aggregate.sets ? [] : keys, columns);
  return found && [complete(found, used)];
}

function complete(fragment: Fragment, aggregate: Aggregate): Fragment {
  const renamed = new Map(aggregate.keys.map(({ column, from }) => [from, column.id]));
  const hashed = fragment.hashed.map((ids) => ids.map((id) => renamed.get(id) ?? id));
  return over(whole(fragment), { ...aggregate, input: fragment.relation }, hashed);
}

/** The columns that are grouped by, each once. */
function keysIn(input: Relation, { keys }: Aggregate): Expression[] {
  const wanted = new Set(keys.map(({ from }) => from));
  return input.columns.filter(({ id }) => wanted.has(id)).map(columnExpression);
}

function firstPhase(
  fragment: Fragment,
  keys: readonly Expression[],
  measures: readonly SplitMeasure[],
): Fragment {
  const groups = fragment.relation.columns.filter(({ id }) =>
    keys.some(({ column }) => column === id),
  );
  const partials = measures.flatMap(({ column, split }) =>
    split.partials.map(({ call, type }, index) => ({
      call,
      column: { id: `${column.id}.p${index}`, name: column.name, type },
    })),
  );
  const aggregated: Relation = {
    kind: 'aggregate',
    input: fragment.relation,
    keys: groups.map((column) => ({ column, from: column.id })),
    measures: partials,
    groupings: [],
    columns: [...groups, ...partials.map(({ column }) => column)],
  };
  return over(whole(fragment), {
    kind: 'project',
    input: aggregated,
    expressions: aggregated.columns.map((column, at) => {
      const itself = columnExpression(column);
      return at < groups.length
        ? itself
        : { ...expressionOf(`cast(${itself.sql} as ${column.type})`, column), reads: [column.id] };
    }),
    columns: aggregated.columns,
  });
}

function secondPhase(
  fragment: Fragment,
  aggregate: Aggregate,
  measures: readonly SplitMeasure[],
): Fragment {
  const parts = measures.map(({ column, split }) => {
    const ids = split.partials.map((_, index) => `${column.id}.p${index}`);
    const calls = split.finals(ids).map((call, index) => ({
      call,
      column: { id: `${column.id}.f${index}`, name: column.name, type: call.args[0]!.type },
    }));
    const read = calls.map((each) => each.column.id);
    return { column, calls, answer: { ...expressionOf(split.answer(read), column), reads: read } };
  });
  const calls = parts.flatMap((part) => part.calls);
  const others = [
    ...aggregate.keys.map(({ column }) => column),
    ...aggregate.groupings.map(({ column }) => column),
  ];
  const final = complete(fragment, {
    ...aggregate,
    measures: calls,
    columns: [...others, ...calls.map(({ column }) => column)],
  });
  return over(final, {
    kind: 'project',
    input: final.relation,
    expressions: [...others.map(columnExpression), ...parts.map(({ answer }) => answer)],
    columns: [...others, ...parts.map(({ column }) => column)],
  });
}

function expressionOf(sql: string, { type }: Column): Expression {
  return { sql, type, reads: [], volatile: false, constant: false };
}
