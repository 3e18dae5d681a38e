/**
 * How each DuckDB type crosses into a user's function and back; the table in docs/FUNCTIONS.md. The
 * only place that decides it; never touches values.
 */
import type { ColumnDef } from '../../shared/plan.js';
import { quoteName } from '../../shared/sql-text.js';

export type NumberType =
  | 'TINYINT'
  | 'SMALLINT'
  | 'INTEGER'
  | 'BIGINT'
  | 'UTINYINT'
  | 'USMALLINT'
  | 'UINTEGER'
  | 'UBIGINT'
  | 'FLOAT'
  | 'DOUBLE';

export type ColumnKind =
  | { readonly kind: 'number'; readonly type: NumberType }
  | { readonly kind: 'boolean' }
  | { readonly kind: 'date' }
  /** Microseconds since 1970, UTC. */
  | { readonly kind: 'timestamp'; readonly zoned: boolean }
  | { readonly kind: 'text' }
  | { readonly kind: 'binary' }
  | { readonly kind: 'numberList'; readonly type: NumberType }
  /** Exact as text: DECIMAL, HUGEINT, UUID, TIME, INTERVAL, ENUM and their like. */
  | { readonly kind: 'asText' }
  /** Nested types. */
  | { readonly kind: 'asJson' };

const numberTypes = new Set<string>([
  'TINYINT',
  'SMALLINT',
  'INTEGER',
  'BIGINT',
  'UTINYINT',
  'USMALLINT',
  'UINTEGER',
  'UBIGINT',
  'FLOAT',
  'DOUBLE',
]);

export function columnKind(type: string): ColumnKind {
  const name = type.trim().toUpperCase();
  if (numberTypes.has(name)) return { kind: 'number', type: name as NumberType };
  const element = /^(\w+)\[\d*\]$/.exec(name)?.[1];
  if (element !== undefined && numberTypes.has(element)) {
    return { kind: 'numberList', type: element as NumberType };
  }
  if (name.endsWith(']') || /^(STRUCT|MAP|UNION)\b/.test(name) || name === 'JSON') {
    return { kind: 'asJson' };
  }
  switch (name) {
    case 'BOOLEAN':
      return { kind: 'boolean' };
    case 'DATE':
      return { kind: 'date' };
    case 'TIMESTAMP':
    case 'TIMESTAMP_S':
    case 'TIMESTAMP_MS':
      return { kind: 'timestamp', zoned: false };
    case 'TIMESTAMP WITH TIME ZONE':
    case 'TIMESTAMPTZ':
      return { kind: 'timestamp', zoned: true };
    case 'VARCHAR':
      return { kind: 'text' };
    case 'BLOB':
      return { kind: 'binary' };
    default:
      return { kind: 'asText' };
  }
}

/** The column as it is read out of DuckDB. */
export function readExpression({ name, type }: ColumnDef): string {
  const column = quoteName(name);
  const kind = columnKind(type);
  switch (kind.kind) {
    case 'number':
    case 'boolean':
    case 'date':
    case 'text':
    case 'binary':
      return column;
    case 'timestamp':
      return `cast(${column} as ${kind.zoned ? 'timestamptz' : 'timestamp'})`;
    case 'numberList':
      return `cast(${column} as ${kind.type}[])`;
    case 'asText':
      return `cast(${column} as varchar)`;
    case 'asJson':
      return `cast(to_json(${column}) as varchar)`;
  }
}
