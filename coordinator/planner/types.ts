/** What becomes of DuckDB's types in a Parquet file. Pure. */
import { fail } from '../../shared/failure.js';
import type { ColumnDef } from '../../shared/plan.js';

/** Types whose values a Parquet file would change, with the cast that keeps them. */
const distorted: readonly (readonly [RegExp, string, string])[] = [
  [/^U?HUGEINT/, 'a number of 128 bits becomes a DOUBLE', '::decimal(38,0)'],
  [
    /^INTERVAL/,
    'milliseconds are the least there, and no part may be negative',
    '::varchar, or take its seconds with epoch',
  ],
  [/^(BIGNUM|VARINT)/, 'it becomes text', '::varchar'],
  [/^BIT/, 'it becomes text', '::varchar'],
  [/^UNION\(/, 'it becomes a struct', '::varchar, or take a member with union_extract'],
  [/^GEOMETRY/, 'it becomes bytes', '::blob'],
];

/**
 * The column as it reads back from the file.
 * @throws WindrowError E_TYPE_UNSUPPORTED for a type whose values would change
 */
export function landed(column: ColumnDef): ColumnDef {
  for (const part of typeWords(column.type)) {
    const found = distorted.find(([pattern]) => pattern.test(part));
    if (!found) continue;
    fail(
      'invalidSpec',
      'E_TYPE_UNSUPPORTED',
      `${column.type} cannot be kept in Parquet: ${found[1]}`,
      {
        at: { column: column.name },
        hint: `cast it with ${found[2]}`,
      },
    );
  }
  const type = outsideQuotes(column.type, (text) =>
    text.replace(/\[\d+\]/g, '[]').replace(/\bTIMESTAMP_(S|MS)\b/g, 'TIMESTAMP'),
  );
  return { name: column.name, type: /^ENUM\(/.test(type) ? 'VARCHAR' : type };
}

/** Types that Parquet alters, and what carries their values there and back by a cast each way. */
const carriers: readonly (readonly [RegExp, string])[] = [
  [/\bHUGEINT\b/g, 'DECIMAL(38,0)'],
  [/\b(UHUGEINT|BIGNUM|VARINT|BIT|INTERVAL|TIME WITH TIME ZONE|TIMETZ)\b/g, 'VARCHAR'],
  [/\bTIMESTAMP_(S|MS)\b/g, 'TIMESTAMP'],
  [/\[\d+\]/g, '[]'],
];

/**
 * The column's type in a file between two stages: a cast to it and back gives the value again.
 * @throws WindrowError E_TYPE_UNSUPPORTED for a type that no cast brings back
 */
export function travelled(column: ColumnDef): ColumnDef {
  for (const word of typeWords(column.type)) {
    if (!/^(UNION\(|GEOMETRY|VARIANT)/.test(word)) continue;
    fail('invalidSpec', 'E_TYPE_UNSUPPORTED', `${column.type} cannot travel between stages`, {
      at: { column: column.name },
      hint: 'cast it before it is joined, grouped or sorted',
    });
  }
  const type = outsideQuotes(column.type, (text) =>
    carriers.reduce((changed, [altered, carrier]) => changed.replace(altered, carrier), text),
  );
  return { name: column.name, type: withoutLabels(type) };
}

/** `ENUM('a', 'b')`, wherever it stands, is text in a file. */
function withoutLabels(type: string): string {
  return type.replace(/\bENUM\((?:'(?:[^']|'')*'(?:,\s*)?)*\)/g, 'VARCHAR');
}

/** Every place in the type where a type's name may begin. */
function typeWords(type: string): string[] {
  const words: string[] = [];
  outsideQuotes(type, (text) => {
    for (const match of text.matchAll(/\b[A-Z]\w*\(?/g)) words.push(match[0]);
    return text;
  });
  return words;
}

/** Applies `change` to the parts of a type's text that are not quoted names or labels. */
function outsideQuotes(type: string, change: (text: string) => string): string {
  return type
    .split(/("(?:[^"]|"")*"|'(?:[^']|'')*')/)
    .map((part, index) => (index % 2 === 0 ? change(part) : part))
    .join('');
}
