/**
 * Binds a `sql` step that makes each row of one row: its WHERE becomes a filter, its SELECT list a
 * projection. Never: changes what the query means.
 */
import { fail } from '../../shared/failure.js';
import type { ColumnDef } from '../../shared/plan.js';
import type { BoundStep, Operator, SqlOperator } from '../planner/facts.js';
import {
  filterOperator,
  refuseDuplicates,
  scopeOf,
  selectOperator,
  type BindContext,
  type Relation,
  type SelectItem,
} from './bind.js';
import { bindFailure } from './bind-failures.js';
import { closeExpression, columnsByName, findColumn } from './expressions.js';
import type { ParsedQuery } from './parsed-query.js';
import { isNode, mapNodes, nodesOf, textsOf, walkTree, type TreeNode } from './syntax.js';

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
  const more = { ...query.rows, aliases };
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
    if (isFieldsOf(item, relation)) return undefined;
    items.push(...expandStar(item, query, relation));
  }
  return items;
}

/** `s.*` of a struct: a column for each of its fields. */
function isFieldsOf(star: TreeNode, { columns }: Relation): boolean {
  const name = String(star['relation_name'] ?? '').toLowerCase();
  return columns.some(
    (column) => column.name.toLowerCase() === name && /^STRUCT\(/.test(column.type),
  );
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
  const own = (query.rows?.alias ?? relation.id).toLowerCase();
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
  const scope = scopeOf(context, relation, at, query.rows);
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
