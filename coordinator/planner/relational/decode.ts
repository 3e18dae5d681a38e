/**
 * From DuckDB's serialised logical plan to a relational plan. What is not known for certain is
 * `unsupported` by name; never a plan that might mean something else.
 */
import { conjunctsOf, decodeExpression, sortKeysOf } from './decode-expression.js';
import { aggregateOf, distinctOf, unnestOf, windowOf } from './decode-grouping.js';
import { decodeJoin, delimGet } from './decode-join.js';
import { leafOf } from './decode-leaf.js';
import {
  columnsIn,
  DecodeState,
  narrowed,
  onlyKnown,
  operatorName,
  type Decoded,
  type Slot,
} from './decode-state.js';
import {
  digitsOf,
  flagOf,
  indexOf,
  listOf,
  objectOf,
  objectsOf,
  parsePlan,
  UnsupportedPlan,
  unsupported,
  type PlanObject,
} from './plan-json.js';
import type { Column, Expression, Limit, Query, Relation, SetOperation } from './relation.js';

export type DecodedQuery =
  | { readonly ok: true; readonly query: Query }
  /** `what` names it in lower case, as in `operator sample`. */
  | { readonly ok: false; readonly what: string };

/**
 * @param json what `json_serialize_plan` gave
 * @param names of the result's columns, in order
 * @param isVolatile whether a function may give another value for the same arguments
 */
export function decodeQuery(
  json: string,
  names: readonly string[],
  isVolatile: (functionName: string) => boolean,
): DecodedQuery {
  try {
    const root = objectOf(parsePlan(json), 'plan');
    if (root['error'] !== false) unsupported(`a plan with error ${String(root['error_message'])}`);
    const [plan, ...others] = objectsOf(root['plans'], 'plan');
    if (!plan || others.length > 0) return { ok: false, what: 'several statements' };
    const { relation, slots } = decode(
      plan,
      new DecodeState(prefixFor(json + JSON.stringify(names)), isVolatile),
    );
    if (slots.length !== names.length) unsupported('a result of other columns than it declares');
    const result = slots.map((slot, index): Column => {
      const column = slot ?? unsupported('a result column that is not there');
      return { ...column, name: names[index] ?? column.name };
    });
    return { ok: true, query: { relation, result } };
  } catch (error) {
    if (error instanceof UnsupportedPlan) return { ok: false, what: error.what };
    throw error;
  }
}

/**
 * What ids begin with. Nothing in quotes begins so anywhere in the plan, neither as a name nor within
 * a text: ORDER BY takes no result column for an id, and in SQL ids can be told from all else.
 */
function prefixFor(json: string): string {
  let prefix = 'c';
  while (new RegExp(`"${prefix}s?\\d`, 'i').test(json)) prefix += '_';
  return prefix;
}

function decode(tree: PlanObject, state: DecodeState): Decoded {
  const child = (each: PlanObject) => decode(each, state);
  switch (tree['type']) {
    case 'LOGICAL_FILTER':
      return filter(tree, state);
    case 'LOGICAL_PROJECTION':
      return projection(tree, state);
    case 'LOGICAL_AGGREGATE_AND_GROUP_BY':
      return aggregateOf(tree, only(tree, state), state);
    case 'LOGICAL_COMPARISON_JOIN':
    case 'LOGICAL_ANY_JOIN':
    case 'LOGICAL_CROSS_PRODUCT':
    case 'LOGICAL_DELIM_JOIN':
    case 'LOGICAL_ASOF_JOIN':
      return decodeJoin(tree, child, state);
    case 'LOGICAL_DELIM_GET':
      return delimGet(tree, state);
    case 'LOGICAL_ORDER_BY':
      return sort(tree, state);
    case 'LOGICAL_LIMIT':
      return limit(tree, state);
    case 'LOGICAL_DISTINCT':
      return distinctOf(tree, only(tree, state), state);
    case 'LOGICAL_WINDOW':
      return windowOf(tree, only(tree, state), state);
    case 'LOGICAL_UNNEST':
      return unnestOf(tree, only(tree, state), state);
    case 'LOGICAL_UNION':
    case 'LOGICAL_INTERSECT':
    case 'LOGICAL_EXCEPT':
      return setOperation(tree, state);
    case 'LOGICAL_MATERIALIZED_CTE':
      return sharedResult(tree, state);
    case 'LOGICAL_CTE_REF':
      return reference(tree, state);
    default:
      return leafOf(tree, child, state) ?? unsupported(`operator ${operatorName(tree)}`);
  }
}

function only(tree: PlanObject, state: DecodeState): Decoded {
  const [child, ...others] = objectsOf(tree['children'], 'plan');
  return child && others.length === 0
    ? decode(child, state)
    : unsupported(`${operatorName(tree)} without one input`);
}

function filter(tree: PlanObject, state: DecodeState): Decoded {
  onlyKnown(tree, ['expressions', 'projection_map']);
  const { relation: input, slots: before } = only(tree, state);
  const scope = state.scope(before);
  const conditions = objectsOf(tree['expressions'], 'filter')
    .flatMap(conjunctsOf)
    .map((each) => decodeExpression(each, scope));
  const kept = listOf(tree['projection_map'], 'filter').map((at) => indexOf(at, 'filter'));
  if (kept.some((at) => at >= before.length)) unsupported('a filter of columns that are not there');
  const slots = kept.length > 0 ? kept.map((at) => before[at]) : before;
  // The optimiser leaves filters behind whose conditions it has moved.
  if (conditions.length === 0) return narrowed(input, slots);
  return narrowed({ kind: 'filter', input, conditions, columns: input.columns }, slots);
}

function projection(tree: PlanObject, state: DecodeState): Decoded {
  onlyKnown(tree, ['table_index', 'expressions']);
  const { relation: input, slots: before } = only(tree, state);
  const scope = state.scope(before);
  const trees = objectsOf(tree['expressions'], 'projection');
  const made = new Map<string, Expression>();
  const known = new Map(input.columns.map((column) => [column.id, column]));
  const slots = trees.map((each): Slot => {
    const expression = decodeExpression(each, scope);
    const passed = expression.column === undefined ? undefined : known.get(expression.column);
    const alias = each['alias'];
    const name = typeof alias === 'string' && alias !== '' ? alias : 'expression';
    const column = passed ?? state.column(name, expression.type);
    made.set(column.id, expression);
    return column;
  });
  state.bind(tree['table_index'], slots);
  const columns = columnsIn(slots);
  const expressions = columns.map(({ id }) => made.get(id) ?? unsupported('projection'));
  return { relation: { kind: 'project', input, columns, expressions }, slots };
}

function sort(tree: PlanObject, state: DecodeState): Decoded {
  onlyKnown(tree, ['orders']);
  const { relation: input, slots } = only(tree, state);
  const keys = sortKeysOf(tree['orders'], state.scope(slots));
  return { relation: { kind: 'sort', input, keys, columns: input.columns }, slots };
}

function limit(tree: PlanObject, state: DecodeState): Decoded {
  onlyKnown(tree, ['limit_val', 'offset_val']);
  const { relation: child, slots } = only(tree, state);
  const count = rowCount(tree['limit_val'], 'limit');
  const offset = rowCount(tree['offset_val'], 'offset');
  const sorted = child.kind === 'sort';
  const relation: Limit = {
    kind: 'limit',
    input: sorted ? child.input : child,
    ...(count === undefined ? {} : { limit: count }),
    ...(offset === undefined ? {} : { offset }),
    keys: sorted ? child.keys : [],
    columns: child.columns,
  };
  return { relation, slots };
}

function rowCount(value: unknown, what: string): string | undefined {
  const count = objectOf(value, what);
  switch (count['type']) {
    case 'UNSET':
      return undefined;
    case 'CONSTANT_VALUE':
      return digitsOf(count['constant_integer'], what);
    default:
      return unsupported(`${what} ${String(count['type']).toLowerCase()}`);
  }
}

function setOperation(tree: PlanObject, state: DecodeState): Decoded {
  onlyKnown(tree, ['table_index', 'column_count', 'setop_all', 'allow_out_of_order']);
  const children = objectsOf(tree['children'], 'set operation').map((each) => decode(each, state));
  const inputs = children.map(({ relation, slots }) => ({
    relation,
    columns: slots.map((slot) => slot ?? unsupported('a row number in a set operation')),
  }));
  const [first, ...others] = inputs;
  if (!first || others.length === 0) return unsupported('set operation without two sides');
  for (const other of others) {
    const equal = first.columns.every(({ type }, index) => other.columns[index]?.type === type);
    if (!equal || other.columns.length !== first.columns.length) {
      unsupported('a set operation of different types');
    }
  }
  const slots = first.columns.map(({ name, type }) => state.column(name, type));
  state.bind(tree['table_index'], slots);
  const operation = operatorName(tree) as SetOperation['operation'];
  const relation: SetOperation = {
    kind: 'set',
    operation,
    all: flagOf(tree['setop_all'], operation),
    inputs: inputs.map((input) => ({
      relation: input.relation,
      ids: input.columns.map(({ id }) => id),
    })),
    columns: slots,
  };
  return { relation, slots };
}

function sharedResult(tree: PlanObject, state: DecodeState): Decoded {
  onlyKnown(tree, ['table_index', 'column_count', 'ctename', 'materialize', 'correlated_columns']);
  const [first, second, ...others] = objectsOf(tree['children'], 'cte');
  if (!first || !second || others.length > 0) return unsupported('a cte of another kind');
  const definition = decode(first, state);
  const shared = state.share(definition.slots);
  state.ctes.set(indexOf(tree['table_index'], 'cte'), shared);
  const body = decode(second, state);
  const relation: Relation = {
    kind: 'shared',
    id: shared.id,
    definition: definition.relation,
    body: body.relation,
    columns: body.relation.columns,
  };
  return { relation, slots: body.slots };
}

function reference(tree: PlanObject, state: DecodeState): Decoded {
  onlyKnown(tree, ['table_index', 'cte_index', 'chunk_types', 'bound_columns']);
  const shared = state.ctes.get(indexOf(tree['cte_index'], 'cte'));
  if (!shared) return unsupported('a recursive cte');
  const types = listOf(tree['chunk_types'], 'cte');
  if (types.length !== shared.slots.length) unsupported('a cte of other columns than its use');
  const decoded = state.refer(shared);
  state.bind(tree['table_index'], decoded.slots);
  return decoded;
}
