/**
 * Users' SQL as parse trees: one expression, or one statement, and nothing beside it. Never: what it
 * may read or call.
 */
import { fail, type FailureLocation } from '../../shared/failure.js';
import type { BindDatabase, Parsed } from './bind-database.js';
import { isNode, nodesOf, type TreeNode } from './syntax.js';

const selectWord = 'select ';

/** An expression as it was written. */
export interface Fragment {
  readonly text: string;
  readonly at: FailureLocation;
  /** What it has to stand between to be one. */
  readonly between?: readonly [before: string, after: string];
}

/**
 * Parse trees of single expressions.
 * @throws WindrowError E_SQL_SYNTAX with the position in the expression, E_SQL_DENIED
 */
export async function parseExpressions(
  fragments: readonly Fragment[],
  database: BindDatabase,
): Promise<TreeNode[]> {
  const parsed = await database.parse(
    fragments.map(({ text, between: [before, after] = ['', ''] }) => {
      return `${selectWord}${before}${text}${after}`;
    }),
  );
  return fragments.map(({ text, at, between }, index) => {
    const offset = selectWord.length + (between?.[0].length ?? 0);
    const [statement] = statementsOf(parsed[index]!, { text, offset }, at, database);
    const node = statement!;
    const list = nodesOf(node['select_list']);
    const from = isNode(node['from_table']) ? node['from_table'].type : undefined;
    const plain =
      node.type === 'SELECT_NODE' &&
      list.length === 1 &&
      from === 'EMPTY' &&
      !list[0]!.alias &&
      node['where_clause'] === null &&
      nodesOf(node['modifiers']).length === 0 &&
      nodesOf(node['group_expressions']).length === 0 &&
      node['having'] === null &&
      node['qualify'] === null &&
      node['sample'] === null;
    if (!plain) {
      fail('invalidSpec', 'E_SQL_SYNTAX', 'this is more than one expression', {
        at,
        hint: 'write one expression over the columns of a row, without FROM, AS or a second one',
      });
    }
    return list[0]!;
  });
}

/** A text as it stands in the one that was parsed. */
interface Written {
  readonly text: string;
  readonly offset: number;
  /** Of the step, where several could hold it. */
  readonly field?: string;
  /** What may stand there. */
  readonly hint?: string;
}

/**
 * The one statement of a parsed text.
 * @throws WindrowError E_SQL_SYNTAX, E_SQL_DENIED, E_STEP_UNSUPPORTED
 */
export function statementsOf(
  parsed: Parsed,
  { text, offset, field, hint }: Written,
  at: FailureLocation,
  database: BindDatabase,
): TreeNode[] {
  if (!parsed.ok) {
    if (parsed.type !== 'parser' && /\bpivot\b/i.test(text)) {
      fail('invalidSpec', 'E_STEP_UNSUPPORTED', 'what columns this PIVOT makes depends on rows', {
        at,
        hint: `say which values become columns: PIVOT … ON kind IN ('a', 'b')`,
      });
    }
    if (parsed.type !== 'parser') {
      fail('invalidSpec', 'E_SQL_DENIED', 'only SELECT is allowed', {
        at,
        hint: 'settings, files and tables are out of reach of a job',
      });
    }
    const position =
      parsed.position === undefined ? undefined : Math.max(0, parsed.position - offset);
    const place = position === undefined ? '' : ` at character ${position + 1}`;
    const column = position === undefined ? undefined : database.columnAt(text, position);
    const said = `${parsed.message}${place}`;
    fail('invalidSpec', 'E_SQL_SYNTAX', field === undefined ? said : `${field}: ${said}`, {
      at,
      hint:
        column === undefined
          ? (hint ?? 'expressions are DuckDB SQL')
          : `${column} is a word of SQL: write the column as "${column}", in double quotes`,
    });
  }
  if (parsed.statements.length === 0) {
    fail('invalidSpec', 'E_SQL_SYNTAX', 'there is no SQL here', { at, hint: 'write a SELECT' });
  }
  if (parsed.statements.length > 1) {
    fail('invalidSpec', 'E_SQL_DENIED', `there are ${parsed.statements.length} statements`, {
      at,
      hint: 'write one, and give others steps of their own',
    });
  }
  return parsed.statements.map((statement) => statement.node);
}
