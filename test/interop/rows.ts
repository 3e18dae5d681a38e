/**
 * The plain form in which the interoperability tests compare rows of any reader or writer: numbers as
 * text, times as text to the microsecond, bytes in hexadecimal, structs and maps as
 * objects. Never knows which file it looks at.
 */
import {
  DuckDBBlobValue,
  DuckDBDateValue,
  DuckDBDecimalValue,
  DuckDBListValue,
  DuckDBMapValue,
  DuckDBStructValue,
  DuckDBTimeValue,
  DuckDBTimestampMillisecondsValue,
  DuckDBTimestampNanosecondsValue,
  DuckDBTimestampSecondsValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
} from '@duckdb/node-api';

export type Plain = null | boolean | string | readonly Plain[] | { readonly [key: string]: Plain };

/** Columns whose values one reader or another gives in a form that only the type explains. */
export type Kind = 'decimal' | 'time' | 'timestamp' | 'date';

/** What stands beside each fixture. */
export interface ExpectedRows {
  readonly columns: readonly string[];
  readonly kinds: Readonly<Record<string, Kind>>;
  readonly rows: readonly (readonly Plain[])[];
}

const pad = (value: bigint, width: number): string => value.toString().padStart(width, '0');

function timeText(micros: bigint): string {
  const seconds = micros / 1_000_000n;
  const clock = [seconds / 3600n, (seconds / 60n) % 60n, seconds % 60n].map((v) => pad(v, 2));
  return `${clock.join(':')}.${pad(micros % 1_000_000n, 6)}`;
}

export function timestampText(micros: bigint): string {
  const day = 86_400_000_000n;
  const rest = ((micros % day) + day) % day;
  return `${dateText(Number((micros - rest) / day))} ${timeText(rest)}`;
}

export function dateText(days: number): string {
  return new Date(days * 86_400_000).toISOString().slice(0, 10);
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** A value as JavaScript or the DuckDB client has it. */
export function plainValue(value: unknown): Plain {
  if (value === null || value === undefined) return null;
  if (typeof value === 'boolean' || typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  if (value instanceof Uint8Array) return hex(value);
  if (value instanceof Date) return timestampText(BigInt(value.getTime()) * 1000n);
  if (value instanceof DuckDBDecimalValue) return value.toString();
  if (value instanceof DuckDBBlobValue) return hex(value.bytes);
  if (value instanceof DuckDBDateValue) return dateText(value.days);
  if (value instanceof DuckDBTimeValue) return timeText(value.micros);
  if (value instanceof DuckDBTimestampSecondsValue)
    return timestampText(value.seconds * 1_000_000n);
  if (value instanceof DuckDBTimestampMillisecondsValue) return timestampText(value.millis * 1000n);
  if (value instanceof DuckDBTimestampNanosecondsValue) return timestampText(value.nanos / 1000n);
  if (value instanceof DuckDBTimestampValue || value instanceof DuckDBTimestampTZValue)
    return timestampText(value.micros);
  if (value instanceof DuckDBListValue) return value.items.map(plainValue);
  if (value instanceof DuckDBStructValue) return plainObject(value.entries);
  if (value instanceof DuckDBMapValue)
    return plainObject(
      Object.fromEntries(value.entries.map(({ key, value: item }) => [String(key), item])),
    );
  if (Array.isArray(value)) return value.map(plainValue);
  return plainObject(value as Record<string, unknown>);
}

function plainObject(entries: Readonly<Record<string, unknown>>): Plain {
  return Object.fromEntries(Object.entries(entries).map(([key, item]) => [key, plainValue(item)]));
}

/** A value of hyparquet, which has clocks as microseconds. Decimals it has as binary fractions. */
export function plainOfHyparquet(value: unknown, kind: Kind | undefined): Plain {
  if (kind === 'time' && typeof value === 'bigint') return timeText(value);
  if (kind === 'date' && value instanceof Date) return dateText(value.getTime() / 86_400_000);
  return plainValue(value);
}

/** Decimals to the precision that a binary fraction keeps, for readers that have no other. */
export function roundDecimals(expected: ExpectedRows): ExpectedRows {
  return {
    ...expected,
    rows: expected.rows.map((row) =>
      row.map((value, k) =>
        expected.kinds[expected.columns[k] ?? ''] === 'decimal' && typeof value === 'string'
          ? Number(value).toPrecision(12)
          : value,
      ),
    ),
  };
}

/** The rows as a multiset: each as text, sorted. */
export function multiset(rows: readonly (readonly Plain[])[]): string[] {
  return rows.map((row) => JSON.stringify(row)).sort();
}
