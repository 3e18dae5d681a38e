/**
 * The number of the partition that a row belongs to, as a SQL expression: equal keys meet in one
 * partition, whoever divides. Pure text in, text out.
 */
import type { Division } from '../../shared/plan.js';
import { enclosed } from '../kernel/sql-text.js';

/** Column of a divided file that holds the partition's number; its rows are in this order. */
export const partitionColumn = '__windrow_partition';

/**
 * DuckDB's own joins and groupings place rows by the lowest and the highest bits of the same hash:
 * taking those from here would leave most of their tables empty.
 */
const hashShift = 28;

export function partitionNumber(division: Division): string {
  switch (division.kind) {
    case 'hash':
      return `((hash(${division.keys.map(enclosed).join(', ')}) >> ${hashShift}) % ${division.partitions})::usmallint`;
    case 'range':
      return `(${between(sortKey(division.keys), division.bounds, 0, division.bounds.length)})::usmallint`;
  }
}

/** Bytes that compare as the rows sort: DuckDB's own, so that order and nulls come out as it has them. */
export function sortKey(
  keys: readonly { readonly expr: string; readonly order: string }[],
): string {
  const items = keys.map(({ expr, order }) => `${enclosed(expr)}, '${order}'`);
  // Short keys would come as numbers; behind text they are bytes as all others.
  return `create_sort_key(${[...items, `'', 'ASC NULLS LAST'`].join(', ')})`;
}

/** Number of bounds in [low, high) at or below the key, found as in a binary search. */
function between(key: string, bounds: readonly string[], low: number, high: number): string {
  if (low === high) return String(low);
  const middle = (low + high) >> 1;
  const bound = `'${bounds[middle]!.replace(/../g, (byte) => `\\x${byte}`)}'::blob`;
  return `case when ${key} < ${bound} then ${between(key, bounds, low, middle)} else ${between(key, bounds, middle + 1, high)} end`;
}
