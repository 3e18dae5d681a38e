/**
 * Closes SQL whose columns DuckDB's binder resolves, whole queries and parts of wide steps alike:
 * parameters and the clock become constants anywhere in it, and what could read the machine or the
 * session is refused. Never: tables (tables.ts) or types.
 */
import { fail, type FailureLocation } from '../../shared/failure.js';
import type { ParamValue } from '../../shared/job-spec.js';
import type { FunctionFacts } from './bind-database.js';
import { clockValue, deny, paramValue, refuseBeyondRow, type BeyondRow } from './expressions.js';
import { functionRule, needsOrder, orderSensitive } from './functions.js';
import { isNode, nodesOf, textsOf, typedConstant, type TreeNode } from './syntax.js';

export interface QueryScope {
  readonly params: Readonly<Record<string, ParamValue>>;
  readonly nowMs: number;
  readonly functions: ReadonlyMap<string, FunctionFacts>;
  readonly at: FailureLocation;
  /** Names of all columns that it could mean, in lower case. */
  readonly names: ReadonlySet<string>;
  /** What it may use besides the columns of one row. */
  readonly allowed: ReadonlySet<BeyondRow>;
}

export interface ClosedQuery {
  readonly node: TreeNode;
  readonly deterministic: boolean;
  readonly usesClock: boolean;
}

/**
 * @throws WindrowError E_UNKNOWN_PARAM, E_UNKNOWN_COLUMN, E_AMBIGUOUS_COLUMN, E_SQL_DENIED,
 *   E_STEP_UNSUPPORTED, E_WINDOW_ORDER
 */
export function closeQuery(tree: TreeNode, scope: QueryScope): ClosedQuery {
  const closing = new QueryClosing(scope);
  const node = closing.node(tree);
  return { node, deterministic: closing.deterministic, usesClock: closing.usesClock };
}

class QueryClosing {
  deterministic = true;
  usesClock = false;
  /** Calls whose value is sorted right away. */
  private readonly sorted = new Set<TreeNode>();

  constructor(private readonly scope: QueryScope) {}

  node(node: TreeNode): TreeNode {
    switch (node.class) {
      case undefined:
        this.part(node);
        return this.members(node);
      case 'CONSTANT':
        return typedConstant(node);
      case 'PARAMETER':
        return paramValue(node, this.scope);
      case 'COLUMN_REF':
        return this.column(node);
      case 'FUNCTION':
        return this.call(node);
      case 'WINDOW':
        return this.window(node);
      case 'STAR':
        this.permit('columns', '*');
        return this.members(node);
      case 'SUBQUERY':
        this.permit('subquery', 'a subquery');
        return this.members(node);
      default:
        if (node.type === 'GROUPING_FUNCTION') this.permit('aggregate', 'grouping()');
        return this.members(node);
    }
  }

  private members(node: TreeNode): TreeNode {
    return Object.fromEntries(
      Object.entries(node).map(([key, member]) => [key, this.member(member)]),
    );
  }

  private member(value: unknown): unknown {
    if (Array.isArray(value)) return value.map((item) => this.member(item));
    return isNode(value) ? this.node(value) : value;
  }

  /** What is no expression: rows that are chosen without saying which may be others next time. */
  private part(node: TreeNode): void {
    const modifiers = nodesOf(node['modifiers']);
    const ordered = modifiers.some((each) => nodesOf(each['orders']).length > 0);
    const chooses = modifiers.some(
      (each) => /^LIMIT/.test(String(each.type)) || nodesOf(each['distinct_on_targets']).length > 0,
    );
    if ((chooses && !ordered) || isNode(node['sample'])) this.deterministic = false;
  }

  private column(node: TreeNode): TreeNode {
    const names = textsOf(node['column_names']);
    const name = (names.at(-1) ?? '').toLowerCase();
    const { at, functions } = this.scope;
    const known = this.scope.names.has(name);
    if (name === 'rowid' && !known) {
      fail('invalidSpec', 'E_UNKNOWN_COLUMN', `there is no column 'rowid'`, {
        at,
        hint: 'rows have no numbers of their own: name a column',
      });
    }
    if (names.length > 1) return node;
    const rule = functionRule(name, [], functions);
    if (rule.kind === 'denied' && !known) return deny(names[0]!, rule.instead, at);
    if (rule.kind !== 'clock') return node;
    if (known) {
      fail('invalidSpec', 'E_AMBIGUOUS_COLUMN', `'${name}' is a column and the clock`, {
        at,
        hint: `write the column after the name of its table, and the clock as ${name === 'current_date' ? 'today()' : 'now()'}`,
      });
    }
    this.usesClock = true;
    return clockValue(rule.type, this.scope.nowMs, node.alias);
  }

  private call(node: TreeNode): TreeNode {
    const name = String(node['function_name']);
    const rule = functionRule(name, nodesOf(node['children']), this.scope.functions);
    // How DuckDB parses `list(x order by x)`.
    if (name === 'list_sort') for (const child of nodesOf(node['children'])) this.sorted.add(child);
    switch (rule.kind) {
      case 'clock':
        this.usesClock = true;
        return clockValue(rule.type, this.scope.nowMs, node.alias);
      case 'denied':
        return deny(`${name}()`, rule.instead, this.scope.at);
      case 'aggregate':
        this.permit('aggregate', `${name}()`);
        if (!this.sorted.has(node)) {
          this.noteOrder(name, isNode(node['order_bys']) ? node['order_bys']['orders'] : []);
        }
        break;
      case 'rows':
        this.permit('rows', `${name}()`);
        break;
      case 'random':
        this.deterministic = false;
        break;
      case 'plain':
        break;
    }
    return this.members(node);
  }

  private window(node: TreeNode): TreeNode {
    const name = String(node['function_name']);
    this.permit('window', 'a window function');
    const rule = functionRule(name, nodesOf(node['children']), this.scope.functions);
    if (rule.kind === 'denied') deny(`${name}()`, rule.instead, this.scope.at);
    const orders = [...nodesOf(node['orders']), ...nodesOf(node['arg_orders'])];
    if (orders.length === 0 && (needsOrder(name) || hasBounds(node))) {
      fail('invalidSpec', 'E_WINDOW_ORDER', `${name}() depends on an order that is not there`, {
        at: this.scope.at,
        hint: 'say in which order: orderBy in a window step, ORDER BY within OVER ( )',
      });
    }
    this.noteOrder(name, orders);
    return this.members(node);
  }

  private noteOrder(name: string, orders: unknown): void {
    if (orderSensitive(name, this.scope.functions) && nodesOf(orders).length === 0)
      this.deterministic = false;
  }

  private permit(what: BeyondRow, called: string): void {
    if (!this.scope.allowed.has(what)) refuseBeyondRow(what, called, this.scope.at);
  }
}

/** Whether the frame ends at a row rather than with the partition. */
function hasBounds(window: TreeNode): boolean {
  const whole = ['UNBOUNDED_PRECEDING', 'UNBOUNDED_FOLLOWING', 'CURRENT_ROW_RANGE'];
  return [window['start'], window['end']].some((bound) => !whole.includes(String(bound)));
}
