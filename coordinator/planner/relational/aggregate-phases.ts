/**
 * The two phases of an aggregation, each over one fragment: what producers write of their own rows,
 * and how that becomes the answer. Pure; never decides where rows go.
 */
import { columnExpression, combine } from './expression.js';
import type { Fragment } from './physical.js';
import type { Aggregate, Column } from './relation.js';
import type { PhaseCall, TwoPhase } from './two-phase.js';
import { over, whole } from './wrap.js';

export interface SplitMeasure {
  readonly column: Column;
  readonly split: TwoPhase;
}

export type Grouping = Pick<Aggregate, 'keys' | 'sets' | 'groupings'>;

/** The aggregation over rows that are where they belong. */
export function complete(fragment: Fragment, aggregate: Aggregate): Fragment {
  const renamed = new Map(aggregate.keys.map(({ column, from }) => [from, column.id]));
  // In a set without the key its rows are of one group, wherever they are.
  const together = aggregate.sets ? [] : fragment.hashed;
  const hashed = together.map((ids) => ids.map((id) => renamed.get(id) ?? id));
  return over(whole(fragment), { ...aggregate, input: fragment.relation }, hashed);
}

/** Groups of these rows alone, with the measures' partials. */
export function firstPhase(
  fragment: Fragment,
  { keys, sets, groupings }: Grouping,
  measures: readonly SplitMeasure[],
): Fragment {
  const partials = measures.flatMap(({ column, split }) => numbered(column, 'p', split.partials));
  const columns = [...keys, ...partials, ...groupings].map(({ column }) => column);
  const aggregated = complete(fragment, {
    kind: 'aggregate',
    input: fragment.relation,
    keys,
    ...(sets ? { sets } : {}),
    measures: partials,
    groupings,
    columns,
  });
  const cast = new Set(partials.map(({ column }) => column.id));
  return over(aggregated, {
    kind: 'project',
    input: aggregated.relation,
    expressions: columns.map((column) => {
      const itself = columnExpression(column);
      if (!cast.has(column.id)) return itself;
      return combine(`cast(${itself.sql} as ${column.type})`, column.type, [itself]);
    }),
    columns,
  });
}

/** What is left to aggregate of the first phase's columns. */
export function finalAggregate(aggregate: Aggregate, measures: readonly SplitMeasure[]): Aggregate {
  const finals = measures.flatMap((measure) => finalsOf(measure));
  const others = [...aggregate.keys, ...aggregate.groupings].map(({ column }) => column);
  return {
    ...aggregate,
    measures: finals,
    columns: [...others, ...finals.map(({ column }) => column)],
  };
}

/** The aggregation's columns from those of the final one. */
export function answered(
  fragment: Fragment,
  { columns }: Aggregate,
  measures: readonly SplitMeasure[],
): Fragment {
  const answers = new Map(
    measures.map((measure) => {
      const read = finalsOf(measure).map(({ column }) => columnExpression(column));
      const sql = measure.split.answer(read.flatMap(({ reads }) => reads));
      return [measure.column.id, combine(sql, measure.column.type, read)];
    }),
  );
  const expressions = columns.map((column) => answers.get(column.id) ?? columnExpression(column));
  return over(fragment, { kind: 'project', input: fragment.relation, expressions, columns });
}

function finalsOf({ column, split }: SplitMeasure): Aggregate['measures'] {
  const ids = numbered(column, 'p', split.partials).map((partial) => partial.column.id);
  return numbered(column, 'f', split.finals(ids));
}

function numbered(
  { id, name }: Column,
  phase: 'p' | 'f',
  calls: readonly PhaseCall[],
): Aggregate['measures'] {
  return calls.map(({ call, type }, index) => ({
    column: { id: `${id}.${phase}${index}`, name, type },
    call,
  }));
}
