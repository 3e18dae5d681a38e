/**
 * Joins as DuckDB can print them: it writes none of their parentheses, and CROSS JOIN as a comma, which
 * binds weaker than any JOIN. Never: changes which rows a query gives.
 */
import { castNode, isNode, type TreeNode } from './syntax.js';

/** The tree with joins that mean the same without parentheses. */
export function joinsApart<Tree>(tree: Tree): Tree {
  return visited(tree, false) as Tree;
}

/** @param joined whether it stands in a side of a join that has a word of its own */
function visited(value: unknown, joined: boolean): unknown {
  if (Array.isArray(value)) return value.map((member) => visited(member, false));
  if (!isNode(value)) return value;
  const isJoin = value.type === 'JOIN';
  const kind = value['ref_type'];
  const within = isJoin && (joined || kind !== 'CROSS');
  const node: TreeNode = Object.fromEntries(
    Object.entries(value).map(([key, member]) => [
      key,
      visited(member, within && (key === 'left' || key === 'right')),
    ]),
  );
  if (!isJoin) return node;
  if (kind === 'CROSS') return joined ? { ...node, ref_type: 'REGULAR', condition: always } : node;
  // Without a condition behind it nothing says where the right side ends.
  const { right } = node;
  const open = kind === 'NATURAL' && isNode(right) && right.type === 'JOIN';
  return open ? { ...node, right: subselect(right) } : node;
}

const always = castNode('t', 'BOOLEAN');

function subselect(from: TreeNode): TreeNode {
  const star = { class: 'STAR', type: 'STAR', alias: '', relation_name: '' };
  const lists = { exclude_list: [], replace_list: [], qualified_exclude_list: [], rename_list: [] };
  return {
    type: 'SUBQUERY',
    alias: '',
    subquery: {
      node: {
        type: 'SELECT_NODE',
        modifiers: [],
        cte_map: { map: [] },
        select_list: [{ ...star, ...lists, columns: false, expr: null }],
        from_table: from,
        where_clause: null,
        group_expressions: [],
        group_sets: [],
        aggregate_handling: 'STANDARD_HANDLING',
        having: null,
        sample: null,
        qualify: null,
      },
      named_param_map: [],
    },
    column_name_alias: [],
  };
}
