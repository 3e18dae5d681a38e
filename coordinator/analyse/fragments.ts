/**
 * The pieces of SQL that wide steps are written with (expressions, orders, frames): each parsed by
 * itself, so that none can be more than it seems, closed, and given back as text that can stand in
 * a query. Never: resolves a column; DuckDB's binder does when the query is whole.
 */
import { fail, WindrowError, type FailureLocation } from '../../shared/failure.js';
import type { BindContext, Relation } from './bind.js';
import { closeQuery } from './close-query.js';
import type { BeyondRow } from './expressions.js';
import { parseExpressions, statementsOf, type Fragment } from './parsing.js';
import { isNode, nodesOf, type TreeNode } from './syntax.js';
import { columnNames } from './wide.js';

/** Only the columns of one row. */
export const ofRow: ReadonlySet<BeyondRow> = new Set();
export const ofGroup: ReadonlySet<BeyondRow> = new Set(['aggregate']);
export const ofWindow: ReadonlySet<BeyondRow> = new Set(['aggregate', 'window']);

const orderHint =
  'write one expression for each entry, after it asc or desc, and after that nulls first or nulls last';

/** The pieces of one step, and what closing them found out. */
export class Fragments {
  deterministic = true;
  usesClock = false;

  constructor(
    readonly step: string,
    readonly reads: readonly Relation[],
    private readonly context: BindContext,
  ) {}

  /** Closed expressions. @throws WindrowError as parseExpressions and closeQuery */
  async expressions(
    fragments: readonly Fragment[],
    allowed: ReadonlySet<BeyondRow>,
  ): Promise<string[]> {
    const trees = await parseExpressions(fragments, this.context.database);
    return this.print(
      trees.map((tree, index) => {
        const { at } = fragments[index]!;
        return this.close(tree, allowed, at);
      }),
    );
  }

  async expression(text: string, allowed: ReadonlySet<BeyondRow>): Promise<string> {
    const [printed] = await this.expressions([{ text, at: { step: this.step } }], allowed);
    return printed!;
  }

  /**
   * `a desc nulls last, b`, from one text for each.
   * @param field of the step that holds them
   * @throws WindrowError E_SQL_SYNTAX
   */
  async orders(texts: readonly string[], field: string): Promise<string> {
    const at = { step: this.step };
    const prefix = 'select 1 order by ';
    const parsed = await this.context.database.parse(texts.map((text) => prefix + text));
    const terms = texts.map((text, index) => {
      const written = { text, offset: prefix.length, field, hint: orderHint };
      const [statement] = statementsOf(parsed[index]!, written, at, this.context.database);
      const term = onlyOrder(statement!);
      if (!term) {
        const what = `${field}: '${text.slice(0, 200)}' is more than one expression`;
        fail('invalidSpec', 'E_SQL_SYNTAX', what, { at, hint: orderHint });
      }
      return term;
    });
    const closed = terms.map((term) => this.close(term['expression'] as TreeNode, ofRow, at));
    const printed = await this.print(closed);
    return printed.map((text, index) => text + directionOf(terms[index]!)).join(', ');
  }

  /** What may stand after ORDER BY within OVER. @throws WindrowError E_SQL_SYNTAX */
  async frame(text: string): Promise<string> {
    const at = { step: this.step };
    const between = ['count(*) over (order by 1 ', ')'] as const;
    const tree = await parseExpressions([{ text, at, between }], this.context.database).then(
      ([only]) => only,
      // What the parser says is about a text that nobody wrote.
      (error: unknown) => {
        if (!isSyntaxError(error)) throw error;
        return undefined;
      },
    );
    if (tree?.class !== 'WINDOW' || nodesOf(tree['orders']).length !== 1) {
      fail('invalidSpec', 'E_SQL_SYNTAX', `frame: '${text.slice(0, 200)}' is no window frame`, {
        at,
        hint: 'write it such as: rows between 6 preceding and current row',
      });
    }
    const [printed] = await this.print([this.close(tree, ofWindow, at)]);
    const before = '(ORDER BY 1';
    return printed!.slice(printed!.indexOf(before) + before.length, -1);
  }

  close(tree: TreeNode, allowed: ReadonlySet<BeyondRow>, at: FailureLocation): TreeNode {
    const { params, nowMs, database } = this.context;
    const { functions } = database;
    const names = columnNames(this.reads, tree);
    const scope = { params, nowMs, functions, at, names, allowed };
    const closed = closeQuery(tree, scope);
    this.deterministic &&= closed.deterministic;
    this.usesClock ||= closed.usesClock;
    return closed.node;
  }

  print(trees: readonly TreeNode[]): Promise<string[]> {
    return this.context.database.printExpressions(trees);
  }
}

function isSyntaxError(error: unknown): boolean {
  return error instanceof WindrowError && error.failure.code === 'E_SQL_SYNTAX';
}

/** The one term of ORDER BY, where the statement is nothing but it. */
function onlyOrder(node: TreeNode): TreeNode | undefined {
  const [modifier, ...more] = nodesOf(node['modifiers']);
  const orders = nodesOf(modifier?.['orders']);
  const plain =
    node.type === 'SELECT_NODE' &&
    nodesOf(node['select_list']).length === 1 &&
    isNode(node['from_table']) &&
    node['from_table'].type === 'EMPTY' &&
    more.length === 0 &&
    orders.length === 1 &&
    isNode(orders[0]!['expression']);
  return plain ? orders[0] : undefined;
}

function directionOf(term: TreeNode): string {
  const directions: Record<string, string> = { ASCENDING: ' asc', DESCENDING: ' desc' };
  const nulls: Record<string, string> = {
    'NULLS FIRST': ' nulls first',
    'NULLS LAST': ' nulls last',
  };
  const direction = directions[String(term.type)] ?? '';
  return direction + (nulls[String(term['null_order'])] ?? '');
}
