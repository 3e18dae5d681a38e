/** Expressions made of others: what they read and whether they may change, from their parts. */
import type { Column, Expression } from './relation.js';
import { quoteName } from '../../../shared/sql-text.js';

/** What an expression may refer to. */
export interface Scope {
  /** By position; undefined for what no expression can read, as a row's number in its file. */
  readonly slots: readonly (Column | Expression | undefined)[];
  /** By DuckDB's table index, for the few references it leaves unresolved. */
  readonly bindings: ReadonlyMap<number, readonly (Column | undefined)[]>;
  readonly isVolatile: (functionName: string) => boolean;
  /** Number of lambdas around the expression. */
  readonly depth?: number;
}

export function columnExpression(column: Column): Expression {
  return {
    sql: quoteName(column.id),
    type: column.type,
    reads: [column.id],
    column: column.id,
    volatile: false,
    constant: false,
  };
}

/** An expression made of others; `sql` is the caller's, the rest follows from the parts. */
export function combine(
  sql: string,
  type: string,
  parts: readonly Expression[],
  own: { volatile?: boolean } = {},
): Expression {
  const reads = [...new Set(parts.flatMap((part) => part.reads))];
  const volatile = own.volatile === true || parts.some((part) => part.volatile);
  const constant = !volatile && parts.every((part) => part.constant);
  return { sql, type, reads, volatile, constant };
}
