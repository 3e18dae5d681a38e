/**
 * Aggregations, distinct rows, windows and unnested lists of the plan, over inputs that are decoded
 * already.
 */
import { aggregateCall, windowCall } from './decode-call.js';
import { decodeExpression, expressionsOf, sortKeysOf } from './decode-expression.js';
import { asColumns, onlyKnown, type Decoded, type DecodeState } from './decode-state.js';
import { typeText } from './decode-type.js';
import { indexOf, isObject, listOf, objectsOf, unsupported, type PlanObject } from './plan-json.js';
import type { Aggregate, Relation } from './relation.js';

export function aggregateOf(
  tree: PlanObject,
  { relation: below, slots: before }: Decoded,
  state: DecodeState,
): Decoded {
  onlyKnown(tree, [
    'expressions',
    'group_index',
    'aggregate_index',
    'groupings_index',
    'groups',
    'grouping_sets',
    'grouping_functions',
    'distinct_validity',
  ]);
  const scope = state.scope(before);
  const groups = objectsOf(tree['groups'], 'group');
  const positions = (value: unknown) => listOf(value, 'group').map((at) => indexOf(at, 'group'));
  const given = listOf(tree['grouping_sets'], 'grouping set').map(positions);
  const whole = given.length === 1 && new Set(given[0]).size === groups.length;
  const sets = given.length === 0 || whole ? undefined : given;
  // A set may have the one and not the other of two keys that are one column.
  const keyed = asColumns(
    below,
    expressionsOf(groups, scope),
    (index) => String(groups[index]?.['alias'] ?? '') || `key${index}`,
    state,
    sets !== undefined,
  );
  const groupSlots = keyed.columns.map((key) => (sets ? state.column(key.name, key.type) : key));
  const keys = keyed.columns
    .map((from, index) => ({ column: groupSlots[index] ?? from, from: from.id }))
    .filter((key, index, all) => sets || all.findIndex((each) => each.from === key.from) === index);
  const measures = objectsOf(tree['expressions'], 'aggregate').map((each) => {
    const call = aggregateCall(each, scope);
    return { column: state.column(call.name, returnType(each)), call };
  });
  const groupings = listOf(tree['grouping_functions'], 'grouping').map((each) => ({
    column: state.column('grouping', 'BIGINT'),
    keys: positions(each),
  }));
  if (groupings.length > 0 && keys.length !== groups.length)
    unsupported('grouping of a repeated key');
  const added = [...measures, ...groupings].map(({ column }) => column);
  state.bind(tree['group_index'], groupSlots);
  state.bind(tree['aggregate_index'], added.slice(0, measures.length));
  const relation: Aggregate = {
    kind: 'aggregate',
    input: keyed.relation,
    keys,
    ...(sets ? { sets } : {}),
    measures,
    groupings,
    columns: [...keys.map(({ column }) => column), ...added],
  };
  return { relation, slots: [...groupSlots, ...added] };
}

function returnType(tree: PlanObject): string {
  return typeText(tree['return_type']);
}

export function distinctOf(
  tree: PlanObject,
  { relation: input, slots }: Decoded,
  state: DecodeState,
): Decoded {
  onlyKnown(tree, ['distinct_type', 'distinct_targets', 'order_by']);
  const scope = state.scope(slots);
  const on = expressionsOf(tree['distinct_targets'], scope);
  const keys = isObject(tree['order_by']) ? sortKeysOf(tree['order_by'], scope) : [];
  const named = new Set(on.map(({ column }) => column));
  const all = input.columns.every(({ id }) => named.has(id));
  const relation: Relation = {
    kind: 'distinct',
    input,
    ...(all && keys.length === 0 ? {} : { on }),
    keys,
    columns: input.columns,
  };
  return { relation, slots };
}

export function windowOf(
  tree: PlanObject,
  { relation: input, slots: before }: Decoded,
  state: DecodeState,
): Decoded {
  onlyKnown(tree, ['window_index', 'expressions']);
  const calls = objectsOf(tree['expressions'], 'window').map((each) => {
    const call = windowCall(each, state.scope(before));
    return { ...call, column: state.column(call.name, returnType(each)) };
  });
  const added = calls.map(({ column }) => column);
  state.bind(tree['window_index'], added);
  const columns = [...input.columns, ...added];
  return { relation: { kind: 'window', input, calls, columns }, slots: [...before, ...added] };
}

export function unnestOf(
  tree: PlanObject,
  { relation: input, slots: before }: Decoded,
  state: DecodeState,
): Decoded {
  onlyKnown(tree, ['unnest_index', 'expressions']);
  const lists = objectsOf(tree['expressions'], 'unnest').map((each) => {
    if (each['expression_class'] !== 'BOUND_UNNEST') unsupported('unnest of another kind');
    const list = decodeExpression(each['child'], state.scope(before));
    return { column: state.column('unnest', returnType(each)), list };
  });
  const added = lists.map(({ column }) => column);
  state.bind(tree['unnest_index'], added);
  const columns = [...input.columns, ...added];
  return { relation: { kind: 'unnest', input, lists, columns }, slots: [...before, ...added] };
}
