/** Names and strings as DuckDB SQL. The only place that escapes them; never parses. */

/** An identifier, whatever it contains. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** A string as an SQL expression; DuckDB's parser stops at U+0000, so that is spelled out. */
export function quoteText(text: string): string {
  const parts = text.split('\0').map((part) => `'${part.replaceAll("'", "''")}'`);
  return parts.length === 1 ? (parts[0] ?? "''") : `(${parts.join(' || chr(0) || ')})`;
}
