/**
 * The tables that SQL names: sources, steps and its own WITH queries, each in its scope. Everything
 * else is refused. Never: columns; DuckDB's binder knows those.
 */
import { fail, type FailureLocation } from '../../shared/failure.js';
import { nameHint } from '../../shared/spec-problems.js';
import { isNode, nodesOf, type TreeNode } from './syntax.js';

export interface TableScope {
  /** Ids of all sources and steps. */
  readonly known: ReadonlySet<string>;
  readonly at: FailureLocation;
}

/** Functions in FROM that make rows of their arguments alone. */
const rowMakers = new Set(['unnest', 'range', 'generate_series']);

/**
 * The tree with every table called as its source or step is, and which those are.
 * @throws WindrowError E_SQL_DENIED, E_UNKNOWN_STEP, E_STEP_UNSUPPORTED
 */
export function readTables(
  tree: TreeNode,
  scope: TableScope,
): { readonly tree: TreeNode; readonly reads: readonly string[] } {
  const walk = new TableWalk(scope);
  return { tree: walk.node(tree, new Set()), reads: [...walk.reads] };
}

class TableWalk {
  readonly reads = new Set<string>();
  private readonly ids: ReadonlyMap<string, string>;

  constructor(private readonly scope: TableScope) {
    this.ids = new Map([...scope.known].map((id) => [id.toLowerCase(), id]));
  }

  /** @param local names of the WITH queries that can be seen here, in lower case */
  node(node: TreeNode, local: ReadonlySet<string>): TreeNode {
    if (node.class === undefined) this.refuse(node);
    if (node.class === undefined && node.type === 'BASE_TABLE') return this.table(node, local);
    const { cte_map: withQueries, ...others } = node;
    if (!isNode(withQueries)) return this.members(node, local);
    // Each sees those before it; the query that they belong to sees all.
    const visible = new Set(local);
    const map = nodesOf(withQueries['map']).map((entry) => {
      const key = String(entry['key']).toLowerCase();
      const inside = isRecursive(entry) ? new Set([...visible, key]) : visible;
      const closed = this.members(entry, inside);
      visible.add(key);
      return closed;
    });
    return { ...this.members(others, visible), cte_map: { ...withQueries, map } };
  }

  private members(node: TreeNode, local: ReadonlySet<string>): TreeNode {
    return Object.fromEntries(
      Object.entries(node).map(([key, member]) => [key, this.member(member, local)]),
    );
  }

  private member(value: unknown, local: ReadonlySet<string>): unknown {
    if (Array.isArray(value)) return value.map((item) => this.member(item, local));
    return isNode(value) ? this.node(value, local) : value;
  }

  private table(node: TreeNode, local: ReadonlySet<string>): TreeNode {
    const name = String(node['table_name']);
    if (node['schema_name'] || node['catalog_name']) this.deny(`'${name}'`);
    if (local.has(name.toLowerCase())) return node;
    const id = this.ids.get(name.toLowerCase());
    if (id !== undefined) {
      this.reads.add(id);
      return { ...node, table_name: id };
    }
    if (!/^\w+$/.test(name)) this.deny(`'${name}'`);
    return fail('invalidSpec', 'E_UNKNOWN_STEP', `there is no source or step '${name}'`, {
      at: this.scope.at,
      hint: nameHint(name, [...this.scope.known]) ?? 'name a source or a step',
    });
  }

  private refuse(node: TreeNode): void {
    if (node.type === 'TABLE_FUNCTION') {
      const call = isNode(node['function']) ? node['function'] : {};
      const name = String(call['function_name']);
      if (call['schema'] || !rowMakers.has(name.toLowerCase())) this.deny(`${name}()`);
    }
    if (node.type === 'SHOW_REF') this.deny('descriptions of tables');
    if (node.type === 'JOIN' && node['ref_type'] === 'POSITIONAL') {
      fail('invalidSpec', 'E_STEP_UNSUPPORTED', 'POSITIONAL JOIN pairs rows by their places', {
        at: this.scope.at,
        hint: 'rows have no places until they are sorted: join by a key',
      });
    }
  }

  private deny(what: string): never {
    fail('invalidSpec', 'E_SQL_DENIED', `SQL may not read ${what}`, {
      at: this.scope.at,
      hint: 'name what it should read as a source',
    });
  }
}

function isRecursive(entry: TreeNode): boolean {
  const { value } = entry;
  const query = isNode(value) && isNode(value['query']) ? value['query']['node'] : undefined;
  return isNode(query) && query.type === 'RECURSIVE_CTE_NODE';
}
