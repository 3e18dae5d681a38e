/** Names and strings as DuckDB SQL. The only place that escapes them; never parses. */

/** An identifier, whatever it contains. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** The same for names that are one to DuckDB, which ignores the case of ASCII letters alone. */
export function nameKey(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

/** A string as an SQL expression; DuckDB's parser stops at U+0000, so that is spelled out. */
export function quoteText(text: string): string {
  const parts = text.split('\0').map((part) => `'${part.replaceAll("'", "''")}'`);
  return parts.length === 1 ? (parts[0] ?? "''") : `(${parts.join(' || chr(0) || ')})`;
}
