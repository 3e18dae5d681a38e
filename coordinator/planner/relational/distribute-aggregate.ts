/**
 * An aggregation over fragments: where the rows of a group already meet, at once; else in two phases,
 * so that groups travel instead of rows; else by their keys. Pure.
 */
import { answered, complete, finalAggregate, firstPhase } from './aggregate-phases.js';
import type { SplitMeasure } from './aggregate-phases.js';
import { distinctApart, distinctFirst } from './distinct-measures.js';
import type { Distributor, Lowered } from './distribute.js';
import { columnExpression } from './expression.js';
import { ofNoRows, setGroups } from './grouping-sets.js';
import type { Fragment } from './physical.js';
import type { Aggregate, Column, Relation } from './relation.js';
import { twoPhase } from './two-phase.js';
import { isSingle, neededBelow } from './wrap.js';

type Measure = Aggregate['measures'][number];

export function distributeAggregate(
  distributor: Distributor,
  aggregate: Aggregate,
  rows: Lowered,
  needed: ReadonlySet<string>,
): Lowered {
  if (!rows) return undefined;
  const used = withoutUnused(aggregate, needed);
  const keys = new Set(used.keys.map(({ from }) => from));
  const [only] = rows;
  const meets = (fragment: Fragment): boolean =>
    isSingle(fragment) ||
    (!used.sets && fragment.hashed.some((ids) => ids.every((id) => keys.has(id))));
  if (only && rows.length === 1 && meets(only)) return [complete(only, used)];

  // Of a set without keys: a group of all rows, which is there even where there are none.
  const all = (used.sets ?? [used.keys]).some((set) => set.length === 0);
  const sets = used.sets && setGroups(used);
  if (!sets) {
    const found = grouped(distributor, used, rows, all);
    return found && [found];
  }
  const split = splitAll(used.measures, rows, new Set());
  const groups = split
    ? merged(
        distributor,
        sets.aggregate,
        rows.map((fragment) => firstPhase(fragment, sets.grouping, split)),
        split,
      )
    : grouped(distributor, sets.aggregate, rows.map(sets.expanded), all);
  if (!groups) return undefined;
  const none = all && isEmpty(distributor, groups);
  return [none ? ofNoRows(used, rows[0]!) : sets.restored(groups)];
}

function withoutUnused(aggregate: Aggregate, needed: ReadonlySet<string>): Aggregate {
  const measures = aggregate.measures.filter(({ column }) => needed.has(column.id));
  const unused = new Set(aggregate.measures.map(({ column }) => column.id));
  for (const { column } of measures) unused.delete(column.id);
  return { ...aggregate, measures, columns: aggregate.columns.filter(({ id }) => !unused.has(id)) };
}

/**
 * In one phase or two; its rows have to be brought together.
 * @param all one of the groups has all rows
 */
function grouped(
  distributor: Distributor,
  aggregate: Aggregate,
  rows: readonly Fragment[],
  all: boolean,
): Fragment | undefined {
  const keys = keysIn(rows[0]!.relation, aggregate);
  // Of several sets, groups of one need not be of the same key.
  const common = new Set(aggregate.sets ? [] : keys.map(({ id }) => id));
  const split = splitAll(aggregate.measures, rows, common);
  if (split) {
    const grouping = { keys: keys.map((column) => ({ column, from: column.id })), groupings: [] };
    const partial = rows.map((fragment) => firstPhase(fragment, grouping, split));
    return merged(distributor, aggregate, partial, split);
  }
  const distinct = aggregate.sets ? undefined : distinctFirst(rows, keys, aggregate.measures);
  if (distinct && (all || isLarge(distributor, aggregate))) {
    const { grouping, measures, by } = distinct;
    const partial = distinct.rows.map((fragment) => firstPhase(fragment, grouping, measures));
    const values = distributor.divided(partial, by, idsOf(partial));
    const rest = finalAggregate(aggregate, measures);
    const counted = values && grouped(distributor, rest, [values], all);
    return counted && answered(counted, aggregate, measures);
  }
  const found = distributor.together(rows, travelKeys(aggregate, keys), idsOf(rows));
  return found && complete(found, aggregate);
}

/** The second phase over what the first has left. */
function merged(
  distributor: Distributor,
  aggregate: Aggregate,
  partial: readonly Fragment[],
  split: readonly SplitMeasure[],
): Fragment | undefined {
  const keys = keysIn(partial[0]!.relation, aggregate);
  const found = distributor.together(partial, travelKeys(aggregate, keys), idsOf(partial));
  return found && answered(complete(found, finalAggregate(aggregate, split)), aggregate, split);
}

/**
 * Undefined where not all of them can be.
 * @param keys columns that every group is of
 */
function splitAll(
  measures: readonly Measure[],
  rows: readonly Fragment[],
  keys: ReadonlySet<string>,
): SplitMeasure[] | undefined {
  const split = measures.flatMap((measure) => {
    const { column, call } = measure;
    const own = twoPhase(call, column.type);
    const found = own ?? (call.distinct ? distinctApart(measure, rows, keys) : undefined);
    return found ? [{ column, split: found }] : [];
  });
  return split.length === measures.length ? split : undefined;
}

/** Whether its rows are more than a chunk reads whole: fewer go to their keys, an exchange less. */
function isLarge({ estimates, options }: Distributor, aggregate: Aggregate): boolean {
  const measured = new Set(aggregate.measures.map(({ column }) => column.id));
  const bytes = estimates.bytes(aggregate.input, neededBelow(aggregate, measured));
  return bytes > options.broadcastBytes;
}

/** The columns that are grouped by, each once. */
function keysIn(input: Relation, { keys }: Aggregate): Column[] {
  const wanted = new Set(keys.map(({ from }) => from));
  return input.columns.filter(({ id }) => wanted.has(id));
}

/** The coarsest of several sets may hold all groups. */
function travelKeys({ sets }: Aggregate, keys: readonly Column[]) {
  return sets ? [] : keys.map(columnExpression);
}

function idsOf(rows: readonly Fragment[]): Set<string> {
  return new Set(rows[0]!.relation.columns.map(({ id }) => id));
}

/** Whether it is known that no row came through the exchange. */
function isEmpty({ options }: Distributor, { driving }: Fragment): boolean {
  if (driving.kind !== 'partitions') return false;
  const stages = driving.inputs.flatMap((input) => input.stages);
  return stages.every((key) => options.results.get(key)?.rows === 0);
}
