/**
 * The group whose sum is too large: the query once more, with its sums and what is made of them as
 * DOUBLE, which none is too large for. Never says so of a sum that its type could hold.
 */
import { quoteName, quoteText } from '../../shared/sql-text.js';
import type { StageQuery } from '../../shared/plan.js';
import type { Kernel } from '../kernel/duckdb.js';
import { parseExact, stringifyExact } from './row-query.js';

interface Tree {
  readonly [member: string]: unknown;
}

const summing = new Set(['sum', 'avg', 'mean']);
const exact = /^(U?(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)|DECIMAL)$/;

/** The same query in which no sum overflows; undefined where it has none. */
export async function sumsAsDouble(
  kernel: Pick<Kernel, 'rows'>,
  sql: string,
): Promise<string | undefined> {
  const [serialized] = await kernel.rows(`select json_serialize_sql(${quoteText(sql)}) as tree`);
  const tree = parseExact(String(serialized?.['tree']));
  const sums = new Set<string>();
  for (let known = -1; known < sums.size;) {
    known = sums.size;
    for (const item of items(tree)) if (isOfSums(item, sums)) sums.add(nameOf(item));
  }
  if (sums.size === 0) return undefined;
  const [text] = await kernel.rows(
    `select json_deserialize_sql(${quoteText(stringifyExact(asDouble(tree, sums)))}) as query`,
  );
  return String(text?.['query']);
}

/** Rows of which the absolute value of a column is beyond its type, the largest first. */
export function beyondType(sql: string, column: StageQuery['columns'][number]): string {
  const size = `abs(cast(${quoteName(column.name)} as DOUBLE))`;
  return `select * from (${sql}) where ${size} >= ${limitOf(column.type)} and isfinite(${size}) order by ${size} desc limit 1`;
}

/** From where on a type has no numbers; sums that become floating point are HUGEINT before that. */
function limitOf(type: string): number {
  const [, width, scale] = /^DECIMAL\((\d+),(\d+)\)$/.exec(type) ?? [];
  if (width !== undefined) return 10 ** (Number(width) - Number(scale));
  const unsigned = type.startsWith('U') ? 1 : 0;
  const bits = { TINYINT: 7, SMALLINT: 15, INTEGER: 31, BIGINT: 63 }[type.slice(unsigned)] ?? 127;
  return 2 ** (bits + unsigned);
}

/** What the selects in it give. */
function items(tree: unknown): Tree[] {
  if (Array.isArray(tree)) return tree.flatMap(items);
  if (!isTree(tree)) return [];
  const own = Array.isArray(tree['select_list']) ? tree['select_list'].filter(isTree) : [];
  return [...own, ...Object.values(tree).flatMap(items)];
}

function nameOf(item: Tree): string {
  return String(item['alias'] || lastName(item) || '');
}

function lastName(item: Tree): unknown {
  const names = item['column_names'];
  return Array.isArray(names) ? names.at(-1) : undefined;
}

/** Whether a sum is part of it, or a column that is of sums. */
function isOfSums(tree: unknown, sums: ReadonlySet<string>): boolean {
  if (Array.isArray(tree)) return tree.some((each) => isOfSums(each, sums));
  if (!isTree(tree) || tree['class'] === 'SUBQUERY') return false;
  if (isSum(tree) || sums.has(String(lastName(tree)))) return true;
  return Object.values(tree).some((each) => isOfSums(each, sums));
}

function isSum(tree: Tree): boolean {
  return (
    (tree['class'] === 'FUNCTION' || tree['class'] === 'WINDOW') &&
    summing.has(String(tree['function_name']).toLowerCase())
  );
}

function asDouble(tree: unknown, sums: ReadonlySet<string>): unknown {
  if (Array.isArray(tree)) return tree.map((each) => asDouble(each, sums));
  if (!isTree(tree)) return tree;
  const inside = Object.fromEntries(
    Object.entries(tree).map(([name, member]) => [name, asDouble(member, sums)]),
  );
  if (isSum(tree)) return { ...inside, children: (inside['children'] as unknown[]).map(cast) };
  const type = isTree(tree['cast_type']) ? String(tree['cast_type']['id']) : '';
  const narrows = exact.test(type) && isOfSums(tree['child'], sums);
  return narrows ? { ...inside, cast_type: double } : inside;
}

const double = { id: 'DOUBLE', type_info: null };

function cast(child: unknown): Tree {
  const shape = { class: 'CAST', type: 'OPERATOR_CAST', alias: '', query_location: 0 };
  return { ...shape, child, cast_type: double, try_cast: false };
}

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
