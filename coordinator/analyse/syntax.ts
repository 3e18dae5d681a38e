/**
 * DuckDB's parse tree as JSON: reading it without losing digits, walking it, making constants.
 * Never: decides what is allowed; that is in expressions.ts and queries.ts.
 */

/** An expression or another part of the tree; `class` marks expressions. */
export interface TreeNode {
  class?: string;
  type?: unknown;
  alias?: string;
  [member: string]: unknown;
}

export interface ParsedStatement {
  node: TreeNode;
  [member: string]: unknown;
}

/** Marks a number that JavaScript cannot hold; U+0001 cannot stand in JSON unescaped. */
const mark = '\\u0001';
const bigNumbers = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** Parses the tree; numbers other than small whole ones become marked strings, digit by digit. */
export function parseTree(json: string): unknown {
  const exact = json.replace(bigNumbers, (token) =>
    token.startsWith('"') || /^-?\d{1,15}$/.test(token) ? token : `"${mark}${token}"`,
  );
  return JSON.parse(exact) as unknown;
}

export function printTree(tree: unknown): string {
  return JSON.stringify(tree).replace(/"\\u0001(-?[0-9][0-9.eE+-]*)"/g, '$1');
}

/** Digits of a whole number as the tree holds it. */
export function wholeNumber(value: unknown): bigint | undefined {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return BigInt(value);
  if (typeof value !== 'string') return undefined;
  const match = /^\u0001(-?\d+)$/.exec(value);
  return match ? BigInt(match[1] ?? '') : undefined;
}

export function isNode(value: unknown): value is TreeNode {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Calls `visit` on every object of the tree, parents first. */
export function walkTree(value: unknown, visit: (node: TreeNode) => void): void {
  if (Array.isArray(value)) {
    for (const member of value) walkTree(member, visit);
  } else if (isNode(value)) {
    visit(value);
    for (const member of Object.values(value)) {
      if (typeof member === 'object' && member !== null) walkTree(member, visit);
    }
  }
}

/** A copy in which the outermost parts that `replace` gives something for are that. */
export function mapNodes(
  node: TreeNode,
  replace: (part: TreeNode) => TreeNode | undefined,
): TreeNode {
  const replaced = replace(node);
  if (replaced) return replaced;
  const visit = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(visit);
    return isNode(value) ? mapNodes(value, replace) : value;
  };
  return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, visit(value)]));
}

export function nodesOf(value: unknown): TreeNode[] {
  return Array.isArray(value) ? value.filter(isNode) : [];
}

export function textsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}

export function columnNode(names: readonly string[], alias = ''): TreeNode {
  return { class: 'COLUMN_REF', type: 'COLUMN_REF', alias, column_names: [...names] };
}

function constantNode(type: string, value: unknown): TreeNode {
  return {
    class: 'CONSTANT',
    type: 'VALUE_CONSTANT',
    alias: '',
    value: {
      type: { id: type, type_info: null },
      is_null: value === null,
      ...(value === null ? {} : { value }),
    },
  };
}

export function castNode(text: string, type: string, alias = ''): TreeNode {
  return castOf(constantNode('VARCHAR', text), { id: type, type_info: null }, alias);
}

export function castOf(child: TreeNode, type: unknown, alias = ''): TreeNode {
  return { class: 'CAST', type: 'OPERATOR_CAST', alias, child, cast_type: type, try_cast: false };
}

export function functionNode(name: string, children: TreeNode[], alias = ''): TreeNode {
  return {
    class: 'FUNCTION',
    type: 'FUNCTION',
    alias,
    function_name: name,
    schema: '',
    children,
    filter: null,
    order_bys: { type: 'ORDER_MODIFIER', orders: [] },
    distinct: false,
    is_operator: false,
    export_state: false,
    catalog: '',
  };
}

/**
 * A parameter's value as the user would have written it: whole numbers and strings are literals
 * (which take the type of what they are compared with), other numbers are DOUBLE.
 */
export function valueNode(value: string | number | boolean | null, alias = ''): TreeNode {
  if (value === null) return { ...constantNode('NULL', null), alias };
  if (typeof value === 'string') return { ...constantNode('VARCHAR', value), alias };
  if (typeof value === 'boolean') return castNode(value ? 't' : 'f', 'BOOLEAN', alias);
  if (!Number.isSafeInteger(value)) return castNode(String(value), 'DOUBLE', alias);
  const type = Math.abs(value) < 2 ** 31 ? 'INTEGER' : 'BIGINT';
  return { ...constantNode(type, value), alias };
}

/** DuckDB prints `1e-2`, a DOUBLE, as `0.01`, and `100.`, a DECIMAL, as `100`: it would read others again. */
export function typedConstant(node: TreeNode): TreeNode {
  const { value } = node;
  if (!isNode(value) || !isNode(value['type'])) return node;
  const { id, type_info: info } = value['type'];
  if (id === 'DECIMAL' && isNode(info) && Number(info['scale']) === 0) {
    return castOf({ ...node, alias: '' }, value['type'], node.alias);
  }
  if (id !== 'DOUBLE') return node;
  const digits = String(value['value']).replace('\u0001', '');
  return value['is_null'] === true ? node : castNode(digits, 'DOUBLE', node.alias);
}

/** The operands of AND, however deep; the expression itself when it is none. */
export function conjunctsOf(node: TreeNode): TreeNode[] {
  if (node.class !== 'CONJUNCTION' || node.type !== 'CONJUNCTION_AND') return [node];
  return nodesOf(node['children']).flatMap(conjunctsOf);
}
