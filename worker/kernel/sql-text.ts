/** Paths and users' expressions as SQL that the worker writes. Never parses. */
import { quoteText } from '../../shared/sql-text.js';

/** A path where DuckDB would expand globs: taken literally, then quoted. */
export function quotePath(path: string): string {
  return quoteText(path.replace(/[*?[]/g, (character) => `[${character}]`));
}

/** A user's expression inside parentheses; the line break ends a trailing `--` comment. */
export function enclosed(expression: string): string {
  return `(${expression}\n)`;
}
