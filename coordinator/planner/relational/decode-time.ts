/**
 * Dates and times of the plan (numbers since 1970) as SQL constants. Calendar arithmetic in whole
 * numbers; never the clock, never a time zone of this machine.
 */
import { bigOf, digitsOf, isObject, unsupported } from './plan-json.js';

const dayMicros = 86_400_000_000n;
/** DuckDB's offset field counts down from 15:59:59. */
const offsetMax = 16n * 3600n - 1n;

/** A constant of a type of date, time or interval; undefined for other types. */
export function timeConstant(type: string, value: unknown): string | undefined {
  switch (type) {
    case 'DATE':
      return date(bigOf(value, type));
    case 'TIME':
      return `cast('${clock(bigOf(value, type), 6)}' as TIME)`;
    case 'TIME WITH TIME ZONE':
      return zonedTime(bigOf(value, type));
    case 'TIMESTAMP':
    case 'TIMESTAMP WITH TIME ZONE':
      return timestamp(type, bigOf(value, type), 1n, 6);
    case 'TIMESTAMP_S':
      return timestamp(type, bigOf(value, type), 1_000_000n, 0);
    case 'TIMESTAMP_MS':
      return timestamp(type, bigOf(value, type), 1_000n, 3);
    case 'TIMESTAMP_NS':
      return nanos(bigOf(value, type));
    case 'INTERVAL':
      return interval(value);
    default:
      return undefined;
  }
}

function date(days: bigint): string {
  const limit = 2_147_483_647n;
  if (days === limit) return `cast('infinity' as DATE)`;
  if (days === -limit) return `cast('-infinity' as DATE)`;
  return `cast('${calendar(days)}' as DATE)`;
}

/** `unit` microseconds each; `digits` of the second are written. */
function timestamp(type: string, value: bigint, unit: bigint, digits: number): string {
  const limit = 9_223_372_036_854_775_807n;
  if (value === limit) return `cast('infinity' as ${type})`;
  if (value === -limit) return `cast('-infinity' as ${type})`;
  const micros = value * unit;
  const days = floorDivide(micros, dayMicros);
  // With the offset written out, the session's time zone has no say.
  const zone = type === 'TIMESTAMP WITH TIME ZONE' ? '+00' : '';
  const time = clock(micros - days * dayMicros, digits);
  return `cast('${calendar(days)} ${time}${zone}' as ${type})`;
}

function nanos(value: bigint): string {
  if (value >= 9_223_372_036_854_775_806n || value <= -9_223_372_036_854_775_806n) {
    return unsupported('an infinite TIMESTAMP_NS');
  }
  return `make_timestamp_ns(cast('${value}' as BIGINT))`;
}

function zonedTime(bits: bigint): string {
  const seconds = offsetMax - (bits & 0xff_ffffn);
  const size = seconds < 0n ? -seconds : seconds;
  const offset = `${seconds < 0n ? '-' : '+'}${clock(size * 1_000_000n, 0)}`;
  return `cast('${clock(bits >> 24n, 6)}${offset}' as TIME WITH TIME ZONE)`;
}

function interval(value: unknown): string {
  if (!isObject(value)) return unsupported('an interval without parts');
  const part = (name: string) => digitsOf(value[name], 'INTERVAL');
  return (
    `(to_months(cast('${part('months')}' as INTEGER)) + to_days(cast('${part('days')}' as ` +
    `INTEGER)) + to_microseconds(cast('${part('micros')}' as BIGINT)))`
  );
}

function clock(micros: bigint, digits: number): string {
  const pad = (number: bigint) => String(number).padStart(2, '0');
  const seconds = micros / 1_000_000n;
  const text = `${pad(seconds / 3600n)}:${pad((seconds / 60n) % 60n)}:${pad(seconds % 60n)}`;
  if (digits === 0) return text;
  const fraction = String(micros % 1_000_000n).padStart(6, '0');
  return fraction === '000000' ? text : `${text}.${fraction.slice(0, digits)}`;
}

/**
 * Days since 1970 in the proleptic Gregorian calendar.
 * Source: Howard Hinnant, "chrono-compatible low-level date algorithms", civil_from_days.
 */
function calendar(days: bigint): string {
  const shifted = days + 719_468n;
  const era = floorDivide(shifted, 146_097n);
  const dayOfEra = shifted - era * 146_097n;
  const yearOfEra = (dayOfEra - dayOfEra / 1460n + dayOfEra / 36_524n - dayOfEra / 146_096n) / 365n;
  const dayOfYear = dayOfEra - (365n * yearOfEra + yearOfEra / 4n - yearOfEra / 100n);
  const month5 = (5n * dayOfYear + 2n) / 153n;
  const day = dayOfYear - (153n * month5 + 2n) / 5n + 1n;
  const month = month5 < 10n ? month5 + 3n : month5 - 9n;
  const year = yearOfEra + era * 400n + (month <= 2n ? 1n : 0n);
  const pad = (number: bigint, width: number) => String(number).padStart(width, '0');
  const text = `${pad(year > 0n ? year : 1n - year, 4)}-${pad(month, 2)}-${pad(day, 2)}`;
  return year > 0n ? text : `${text} (BC)`;
}

function floorDivide(a: bigint, b: bigint): bigint {
  const quotient = a / b;
  return a % b < 0n ? quotient - 1n : quotient;
}
