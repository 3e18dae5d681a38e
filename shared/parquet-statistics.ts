/**
 * The row-group statistics of a footer that may be trusted to rule rows out: signed integers,
 * dates, timestamps and whole strings. Never: guesses; what is in doubt has no statistics, because
 * wrong pruning loses rows silently.
 */
import type { FileMetaData, ParquetParsers, SchemaElement, Statistics } from 'hyparquet';

export interface ColumnStatistics {
  /** What `min` and `max` count: days or microseconds since 1970, whole numbers, or text. */
  readonly kind: 'integer' | 'date' | 'timestamp' | 'string';
  readonly min: bigint | string;
  readonly max: bigint | string;
  /** True where the file says that no value is NULL. */
  readonly noNulls?: boolean;
}

/** Longer strings may have been cut by a writer that does not say so. */
const stringBytesMax = 32;

/** Keeps hyparquet from turning statistics into values that have lost precision. */
export const rawStatistics: Partial<ParquetParsers> = {
  stringFromBytes: (bytes: Uint8Array) => bytes.slice(),
  dateFromDays: (days: number) => days,
  timestampFromMilliseconds: (value: bigint) => value,
  timestampFromMicroseconds: (value: bigint) => value,
  timestampFromNanoseconds: (value: bigint) => value,
};

export function columnStatistics(
  metadata: FileMetaData,
): Map<string, readonly (ColumnStatistics | undefined)[]> {
  const found = new Map<string, (ColumnStatistics | undefined)[]>();
  const leaves = metadata.schema.filter((element) => element.type !== undefined);
  leaves.forEach((element, leaf) => {
    const read = readerFor(element);
    if (!read) return;
    const perGroup = metadata.row_groups.map((group) => {
      const meta = group.columns[leaf]?.meta_data;
      // Only top-level columns: a nested value's range says nothing about the row.
      if (meta?.path_in_schema.length !== 1 || meta.path_in_schema[0] !== element.name) {
        return undefined;
      }
      const stats = meta.statistics && read(meta.statistics);
      return stats && meta.statistics?.null_count === 0n ? { ...stats, noNulls: true } : stats;
    });
    if (perGroup.some((stats) => stats !== undefined)) found.set(element.name, perGroup);
  });
  return found;
}

type Reader = (stats: Statistics) => ColumnStatistics | undefined;

function readerFor(element: SchemaElement): Reader | undefined {
  if (element.repetition_type === 'REPEATED') return undefined;
  const { type, converted_type: converted, logical_type: logical } = element;
  if (type === 'BYTE_ARRAY') {
    return converted === 'UTF8' || logical?.type === 'STRING' ? readString : undefined;
  }
  if (type !== 'INT32' && type !== 'INT64') return undefined;
  if (logical?.type === 'TIMESTAMP') return type === 'INT64' ? timestamp(logical.unit) : undefined;
  if (converted === 'TIMESTAMP_MILLIS' && !logical) return timestamp('MILLIS');
  if (converted === 'TIMESTAMP_MICROS' && !logical) return timestamp('MICROS');
  if (converted === 'DATE' || logical?.type === 'DATE') {
    return type === 'INT32' ? whole('date', (value) => value) : undefined;
  }
  const signed =
    (logical === undefined || (logical.type === 'INTEGER' && logical.isSigned)) &&
    (converted === undefined || /^INT_(8|16|32|64)$/.test(converted));
  return signed ? whole('integer', (value) => value) : undefined;
}

function whole(kind: ColumnStatistics['kind'], scale: (value: bigint) => bigint): Reader {
  return (stats) => {
    const [min, max] = [integer(stats.min_value), integer(stats.max_value)];
    if (min === undefined || max === undefined || min > max) return undefined;
    return { kind, min: scale(min), max: scale(max) };
  };
}

function timestamp(unit: 'MILLIS' | 'MICROS' | 'NANOS'): Reader {
  const read = whole('timestamp', (value) => (unit === 'MILLIS' ? value * 1000n : value));
  if (unit !== 'NANOS') return read;
  return (stats) => {
    const exact = read(stats);
    if (!exact) return undefined;
    const [min, max] = [exact.min as bigint, exact.max as bigint];
    // Rounded outwards: nanoseconds between two microseconds stay inside the range.
    return { kind: 'timestamp', min: min / 1000n - 1n, max: max / 1000n + 1n };
  };
}

function integer(value: unknown): bigint | undefined {
  if (typeof value === 'bigint') return value;
  return typeof value === 'number' && Number.isSafeInteger(value) ? BigInt(value) : undefined;
}

function readString(stats: Statistics): ColumnStatistics | undefined {
  if (stats.is_min_value_exact === false || stats.is_max_value_exact === false) return undefined;
  const [min, max] = [text(stats.min_value), text(stats.max_value)];
  return min === undefined || max === undefined ? undefined : { kind: 'string', min, max };
}

function text(value: unknown): string | undefined {
  if (!(value instanceof Uint8Array) || value.length >= stringBytesMax) return undefined;
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(value);
  } catch {
    return undefined;
  }
}
