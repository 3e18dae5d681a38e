/** The expressions of a select step as DuckDB's own parse trees. Never: judges them. */
import type { SelectStep } from '../../shared/plan.js';
import { quoteText } from '../../shared/sql-text.js';
import type { Kernel } from '../kernel/duckdb.js';
import { parseExact } from './row-query.js';

/** A node of `json_serialize_sql`. */
export interface Tree {
  readonly class: string;
  readonly column_names?: readonly string[];
  readonly function_name?: string;
  readonly schema?: string;
  readonly is_operator?: boolean;
  readonly children?: readonly Tree[];
  readonly child?: Tree;
  readonly cast_type?: { readonly id: string };
  readonly try_cast?: boolean;
  readonly value?: {
    readonly type: { readonly id: string; readonly type_info?: { readonly scale?: number } | null };
    readonly is_null: boolean;
    readonly value?: unknown;
  };
}

export interface Statement {
  readonly statements: readonly [{ readonly node: { readonly select_list: readonly Tree[] } }];
}

/** In the order of the step's columns. Undefined where DuckDB has no tree to show. */
export async function selectTrees(
  kernel: Kernel,
  { columns }: SelectStep,
): Promise<Statement | undefined> {
  const text = `select ${columns.map(({ expr }) => `(${expr}\n)`).join(', ')}`;
  const [row] = await kernel.rows(`select json_serialize_sql(${quoteText(text)})::varchar as tree`);
  const tree = parseExact(String(row?.['tree'])) as Statement & { readonly error: boolean };
  return tree.error ? undefined : tree;
}
