/** Aggregate calls and window calls of the plan. */
import {
  decodeExpression,
  expressionsOf,
  optionalExpression,
  sortKeysOf,
} from './decode-expression.js';
import { folded } from './decode-folded.js';
import {
  flagOf,
  isObject,
  listOf,
  objectOf,
  textOf,
  unsupported,
  type PlanObject,
} from './plan-json.js';
import { type Scope, combine } from './expression.js';
import type { Call, Expression, FrameBound, SortKey, WindowCall } from './relation.js';

/** @throws UnsupportedPlan */
export function aggregateCall(tree: PlanObject, scope: Scope): Call {
  if (tree['expression_class'] !== 'BOUND_AGGREGATE') {
    return unsupported(`aggregate ${String(tree['expression_class'])}`);
  }
  const kind = tree['aggregate_type'];
  if (kind !== 'DISTINCT' && kind !== 'NON_DISTINCT') unsupported(`aggregate ${String(kind)}`);
  return call(tree, scope, kind === 'DISTINCT', tree['order_bys'], tree['filter']);
}

function call(
  tree: PlanObject,
  scope: Scope,
  distinct: boolean,
  orders: unknown,
  filter: unknown,
): Call {
  const name = textOf(tree['name'], 'aggregate');
  const given = expressionsOf(tree['children'], scope);
  const condition = optionalExpression(filter, scope);
  const { args, order } = folded(name, tree, given);
  return {
    name,
    args,
    distinct,
    ...(condition ? { filter: condition } : {}),
    order: [...order, ...sortKeysOf(orders, scope)],
  };
}

const windowNames: Readonly<Record<string, string>> = {
  WINDOW_RANK: 'rank',
  WINDOW_RANK_DENSE: 'dense_rank',
  WINDOW_DENSE_RANK: 'dense_rank',
  WINDOW_ROW_NUMBER: 'row_number',
  WINDOW_PERCENT_RANK: 'percent_rank',
  WINDOW_CUME_DIST: 'cume_dist',
  WINDOW_NTILE: 'ntile',
  WINDOW_LEAD: 'lead',
  WINDOW_LAG: 'lag',
  WINDOW_FIRST_VALUE: 'first_value',
  WINDOW_LAST_VALUE: 'last_value',
  WINDOW_NTH_VALUE: 'nth_value',
};

/** All of a window call but the column it makes. @throws UnsupportedPlan */
export function windowCall(tree: PlanObject, scope: Scope): Omit<WindowCall, 'column'> {
  if (tree['expression_class'] !== 'BOUND_WINDOW') unsupported('a window without a call');
  const kind = String(tree['type']);
  const name = windowNames[kind];
  const distinct = flagOf(tree['distinct'], 'window');
  const base =
    kind === 'WINDOW_AGGREGATE'
      ? call(tree, scope, distinct, tree['arg_orders'], tree['filters'])
      : plainCall(name ?? unsupported(`window ${kind}`), tree, scope, distinct);
  const keys = sortKeysOf(tree['orders'], scope);
  return {
    ...base,
    partition: expressionsOf(tree['partitions'], scope),
    keys,
    ignoreNulls: flagOf(tree['ignore_nulls'], 'window'),
    frame: frameOf(tree, keys, scope),
  };
}

function plainCall(name: string, tree: PlanObject, scope: Scope, distinct: boolean): Call {
  const more = ['offset_expr', 'default_expr'].flatMap((member) => {
    const argument = optionalExpression(tree[member], scope);
    return argument ? [argument] : [];
  });
  const given = expressionsOf(tree['children'], scope);
  const condition = optionalExpression(tree['filters'], scope);
  // A default without an offset: `lag(a, 1, 0)` cannot leave its second argument out.
  if (tree['default_expr'] && !tree['offset_expr']) {
    more.unshift(combine('cast(1 as BIGINT)', 'BIGINT', []));
  }
  return {
    name,
    args: [...given, ...more],
    distinct,
    ...(condition ? { filter: condition } : {}),
    order: sortKeysOf(tree['arg_orders'], scope),
  };
}

const excludes: Readonly<Record<string, 'current row' | 'group' | 'ties' | undefined>> = {
  NO_OTHER: undefined,
  CURRENT_ROW: 'current row',
  GROUP: 'group',
  TIES: 'ties',
};

function frameOf(tree: PlanObject, keys: readonly SortKey[], scope: Scope): WindowCall['frame'] {
  const names = [textOf(tree['start'], 'frame'), textOf(tree['end'], 'frame')] as const;
  const modes = names.flatMap((name) => /_(ROWS|RANGE|GROUPS)$/.exec(name)?.[1] ?? []);
  const mode = (modes[0] ?? 'ROWS').toLowerCase() as 'rows' | 'range' | 'groups';
  if (modes.some((each) => each.toLowerCase() !== mode)) unsupported('a frame of two modes');
  const clause = String(tree['exclude_clause']);
  if (!(clause in excludes)) unsupported(`frame exclude ${clause}`);
  const exclude = excludes[clause];
  const bound = (name: string, expression: unknown) =>
    boundOf(name, mode, optionalObject(expression), keys, scope);
  return {
    mode,
    start: bound(names[0], tree['start_expr']),
    end: bound(names[1], tree['end_expr']),
    ...(exclude ? { exclude } : {}),
  };
}

function optionalObject(value: unknown): PlanObject | undefined {
  return isObject(value) ? value : undefined;
}

function boundOf(
  name: string,
  mode: string,
  expression: PlanObject | undefined,
  keys: readonly SortKey[],
  scope: Scope,
): FrameBound {
  if (name === 'UNBOUNDED_PRECEDING') return { at: 'unboundedPreceding' };
  if (name === 'UNBOUNDED_FOLLOWING') return { at: 'unboundedFollowing' };
  if (name.startsWith('CURRENT_ROW')) return { at: 'current' };
  const match = /^EXPR_(PRECEDING|FOLLOWING)_/.exec(name);
  if (!match || !expression) return unsupported(`frame ${name}`);
  const at = match[1] === 'PRECEDING' ? 'preceding' : 'following';
  const offset =
    mode === 'range' ? rangeOffset(expression, keys, scope) : decodeExpression(expression, scope);
  return { at, offset };
}

/** Binding turns `range n preceding` into `order - n`; the offset is its second operand. */
function rangeOffset(expression: PlanObject, keys: readonly SortKey[], scope: Scope): Expression {
  if (expression['expression_class'] === 'BOUND_CAST') {
    return rangeOffset(objectOf(expression['child'], 'frame'), keys, scope);
  }
  const [base, offset, ...others] = listOf(expression['children'], 'frame');
  const sum =
    expression['expression_class'] === 'BOUND_FUNCTION' &&
    (expression['name'] === '+' || expression['name'] === '-') &&
    others.length === 0;
  const [key] = keys;
  if (!sum || !key || keys.length !== 1) return unsupported('a range frame of another kind');
  const read = decodeExpression(base, scope).reads.join();
  if (read !== key.expression.reads.join()) unsupported('a range frame of another kind');
  return decodeExpression(offset, scope);
}
