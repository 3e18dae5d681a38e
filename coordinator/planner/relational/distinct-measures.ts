/**
 * DISTINCT measures in two phases: values of a group that are in one chunk only are counted there,
 * and where they are not, one exchange of each value once brings them there. Pure.
 */
import { columnExpression, combine } from './expression.js';
import type { Grouping, SplitMeasure } from './aggregate-phases.js';
import type { Fragment } from './physical.js';
import type { Aggregate, Call, Column, Expression } from './relation.js';
import { twoPhase, type TwoPhase } from './two-phase.js';
import { over } from './wrap.js';
import { quoteName } from '../../../shared/sql-text.js';

type Measure = Aggregate['measures'][number];

/**
 * In two phases where no two chunks have the same value of a group.
 * @param keys columns that every group is of
 */
export function distinctApart(
  { column, call }: Measure,
  rows: readonly Fragment[],
  keys: ReadonlySet<string>,
): TwoPhase | undefined {
  const [only] = rows;
  const args = new Set(call.args.map((arg) => arg.column));
  const apart = only?.hashed.some((ids) => ids.every((id) => keys.has(id) || args.has(id)));
  if (rows.length > 1 || apart !== true) return undefined;
  const split = twoPhase({ ...call, distinct: false }, column.type);
  if (!split) return undefined;
  const partials = split.partials.map((partial) => ({
    ...partial,
    call: { ...partial.call, distinct: true },
  }));
  return { ...split, partials };
}

export interface DistinctFirst {
  /** The rows with the arguments as columns. */
  readonly rows: readonly Fragment[];
  readonly grouping: Grouping;
  /** Rows equal in these have to meet before anything is counted. */
  readonly by: readonly Expression[];
  /** A DISTINCT measure has no partials: its arguments are keys of the first phase. */
  readonly measures: readonly SplitMeasure[];
}

/**
 * A first phase whose groups are the keys and what is counted once.
 * @returns undefined where DISTINCT measures differ in what they count, or would not get smaller
 */
export function distinctFirst(
  rows: readonly Fragment[],
  keys: readonly Column[],
  measures: readonly Measure[],
): DistinctFirst | undefined {
  const counted = measures.find(({ column, call }) => !twoPhase(call, column.type));
  if (!counted) return undefined;
  const { args, filter } = counted.call;
  const id = (part: string): string => `${counted.column.id}.${part}`;
  const passes = filter && {
    column: { id: id('passes'), name: 'passes', type: 'BOOLEAN' },
    expression: combine(`(${filter.sql}) is true`, 'BOOLEAN', [filter]),
  };
  const counts = args.map((arg, at) => ({
    column: { id: id(`d${at}`), name: counted.column.name, type: arg.type },
    // What does not pass is of no matter, and need not be told apart.
    expression: filter
      ? combine(`case when ${filter.sql} then ${arg.sql} end`, arg.type, [filter, arg])
      : arg,
  }));
  const split: SplitMeasure[] = [];
  for (const measure of measures) {
    const { column, call } = measure;
    const own = twoPhase(call, column.type);
    const found = own ?? afterwards(measure, counted.call, counts, passes?.column);
    if (!found || (own && collects(own))) return undefined;
    split.push({ column, split: found });
  }
  const added = [...counts, ...(passes ? [passes] : [])];
  const by = [...keys, ...counts.map(({ column }) => column)];
  const groups = [...by, ...(passes ? [passes.column] : [])];
  return {
    rows: rows.map((fragment) => withColumns(fragment, added)),
    grouping: { keys: groups.map((column) => ({ column, from: column.id })), groupings: [] },
    by: by.map(columnExpression),
    measures: split,
  };
}

/** The measure over what the first phase left of its arguments. */
function afterwards(
  { column, call }: Measure,
  { args, filter }: Call,
  counts: readonly { readonly column: Column }[],
  passes: Column | undefined,
): TwoPhase | undefined {
  const parts = [...call.args, ...(call.filter ? [call.filter] : [])];
  const same =
    call.distinct &&
    call.order.length === 0 &&
    call.filter?.sql === filter?.sql &&
    call.args.length === args.length &&
    call.args.every(({ sql }, at) => sql === args[at]!.sql) &&
    parts.every(({ volatile }) => !volatile);
  if (!same || !twoPhase({ ...call, distinct: false }, column.type)) return undefined;
  const { filter: _passed, ...rest } = call;
  const left = {
    ...rest,
    args: counts.map((each) => columnExpression(each.column)),
    ...(passes ? { filter: columnExpression(passes) } : {}),
  };
  return {
    partials: [],
    finals: () => [{ call: left, type: column.type }],
    answer: ([id = '']) => quoteName(id),
  };
}

/** Whether its second phase keeps all partials: a row for each value would only add to them. */
function collects({ partials, finals }: TwoPhase): boolean {
  const ids = partials.map((_, at) => String(at));
  return finals(ids).some(({ call }) => call.name === 'list');
}

function withColumns(
  fragment: Fragment,
  added: readonly { readonly column: Column; readonly expression: Expression }[],
): Fragment {
  const { columns } = fragment.relation;
  return over(fragment, {
    kind: 'project',
    input: fragment.relation,
    expressions: [...columns.map(columnExpression), ...added.map(({ expression }) => expression)],
    columns: [...columns, ...added.map(({ column }) => column)],
  });
}
