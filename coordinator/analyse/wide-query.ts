/** A `sql` step over any rows of any relations: closed where it stands, for DuckDB to bind. */
import type { BindContext, Relation } from './bind.js';
import type { BindDatabase, FunctionFacts } from './bind-database.js';
import { closeQuery } from './close-query.js';
import type { BeyondRow } from './expressions.js';
import { functionRule } from './functions.js';
import type { ParsedQuery } from './parsed-query.js';
import { mapNodes, nodesOf, textsOf, typedConstant, walkTree, type TreeNode } from './syntax.js';
import { columnNames, type WideQuery } from './wide.js';

const everything: ReadonlySet<BeyondRow> = new Set([
  'aggregate',
  'window',
  'subquery',
  'rows',
  'columns',
]);

export async function closeWideQuery(
  { step, statement }: ParsedQuery,
  reads: readonly Relation[],
  context: BindContext,
): Promise<WideQuery> {
  const { database, params, nowMs } = context;
  const closed = closeQuery(await withNames(statement.node, database), {
    params,
    nowMs,
    functions: database.functions,
    at: { step: step.id },
    names: columnNames(reads, statement.node),
    allowed: everything,
  });
  const [sql] = await database.print([{ ...statement, node: closed.node, named_param_map: [] }]);
  const { deterministic, usesClock } = closed;
  return { id: step.id, reads, sql: sql!, deterministic, usesClock };
}

/** Columns without AS are called as they were written, not as what parameters and clock become. */
async function withNames(tree: TreeNode, database: BindDatabase): Promise<TreeNode> {
  const nameless: TreeNode[] = [];
  walkTree(tree, (part) => {
    for (const item of nodesOf(part['select_list'])) {
      if (!item.alias && changesName(item, database.functions)) nameless.push(item);
    }
  });
  const texts = await database.printExpressions(nameless);
  const names = new Map(nameless.map((item, index) => [item, texts[index]!]));
  return mapNodes(tree, (part) => {
    const name = names.get(part);
    return name === undefined ? undefined : { ...part, alias: name };
  });
}

function changesName(item: TreeNode, functions: ReadonlyMap<string, FunctionFacts>): boolean {
  let changes = false;
  let star = false;
  walkTree(item, (part) => {
    star ||= part.class === 'STAR' && part['columns'] === true;
    changes ||= part.class === 'PARAMETER' || part !== typedConstant(part);
    if (part.class === 'FUNCTION' || part.class === 'COLUMN_REF') {
      const name = String(part['function_name'] ?? textsOf(part['column_names']).at(-1));
      changes ||= functionRule(name, nodesOf(part['children']), functions).kind === 'clock';
    }
  });
  return changes && !star;
}
