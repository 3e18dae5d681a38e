/**
 * Which types may meet in a key or a column. Stricter than DuckDB, which compares text with a date
 * by casting it row by row. Pure.
 */

const families: readonly (readonly [RegExp, string])[] = [
  [/^(U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|FLOAT|DOUBLE|DECIMAL\(.*\))$/, 'number'],
  [/^(VARCHAR|ENUM\(.*\))$/, 'text'],
  [/^(DATE|TIMESTAMP(_S|_MS|_NS)?)$/, 'date'],
];

function familyOf(type: string): string {
  return families.find(([pattern]) => pattern.test(type))?.[1] ?? type;
}

/** Lists are compared by what they hold; structs and maps must be of one type. */
export function comparable(left: string, right: string): boolean {
  const [leftItem, rightItem] = [itemType(left), itemType(right)];
  if (leftItem !== undefined && rightItem !== undefined) return comparable(leftItem, rightItem);
  return left === right || familyOf(left) === familyOf(right);
}

function itemType(type: string): string | undefined {
  return /^(.*)\[\d*\]$/.exec(type)?.[1];
}
