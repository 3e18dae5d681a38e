/**
 * Makes a user's projection keep the row column, by adding it to DuckDB's own parse tree of the
 * query. Never judges the query; the planner has.
 */
import type { Kernel } from '../kernel/duckdb.js';
import { rowColumn } from './statement.js';
import { quoteText } from '../../shared/sql-text.js';

interface Star {
  class: string;
  exclude_list?: string[];
}

interface SelectNode {
  type: string;
  select_list: unknown[];
}

/** Marks integers that JavaScript would round; the character cannot occur in SQL text. */
const exactMark = '\u0001';

export async function keepRowColumn(kernel: Kernel, query: string): Promise<string> {
  const [serialized] = await kernel.rows(
    `select json_serialize_sql(${quoteText(query)})::varchar as tree`,
  );
  const tree = parseExact(String(serialized?.tree)) as { statements: { node: SelectNode }[] };
  const node = tree.statements[0]?.node;
  if (node?.type !== 'SELECT_NODE') throw new TypeError(`not a plain select: ${query}`);
  for (const item of node.select_list as Star[]) {
    if (item.class === 'STAR') item.exclude_list?.push(rowColumn);
  }
  node.select_list.push({
    class: 'COLUMN_REF',
    type: 'COLUMN_REF',
    alias: '',
    query_location: 0,
    column_names: [rowColumn],
  });
  const [text] = await kernel.rows(
    `select json_deserialize_sql(${quoteText(stringifyExact(tree))}) as query`,
  );
  return String(text?.query);
}

/** JSON in which no number loses digits; only for `stringifyExact` to write down again. */
export function parseExact(json: string): unknown {
  return JSON.parse(
    json.replace(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g, (token) =>
      /^-?\d{16,}$/.test(token) ? JSON.stringify(exactMark + token) : token,
    ),
  );
}

export function stringifyExact(tree: unknown): string {
  return JSON.stringify(tree).replace(/"\\u0001(-?\d+)"/g, '$1');
}
