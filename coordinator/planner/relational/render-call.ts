/** Calls, orders and frames of a relational plan as SQL. */
import { calledName } from './decode-function.js';
import type { Call, FrameBound, SortKey, WindowCall } from './relation.js';

/** `order by …` */
export function orderText(keys: readonly SortKey[]): string {
  const texts = keys.map(
    ({ expression, descending, nullsFirst }) =>
      `${expression.sql} ${descending ? 'desc' : 'asc'} nulls ${nullsFirst ? 'first' : 'last'}`,
  );
  return `order by ${texts.join(', ')}`;
}

export function callText(call: Call, ignoreNulls = false): string {
  const filter = call.filter ? ` filter (where ${call.filter.sql})` : '';
  if (call.name === 'count_star') return `count(*)${filter}`;
  const inside = [
    `${call.distinct ? 'distinct ' : ''}${call.args.map(({ sql }) => sql).join(', ')}`,
    ...(call.order.length > 0 ? [orderText(call.order)] : []),
    ...(ignoreNulls ? ['ignore nulls'] : []),
  ];
  return `${calledName(call.name)}(${inside.join(' ')})${filter}`;
}

export function windowText(call: WindowCall): string {
  const { mode, start, end, exclude } = call.frame;
  const partition = call.partition.map(({ sql }) => sql).join(', ');
  const usual =
    mode === 'range' &&
    start.at === 'unboundedPreceding' &&
    end.at === 'current' &&
    exclude === undefined;
  const frame =
    `${mode} between ${boundText(start)} and ${boundText(end)}` +
    (exclude ? ` exclude ${exclude}` : '');
  const parts = [
    ...(partition ? [`partition by ${partition}`] : []),
    ...(call.keys.length > 0 ? [orderText(call.keys)] : []),
    ...(usual ? [] : [frame]),
  ];
  return `${callText(call, call.ignoreNulls)} over (${parts.join(' ')})`;
}

function boundText(bound: FrameBound): string {
  switch (bound.at) {
    case 'unboundedPreceding':
      return 'unbounded preceding';
    case 'unboundedFollowing':
      return 'unbounded following';
    case 'current':
      return 'current row';
    case 'preceding':
    case 'following':
      return `${bound.offset?.sql ?? ''} ${bound.at}`;
  }
}
