/**
 * The params that SQL names (`$name`), found without parsing it. Never: judges the SQL; that is
 * DuckDB's, when the job is analysed.
 */
import { nameHint, shorten } from './spec-problems.js';

/**
 * What DuckDB's scanner sees where a `$` may stand: comments, texts and quoted names, in which it
 * means nothing; words, which may hold one; and at last the params.
 */
const token = new RegExp(
  [
    String.raw`--[^\n\r]*`,
    String.raw`(?<comment>/\*)`,
    String.raw`[eE]'[^'\\]*(?:(?:\\[^]|'')[^'\\]*)*(?:'|$)`,
    String.raw`'[^']*(?:''[^']*)*(?:'|$)`,
    String.raw`"[^"]*(?:""[^"]*)*(?:"|$)`,
    String.raw`\$(?<tag>(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?)\$[^]*?(?:\$\k<tag>\$|$)`,
    String.raw`[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*`,
    String.raw`\$"(?<quoted>[^"]*(?:""[^"]*)*)"`,
    String.raw`\$(?<name>\d+|[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)`,
    String.raw`(?<mark>\?)`,
  ].join('|'),
  'g',
);

/** Names of the params in a SQL text, each once, as it writes them; `?` is one that has none. */
export function paramNames(sql: string): string[] {
  const names = new Set<string>();
  const scan = new RegExp(token);
  for (let found = scan.exec(sql); found; found = scan.exec(sql)) {
    const { comment, quoted, name, mark } = found.groups!;
    if (comment !== undefined) scan.lastIndex = endOfComment(sql, scan.lastIndex);
    const named = name ?? quoted?.replaceAll('""', '"') ?? mark;
    if (named !== undefined) names.add(named);
  }
  return [...names];
}

/** Comments hold comments. @param from where the inside of one begins */
function endOfComment(sql: string, from: number): number {
  const bounds = /\/\*|\*\//g;
  bounds.lastIndex = from;
  let depth = 1;
  while (depth > 0) {
    const bound = bounds.exec(sql);
    if (!bound) return sql.length;
    depth += bound[0] === '/*' ? 1 : -1;
  }
  return bounds.lastIndex;
}

/** The one of `params` that a name in SQL means, which does not tell upper from lower case. */
export function paramNamed(name: string, params: readonly string[]): string | undefined {
  const wanted = name.toLowerCase();
  return params.find((param) => param.toLowerCase() === wanted);
}

/** What E_UNKNOWN_PARAM says of a name in SQL that is none of `params`. */
export function unknownParam(
  name: string,
  params: readonly string[],
): { readonly message: string; readonly hint: string } {
  return {
    message: `there is no param '${shorten(name)}'`,
    hint: nameHint(name, params) ?? 'name it under params, with a value',
  };
}
