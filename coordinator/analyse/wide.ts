/**
 * From the text of a wide step's query to a bound step: its columns and their types, by binding it
 * on empty tables. Never: says what a step means; wide-steps.ts and queries.ts write the text.
 */
import type { FailureLocation } from '../../shared/failure.js';
import { quoteName } from '../../shared/sql-text.js';
import type { ColumnDef, RowLayout } from '../../shared/plan.js';
import type { WideStep } from '../planner/facts.js';
import { refuseDuplicates, requireBoolean, type BindContext, type Relation } from './bind.js';
import type { BindDatabase } from './bind-database.js';
import { bindFailure, type Known } from './bind-failures.js';
import { castOf, columnNode, isNode, nodesOf, textsOf, walkTree, type TreeNode } from './syntax.js';

/** A closed SELECT that is not bound yet. */
export interface WideQuery {
  readonly id: string;
  readonly reads: readonly Relation[];
  readonly sql: string;
  readonly deterministic: boolean;
  readonly usesClock: boolean;
  readonly layout?: RowLayout;
  /** The same with one of its parts only, to tell which of them does not bind. */
  readonly parts?: readonly QueryPart[];
  /** The last column of each must be BOOLEAN; one that does not bind by itself is not judged. */
  readonly conditions?: readonly QueryPart[];
}

/** What a kind of step makes of its fields. */
export type QueryText = Pick<WideQuery, 'sql' | 'parts' | 'conditions' | 'layout'> & {
  /** False where the text does not tell that other rows may be chosen next time. */
  readonly deterministic?: boolean;
};

interface QueryPart {
  readonly sql: string;
  readonly at: FailureLocation;
}

/** What an integer sum has, which Parquet would make a DOUBLE of, and what is as exact. */
const wideInteger = 'HUGEINT';
const exactInteger = 'DECIMAL(38,0)';

/** @throws WindrowError E_SQL_BIND and what bind-failures.ts knows, E_DUPLICATE_COLUMN */
export async function bindWide(query: WideQuery, context: BindContext): Promise<WideStep> {
  const { id, reads, deterministic, layout } = query;
  const { database } = context;
  const found = await describe(query, database);
  refuseDuplicates(
    found.map((column) => column.name),
    id,
  );
  const sums = found.some((column) => column.type === wideInteger);
  const sql = sums ? await withExactSums(query.sql, found, database) : query.sql;
  if (query.usesClock) context.usesClock(id);
  return {
    id,
    reads: [...new Set(reads.map((relation) => relation.id))],
    sql,
    columns: found.map((column) =>
      column.type === wideInteger ? { name: column.name, type: exactInteger } : column,
    ),
    deterministic,
    ...(layout ? { layout } : {}),
  };
}

async function describe(query: WideQuery, database: BindDatabase): Promise<ColumnDef[]> {
  const { id, reads, sql, parts = [], conditions = [] } = query;
  const known = {
    columns: reads.flatMap(({ columns }) => columns.map(({ name }) => name)),
    tables: reads.map((relation) => relation.id),
  };
  for (const { sql: condition, at } of conditions) {
    const columns = await database.describe(condition).catch(() => []);
    if (columns.length > 0) requireBoolean(columns.at(-1)!.type, at);
  }
  try {
    return await database.describe(sql);
  } catch (whole) {
    for (const part of [...parts, ...conditions]) await described(part, known, database);
    return bindFailure(whole, { step: id }, known);
  }
}

async function described(
  { sql, at }: QueryPart,
  known: Known,
  database: BindDatabase,
): Promise<ColumnDef[]> {
  try {
    return await database.describe(sql);
  } catch (error) {
    return bindFailure(error, at, known);
  }
}

/**
 * The query with its integer sums as decimals. In its own SELECT list where there is one, so that
 * an ORDER BY stays outermost.
 */
async function withExactSums(
  sql: string,
  columns: readonly ColumnDef[],
  database: BindDatabase,
): Promise<string> {
  const [parsed] = await database.parse([sql]);
  const statement = parsed?.ok === true ? parsed.statements[0] : undefined;
  const items = statement && itemsOf(statement.node, columns);
  if (items) {
    const list = items.map((item, index) => exact(item, columns[index]!));
    const node = { ...statement.node, select_list: list };
    const [text] = await database.print([{ ...statement, node }]);
    return text!;
  }
  const list = columns.map(({ name, type }) =>
    type === wideInteger
      ? `cast(${quoteName(name)} as ${exactInteger}) as ${quoteName(name)}`
      : quoteName(name),
  );
  return `select ${list.join(', ')} from (${sql}) as exact`;
}

/** The SELECT list, one item a column; undefined where only DuckDB could write it so. */
function itemsOf(node: TreeNode, columns: readonly ColumnDef[]): readonly TreeNode[] | undefined {
  if (node.type !== 'SELECT_NODE') return undefined;
  const items = nodesOf(node['select_list']);
  const [first] = items;
  const changes = ['exclude_list', 'replace_list', 'qualified_exclude_list', 'rename_list'];
  const everything =
    items.length === 1 &&
    first?.class === 'STAR' &&
    first['columns'] !== true &&
    !isNode(first['expr']) &&
    changes.every((key) => Array.isArray(first[key]) && first[key].length === 0);
  if (everything) return columns.map(({ name }) => columnNode([name]));
  const plain = items.length === columns.length && items.every((item) => item.class !== 'STAR');
  return plain ? items : undefined;
}

function exact(item: TreeNode, column: ColumnDef): TreeNode {
  if (column.type !== wideInteger) return item;
  return castOf({ ...item, alias: '' }, { id: 'DECIMAL', type_info: decimalInfo }, column.name);
}

const decimalInfo = {
  type: 'DECIMAL_TYPE_INFO',
  alias: '',
  extension_info: null,
  width: 38,
  scale: 0,
};

/** Names that a text over these could mean as columns, in lower case. */
export function columnNames(reads: readonly Relation[], tree?: unknown): Set<string> {
  const names = new Set(
    reads.flatMap(({ columns }) =>
      columns.flatMap(({ name, type }) => [name, ...fieldNames(type)].map(lower)),
    ),
  );
  addNames(tree, names);
  return names;
}

/** Words of a struct's type, its fields among them: `unnest` makes columns of those. */
function fieldNames(type: string): string[] {
  return type.includes('STRUCT(') ? (type.match(/(?<=")[^"]+(?=")|\w+/g) ?? []) : [];
}

function lower(name: string): string {
  return name.toLowerCase();
}

/** Names that the text itself gives to something else than what is called so anyway. */
function addNames(value: unknown, names: Set<string>): void {
  walkTree(value, (part) => {
    const given = [
      isCalledSo(part) ? '' : (part.alias ?? ''),
      ...textsOf(part['column_name_alias']),
      ...textsOf(part['aliases']),
      ...textsOf(part['unpivot_names']),
      ...nodesOf(part['rename_list']).map((each) => String(each['value'])),
      ...(part.type === 'PIVOT' ? pivotedNames(part) : []),
    ];
    if (part.class === 'LAMBDA') {
      walkTree(part['lhs'], (each) => given.push(...textsOf(each['column_names'])));
    }
    for (const name of given) names.add(lower(name));
  });
}

/** Columns of a PIVOT are called by its values, with those of the aggregates behind where several are. */
function pivotedNames(pivot: TreeNode): string[] {
  const values = nodesOf(pivot['pivots'])
    .flatMap((each) => nodesOf(each['entries']))
    .flatMap((entry) => [
      entry.alias ?? '',
      ...nodesOf(entry['values']).map(({ value }) => String(value)),
    ]);
  const calls = nodesOf(pivot['aggregates']).map(({ alias }) => alias ?? '');
  return values.flatMap((value) => [value, ...calls.map((call) => `${value}_${call}`)]);
}

/** `current_date as current_date`, `now() as now`: whoever reads that name gets the same value. */
function isCalledSo(part: TreeNode): boolean {
  const [name, ...qualified] =
    part.class === 'FUNCTION' ? [String(part['function_name'])] : textsOf(part['column_names']);
  return qualified.length === 0 && name?.toLowerCase() === part.alias?.toLowerCase();
}
