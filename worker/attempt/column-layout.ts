/**
 * When the pages of one Parquet column may stand for those of another: physical types, levels and what
 * the values mean are the same. Pure. Never: looks at pages.
 * Format: https://github.com/apache/parquet-format/blob/master/LogicalTypes.md
 */
import type { SchemaElement } from 'hyparquet';

type Meaning = NonNullable<SchemaElement['logical_type']>;

/** What older writers say by a converted type alone. Times are in UTC then. */
const meanings: Partial<Record<NonNullable<SchemaElement['converted_type']>, Meaning>> = {
  UTF8: { type: 'STRING' },
  MAP: { type: 'MAP' },
  LIST: { type: 'LIST' },
  ENUM: { type: 'ENUM' },
  DATE: { type: 'DATE' },
  JSON: { type: 'JSON' },
  BSON: { type: 'BSON' },
  INTERVAL: { type: 'INTERVAL' },
  TIME_MILLIS: { type: 'TIME', isAdjustedToUTC: true, unit: 'MILLIS' },
  TIME_MICROS: { type: 'TIME', isAdjustedToUTC: true, unit: 'MICROS' },
  TIMESTAMP_MILLIS: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MILLIS' },
  TIMESTAMP_MICROS: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MICROS' },
  INT_8: { type: 'INTEGER', bitWidth: 8, isSigned: true },
  INT_16: { type: 'INTEGER', bitWidth: 16, isSigned: true },
  INT_32: { type: 'INTEGER', bitWidth: 32, isSigned: true },
  INT_64: { type: 'INTEGER', bitWidth: 64, isSigned: true },
  UINT_8: { type: 'INTEGER', bitWidth: 8, isSigned: false },
  UINT_16: { type: 'INTEGER', bitWidth: 16, isSigned: false },
  UINT_32: { type: 'INTEGER', bitWidth: 32, isSigned: false },
  UINT_64: { type: 'INTEGER', bitWidth: 64, isSigned: false },
};

/**
 * @param elements of a top-level column: its own, then those of what is nested in it
 * @returns equal text where the layouts are; the column's own name does not matter
 */
export function layoutOf(elements: readonly SchemaElement[]): string {
  return JSON.stringify(
    elements.map((element, index) => [
      index === 0 ? '' : element.name,
      element.type ?? '',
      element.type_length ?? 0,
      element.repetition_type ?? '',
      element.num_children ?? 0,
      meaningOf(element),
    ]),
  );
}

function meaningOf(element: SchemaElement): unknown {
  const { type, converted_type: converted, logical_type: logical } = element;
  if (logical) return Object.entries(logical).sort(([a], [b]) => (a < b ? -1 : 1));
  if (converted === 'DECIMAL') {
    const { scale = 0, precision = 0 } = element;
    return meaningOf({ ...element, logical_type: { type: 'DECIMAL', scale, precision } });
  }
  if (converted) {
    const meaning = meanings[converted];
    return meaning ? meaningOf({ ...element, logical_type: meaning }) : converted;
  }
  // Whole numbers are signed unless something else is said.
  if (type === 'INT32') return meaningOf({ ...element, converted_type: 'INT_32' });
  if (type === 'INT64') return meaningOf({ ...element, converted_type: 'INT_64' });
  return null;
}

/** Whether some of it is text: bytes that a writer may not have made sure are UTF-8. */
export function holdsText(elements: readonly SchemaElement[]): boolean {
  return elements.some(
    ({ type, converted_type: converted, logical_type: logical }) =>
      type === 'BYTE_ARRAY' && /^(STRING|UTF8|JSON|ENUM)$/.test(logical?.type ?? converted ?? ''),
  );
}
