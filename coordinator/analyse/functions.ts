/**
 * Which SQL functions an expression may call, and which stand for something else. Unknown names
 * pass: DuckDB refuses them with a suggestion when it binds.
 */
import type { FunctionFacts } from './bind-database.js';
import type { TreeNode } from './syntax.js';

export type ClockType =
  'DATE' | 'TIME' | 'TIMESTAMP' | 'TIME WITH TIME ZONE' | 'TIMESTAMP WITH TIME ZONE';

export type FunctionRule =
  | { readonly kind: 'plain' }
  /** One value for the whole job, of this type. */
  | { readonly kind: 'clock'; readonly type: ClockType }
  | { readonly kind: 'random' }
  | { readonly kind: 'aggregate' }
  /** Makes several rows of one. */
  | { readonly kind: 'rows' }
  | { readonly kind: 'denied'; readonly instead: string };

/** By lower-case name; those without parentheses parse as columns. */
const clocks: ReadonlyMap<string, ClockType> = new Map([
  ['now', 'TIMESTAMP WITH TIME ZONE'],
  ['transaction_timestamp', 'TIMESTAMP WITH TIME ZONE'],
  ['get_current_timestamp', 'TIMESTAMP WITH TIME ZONE'],
  ['current_timestamp', 'TIMESTAMP WITH TIME ZONE'],
  ['today', 'DATE'],
  ['current_date', 'DATE'],
  ['get_current_time', 'TIME WITH TIME ZONE'],
  ['current_time', 'TIME WITH TIME ZONE'],
  ['localtime', 'TIME'],
  ['current_localtime', 'TIME'],
  ['localtimestamp', 'TIMESTAMP'],
  ['current_localtimestamp', 'TIMESTAMP'],
]);

const randoms = new Set(['random', 'uuid', 'gen_random_uuid', 'uuidv4', 'uuidv7']);
/** Volatile by DuckDB's book, though it gives the same error each time. */
const harmless = new Set(['error']);
/** Functions of a window that mean nothing without an order. */
const ofOrder =
  /^(row_number|rank|dense_rank|rank_dense|percent_rank|cume_dist|ntile|lag|lead|first|first_value|last|last_value|nth_value|fill)$/;
/** Aggregates that give another value where rows come in another order. */
const byOrder =
  /^(first|last|any_value|arbitrary|list|array_agg|string_agg|group_concat|listagg|reservoir_quantile|approx_quantile|approx_top_k)$/;
const rowMakers = new Set(['unnest', 'unlist']);

/** Macros and functions that read the session, the catalogue or the environment. */
const sessionReaders =
  /^(getenv|getvariable|current_(setting|user|role|catalog|database|schemas?|query)|session_user|user|pg_.*|has_\w+_privilege|format_type|get_block_size|obj_description|shobj_description|col_description|which_secret|json_execute_serialized_sql|query|query_table|read_\w+|glob|sniff_csv|nextval|currval|setseed)$/;

export function functionRule(
  name: string,
  children: readonly TreeNode[],
  functions: ReadonlyMap<string, FunctionFacts>,
): FunctionRule {
  const lower = name.toLowerCase();
  const clock = clocks.get(lower);
  if (clock) return { kind: 'clock', type: clock };
  if (randoms.has(lower)) return { kind: 'random' };
  if (rowMakers.has(lower)) return { kind: 'rows' };
  if (lower === 'ago') {
    return { kind: 'denied', instead: 'write now() - an interval, such as now() - interval 1 day' };
  }
  if (lower === 'age' && children.length === 1) {
    return { kind: 'denied', instead: 'name both times: age(now()::timestamp, column)' };
  }
  const facts = functions.get(lower);
  if (
    sessionReaders.test(lower) ||
    (facts && !harmless.has(lower) && (facts.volatile || facts.perQuery))
  ) {
    return { kind: 'denied', instead: 'give the value as a param' };
  }
  if (facts?.aggregate && !facts.scalar) return { kind: 'aggregate' };
  const inside = (facts?.calls ?? []).map((called) => functionRule(called, [], functions));
  return inside.find(({ kind }) => kind === 'aggregate' || kind === 'rows') ?? { kind: 'plain' };
}

export function needsOrder(name: string): boolean {
  return ofOrder.test(name.toLowerCase());
}

export function orderSensitive(
  name: string,
  functions: ReadonlyMap<string, FunctionFacts>,
): boolean {
  const lower = name.toLowerCase();
  return (
    byOrder.test(lower) ||
    (functions.get(lower)?.calls ?? []).some((called) => orderSensitive(called, functions))
  );
}
