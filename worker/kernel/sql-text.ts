/** Quoting for SQL that the worker writes. The only place in the worker that escapes; never parses. */

/** An identifier, whatever it contains. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** A string literal. */
export function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** A path where DuckDB would expand globs: taken literally, then quoted. */
export function quotePath(path: string): string {
  return quoteText(path.replace(/[*?[]/g, (character) => `[${character}]`));
}

/** A user's expression inside parentheses; the line break ends a trailing `--` comment. */
export function enclosed(expression: string): string {
  return `(${expression}\n)`;
}
