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

/** A type with all that it is made of, down to columns' kinds that are made of nothing. */
export type Shape =
  | Exclude<ColumnKind, { kind: 'numberList' | 'asJson' }>
  | { readonly kind: 'list'; readonly item: Shape }
  | { readonly kind: 'struct' | 'union'; readonly members: ReadonlyMap<string, Shape> }
  | { readonly kind: 'map'; readonly key: Shape; readonly value: Shape }
  /** Whatever JSON has. */
  | { readonly kind: 'json' };

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

/** @param type as DuckDB writes it, such as `STRUCT(a INTEGER, "b c" VARCHAR[])` */
export function valueShape(type: string): Shape {
  const element = /^(.*)\[\d*\]$/s.exec(type)?.[1];
  if (element !== undefined) return { kind: 'list', item: valueShape(element) };
  const [, outer, inner = ''] = /^(STRUCT|UNION|MAP)\((.*)\)$/s.exec(type) ?? [];
  if (outer === 'MAP') {
    const [key = '', value = ''] = listed(inner);
    return { kind: 'map', key: valueShape(key), value: valueShape(value) };
  }
  if (outer !== undefined) {
    const members = listed(inner).map((member): [string, Shape] => {
      const [, quoted, bare = '', rest = ''] =
        /^(?:"((?:[^"]|"")*)"|(\S+)) (.*)$/s.exec(member) ?? [];
      return [quoted?.replaceAll('""', '"') ?? bare, valueShape(rest)];
    });
    return { kind: outer === 'UNION' ? 'union' : 'struct', members: new Map(members) };
  }
  const kind = columnKind(type);
  if (kind.kind === 'asJson' || kind.kind === 'numberList') return { kind: 'json' };
  return kind;
}

/** What commas outside of quotes and parentheses separate. */
function listed(text: string): string[] {
  const parts = [''];
  let depth = 0;
  for (const [token] of text.matchAll(/"[^"]*"|'[^']*'|[(),]|[^"'(),]+/g)) {
    if (token === '(') depth += 1;
    if (token === ')') depth -= 1;
    if (token === ',' && depth === 0) parts.push('');
    else parts[parts.length - 1] += token;
  }
  return parts.map((part) => part.trim());
}

/**
 * The type that JSON is read as on its way to a type of this shape: what the text form of DuckDB says
 * better, such as bytes and decimals, is text in it.
 */
export function jsonType(shape: Shape): string {
  switch (shape.kind) {
    case 'number':
      return shape.type;
    case 'boolean':
      return 'BOOLEAN';
    case 'list':
      return `${jsonType(shape.item)}[]`;
    case 'map':
      return `MAP(${jsonType(shape.key)}, ${jsonType(shape.value)})`;
    case 'struct':
    case 'union': {
      const members = Array.from(
        shape.members,
        ([name, member]) => `${quoteName(name)} ${jsonType(member)}`,
      );
      return `${shape.kind}(${members.join(', ')})`;
    }
    case 'json':
      return 'JSON';
    default:
      return 'VARCHAR';
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
      return jsonExpression(column, type);
  }
}

/** DuckDB writes NaN and the infinities bare, which no JSON parser takes: they become strings. */
function jsonExpression(column: string, type: string): string {
  const text = `cast(${type === 'JSON' ? column : `to_json(${column})`} as varchar)`;
  if (!/\b(FLOAT|DOUBLE|JSON)\b/.test(type)) return text;
  // Control characters, which JSON escapes, stand around what is no string, and around nothing else.
  const marked = `regexp_replace(${text}, '("(?:[^"\\\\]|\\\\.)*")|(-?Infinity|NaN)', '\\1' || chr(1) || '\\2' || chr(2), 'g')`;
  const quoted = `replace(replace(replace(${marked}, chr(1) || chr(2), ''), chr(1), '"'), chr(2), '"')`;
  return `case when regexp_matches(${text}, 'Infinity|NaN') then ${quoted} else ${text} end`;
}
