/**
 * A `sql` step before anything is bound: parsed, its tables found, and told whether it makes each row
 * of one row, which is narrower and keeps rows traceable. Never: columns or types.
 */
import { fail } from '../../shared/failure.js';
import type { StepOf } from '../../shared/step-spec.js';
import type { BindContext } from './bind.js';
import type { FunctionFacts } from './bind-database.js';
import { functionRule } from './functions.js';
import { statementsOf } from './parsing.js';
import {
  isNode,
  nodesOf,
  textsOf,
  walkTree,
  type ParsedStatement,
  type TreeNode,
} from './syntax.js';
import { readTables } from './tables.js';

/** A `sql` step as parsed: what it reads is known, its columns are not yet. */
export interface ParsedQuery {
  readonly step: StepOf<'sql'>;
  readonly statement: ParsedStatement;
  /** Sources and steps that it reads, each once. */
  readonly reads: readonly string[];
  /** There when it reads one relation row by row. */
  readonly rows?: {
    /** Name that the query gives the relation, if any. */
    readonly alias?: string;
  };
}

/** @throws WindrowError E_SQL_SYNTAX, E_SQL_DENIED, E_UNKNOWN_STEP, E_STEP_UNSUPPORTED */
export async function parseQuery(
  step: StepOf<'sql'>,
  context: Pick<BindContext, 'database' | 'known'>,
): Promise<ParsedQuery> {
  const at = { step: step.id };
  const { database, known } = context;
  const [parsed] = await database.parse([step.sql.query]);
  statementsOf(parsed!, { text: step.sql.query, offset: 0 }, at, database);
  const statement = parsed!.ok ? parsed!.statements[0]! : undefined;
  const { tree, reads } = readTables(statement!.node, { known, at });
  if (reads.length === 0) {
    fail('invalidSpec', 'E_STEP_UNSUPPORTED', 'the query reads no source and no step', {
      at,
      hint: 'name one in FROM',
    });
  }
  const query = { step, statement: { ...statement!, node: tree }, reads };
  const table = tree['from_table'];
  if (!isNode(table) || !isRowWise(tree, table, database.functions)) return query;
  return { ...query, rows: table.alias ? { alias: table.alias } : {} };
}

/** Whether each row that comes out is made of one that goes in. */
function isRowWise(
  node: TreeNode,
  table: TreeNode,
  functions: ReadonlyMap<string, FunctionFacts>,
): boolean {
  const plain =
    node.type === 'SELECT_NODE' &&
    table.type === 'BASE_TABLE' &&
    !table['sample'] &&
    textsOf(table['column_name_alias']).length === 0 &&
    nodesOf(isNode(node['cte_map']) ? node['cte_map']['map'] : []).length === 0 &&
    nodesOf(node['modifiers']).length === 0 &&
    nodesOf(node['group_expressions']).length === 0 &&
    !(Array.isArray(node['group_sets']) && node['group_sets'].length > 0) &&
    node['aggregate_handling'] === 'STANDARD_HANDLING' &&
    !node['having'] &&
    !node['qualify'] &&
    !node['sample'];
  if (!plain) return false;
  let rowWise = true;
  walkTree([node['select_list'], node['where_clause']], (part) => {
    if (part.class === 'FUNCTION') {
      const name = String(part['function_name']);
      const { kind } = functionRule(name, nodesOf(part['children']), functions);
      rowWise &&= kind !== 'aggregate' && kind !== 'rows';
    }
    rowWise &&= part.class !== 'WINDOW' && part.class !== 'SUBQUERY';
    rowWise &&= part.type !== 'GROUPING_FUNCTION';
  });
  return rowWise;
}
