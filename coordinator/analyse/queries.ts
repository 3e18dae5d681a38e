/**
 * Takes a `sql` step apart: its WHERE becomes a filter, its SELECT list a projection, and what
 * would need rows of other chunks is refused. Never: changes what the query means.
 */
import { fail, type FailureLocation } from '../../shared/failure.js';
import type { StepSpec } from '../../shared/job-spec.js';
import type { ColumnDef } from '../../shared/plan.js';
import type { BoundStep, Operator, SqlOperator } from '../planner/facts.js';
import {
  bindFailure,
  filterOperator,
  refuseDuplicates,
  scopeOf,
  selectOperator,
  statementsOf,
  type BindContext,
  type Relation,
  type SelectItem,
} from './bind.js';
import { closeExpression, columnsByName, findColumn, refuseTables } from './expressions.js';
import {
  isNode,
  nodesOf,
  textsOf,
  walkTree,
  type ParsedStatement,
  type TreeNode,
} from './syntax.js';

type SqlStepSpec = Extract<StepSpec, { sql: unknown }>;

/** A `sql` step as parsed: what it reads is known, its columns are not yet. */
export interface ParsedQuery {
  readonly step: SqlStepSpec;
  readonly from: string;
  /** Name that the query gives the relation, if any. */
  readonly alias?: string;
  readonly statement: ParsedStatement;
}

/**
 * @throws WindrowError E_SQL_SYNTAX, E_SQL_DENIED, E_UNKNOWN_STEP, E_STEP_UNSUPPORTED
 */
export async function parseQuery(
  step: SqlStepSpec,
  context: Pick<BindContext, 'database' | 'known'>,
): Promise<ParsedQuery> {
  const at = { step: step.id };
  const [parsed] = await context.database.parse([step.sql.query]);
  statementsOf(parsed!, { text: step.sql.query, offset: 0 }, at, context.database);
  const statement = parsed!.ok ? parsed!.statements[0]! : undefined;
  const node = statement!.node;
  refuseTables(node, { known: context.known, at });
  refuseWide(node, at);
  const table = node['from_table'];
  if (!isNode(table) || table.type !== 'BASE_TABLE') {
    const what = isNode(table) && table.type === 'JOIN' ? 'a join' : 'this FROM';
    return unsupported(what, at, 'read one source or step by its name');
  }
  if (table['sample'] || textsOf(table['column_name_alias']).length > 0) {
    unsupported('a sample or renamed columns in FROM', at, 'read the source or step as it is');
  }
  const name = String(table['table_name']).toLowerCase();
  const from = [...context.known].find((id) => id.toLowerCase() === name) ?? name;
  return {
    step,
    from,
    ...(table.alias ? { alias: table.alias } : {}),
    statement: statement!,
  };
}

function refuseWide(node: TreeNode, at: FailureLocation): void {
  if (node.type !== 'SELECT_NODE') unsupported('a set operation', at, 'give each side a step');
  const map = isNode(node['cte_map']) ? nodesOf(node['cte_map']['map']) : [];
  if (map.length > 0) unsupported('WITH', at, 'make the inner query a step of its own');
  for (const modifier of nodesOf(node['modifiers'])) {
    const words: Record<string, string> = {
      ORDER_MODIFIER: 'ORDER BY',
      LIMIT_MODIFIER: 'LIMIT',
      LIMIT_PERCENT_MODIFIER: 'LIMIT',
      DISTINCT_MODIFIER: 'DISTINCT',
    };
    unsupported(words[String(modifier.type)] ?? String(modifier.type), at);
  }
  const grouped =
    nodesOf(node['group_expressions']).length > 0 ||
    (Array.isArray(node['group_sets']) && node['group_sets'].length > 0) ||
    node['aggregate_handling'] !== 'STANDARD_HANDLING';
  if (grouped) unsupported('GROUP BY', at);
  if (node['having']) unsupported('HAVING', at);
  if (node['qualify']) unsupported('QUALIFY', at);
  if (node['sample']) unsupported('USING SAMPLE', at);
}

function unsupported(
  what: string,
  at: FailureLocation,
  hint = 'it needs rows of other chunks; leave it to a query over the output',
): never {
  fail('invalidSpec', 'E_STEP_UNSUPPORTED', `${what} is not supported in a sql step`, {
    at,
    hint,
  });
}

export async function bindQuery(
  query: ParsedQuery,
  relation: Relation,
  context: BindContext,
): Promise<BoundStep> {
  const { id } = query.step;
  const node = query.statement.node;
  const list = nodesOf(node['select_list']);
  const aliases = new Map(
    list.flatMap((item) => (item.alias ? [[item.alias.toLowerCase(), item] as const] : [])),
  );
  const more = { ...(query.alias ? { alias: query.alias } : {}), aliases };
  const operators: Operator[] = [];
  if (isNode(node['where_clause'])) {
    const scope = scopeOf(context, relation, { step: id }, more);
    operators.push(await filterOperator(id, node['where_clause'], scope, { context, relation }));
  }
  const items = simpleItems(list, query, relation);
  const last = items
    ? await selectOperator(id, await named(items, relation, context), relation, context, more)
    : await sqlOperator(query, relation, context);
  operators.push(last);
  return { id, from: relation.id, operators, columns: last.columns };
}

/** The SELECT list with `*` written out; undefined when only DuckDB can write it out. */
function simpleItems(
  list: readonly TreeNode[],
  query: ParsedQuery,
  relation: Relation,
): SelectItem[] | undefined {
  const items: SelectItem[] = [];
  for (const item of list) {
    if (item.class !== 'STAR') {
      if (hasStar(item)) return undefined;
      items.push({ name: item.alias || '', tree: item });
      continue;
    }
    if (item['columns'] === true || isNode(item['expr'])) return undefined;
    if (nodesOf(item['qualified_exclude_list']).length > 0) return undefined;
    if (nodesOf(item['rename_list']).length > 0) return undefined;
    items.push(...expandStar(item, query, relation));
  }
  return items;
}

function hasStar(node: TreeNode): boolean {
  let found = false;
  walkTree(node, (part) => {
    // `count(*)` has its star too; it is refused as an aggregate.
    found ||= part.class === 'STAR' && part['columns'] === true;
  });
  return found;
}

function expandStar(item: TreeNode, query: ParsedQuery, relation: Relation): SelectItem[] {
  const at = { step: query.step.id };
  const qualifier = String(item['relation_name'] ?? '').toLowerCase();
  const own = (query.alias ?? relation.id).toLowerCase();
  if (qualifier !== '' && qualifier !== own) {
    fail('invalidSpec', 'E_UNKNOWN_STEP', `'${qualifier}.*' names nothing that is read here`, {
      at,
      hint: `write ${own}.* or *`,
    });
  }
  const excluded = new Set(
    textsOf(item['exclude_list']).map((name) => findColumn(name, relation.columns, at).name),
  );
  const replaced = new Map(
    nodesOf(item['replace_list']).map((entry) => [
      findColumn(String(entry['key']), relation.columns, at).name,
      entry['value'] as TreeNode,
    ]),
  );
  return relation.columns
    .filter((column) => !excluded.has(column.name))
    .map((column) => {
      const tree = replaced.get(column.name);
      return tree ? { name: column.name, tree } : { name: column.name, kept: column };
    });
}

/** Columns without AS have the name that DuckDB gives them: the column's, or the expression. */
async function named(
  items: readonly SelectItem[],
  relation: Relation,
  context: BindContext,
): Promise<SelectItem[]> {
  const byName = columnsByName(relation.columns);
  const nameless = items.flatMap((item) => (item.kept || item.name !== '' ? [] : [item.tree]));
  const texts = await context.database.printExpressions(nameless);
  let next = 0;
  return items.map((item) => {
    if (item.kept || item.name !== '') return item;
    const text = texts[next++]!;
    const path = item.tree.class === 'COLUMN_REF' ? textsOf(item.tree['column_names']) : [];
    const last = path.at(-1);
    if (last === undefined) return { ...item, name: text };
    return { ...item, name: byName.get(last.toLowerCase())?.name ?? last };
  });
}

/** A projection that stays SQL because of COLUMNS(…); it reads everything. */
async function sqlOperator(
  query: ParsedQuery,
  relation: Relation,
  context: BindContext,
): Promise<SqlOperator> {
  const { id } = query.step;
  const at = { step: id };
  const node = query.statement.node;
  const scope = scopeOf(context, relation, at, query.alias ? { alias: query.alias } : {});
  let deterministic = true;
  const list = nodesOf(node['select_list']).map((item) => {
    if (item.class === 'STAR' && !isNode(item['expr'])) return item;
    const closed = closeExpression(withoutStars(item), scope);
    deterministic &&= closed.deterministic;
    if (closed.usesClock) context.usesClock(id);
    return restoreStars(closed.node);
  });
  const statement = {
    ...query.statement,
    node: { ...node, where_clause: null, select_list: list },
    named_param_map: [],
  };
  const [text] = await context.database.print([statement]);
  let columns: ColumnDef[];
  try {
    columns = await context.database.describe(text!);
  } catch (error) {
    return bindFailure(error, at);
  }
  refuseDuplicates(
    columns.map((column) => column.name),
    id,
  );
  return {
    kind: 'sql',
    step: { kind: 'sql', id, query: text!, input: relation.id },
    columns,
    reads: relation.columns.map((column) => column.name),
    deterministic,
  };
}

const starMark = 'windrow_star';

/** COLUMNS(…) names columns, not a value: it is set aside while the rest is closed. */
function withoutStars(node: TreeNode): TreeNode {
  return mapNodes(node, (part) =>
    part.class === 'STAR' ? { class: starMark, type: '', kept: JSON.stringify(part) } : undefined,
  );
}

function restoreStars(node: TreeNode): TreeNode {
  return mapNodes(node, (part) =>
    part.class === starMark ? (JSON.parse(String(part['kept'])) as TreeNode) : undefined,
  );
}

function mapNodes(node: TreeNode, replace: (part: TreeNode) => TreeNode | undefined): TreeNode {
  const replaced = replace(node);
  if (replaced) return replaced;
  const visit = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(visit);
    return isNode(value) ? mapNodes(value, replace) : value;
  };
  return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, visit(value)]));
}
