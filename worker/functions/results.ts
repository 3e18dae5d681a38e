/**
 * From what a map function returned to a DuckDB table: values are checked against the declared
 * types, numbers go in as typed arrays, strings in bulk. Never coerces silently.
 */
import {
  BIGINT,
  BOOLEAN,
  DATE,
  DOUBLE,
  DuckDBDataChunk,
  type DuckDBType,
  FLOAT,
  INTEGER,
  SMALLINT,
  TIMESTAMP,
  TINYINT,
  UBIGINT,
  UINTEGER,
  USMALLINT,
  UTINYINT,
  VARCHAR,
} from '@duckdb/node-api';
import { DataType, TimeUnit, Vector } from 'apache-arrow';
import type { MapStep } from '../../shared/plan.js';
import { rawVector, writeItems, writeValidity } from '../inference/raw-vectors.js';
import type { Kernel } from '../kernel/duckdb.js';
import { type ColumnKind, columnKind, type NumberType } from './column-kinds.js';
import { badResult, type MapReturned, type ReturnedColumn } from './map.js';
import { quoteName } from '../../shared/sql-text.js';

const rowsPerChunk = 2048;

interface NumberRule {
  readonly type: DuckDBType;
  readonly make: (rows: number) => NumberItems;
  /** Bounds of integers; absent for floating point. */
  readonly bounds?: readonly [bigint, bigint];
}

type NumberItems =
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array
  | Float32Array
  | Float64Array;

const signed = (bits: bigint): [bigint, bigint] => [-(1n << (bits - 1n)), (1n << (bits - 1n)) - 1n];
const unsigned = (bits: bigint): [bigint, bigint] => [0n, (1n << bits) - 1n];

const numbers: Record<NumberType, NumberRule> = {
  TINYINT: { type: TINYINT, make: (n) => new Int8Array(n), bounds: signed(8n) },
  SMALLINT: { type: SMALLINT, make: (n) => new Int16Array(n), bounds: signed(16n) },
  INTEGER: { type: INTEGER, make: (n) => new Int32Array(n), bounds: signed(32n) },
  BIGINT: { type: BIGINT, make: (n) => new BigInt64Array(n), bounds: signed(64n) },
  UTINYINT: { type: UTINYINT, make: (n) => new Uint8Array(n), bounds: unsigned(8n) },
  USMALLINT: { type: USMALLINT, make: (n) => new Uint16Array(n), bounds: unsigned(16n) },
  UINTEGER: { type: UINTEGER, make: (n) => new Uint32Array(n), bounds: unsigned(32n) },
  UBIGINT: { type: UBIGINT, make: (n) => new BigUint64Array(n), bounds: unsigned(64n) },
  FLOAT: { type: FLOAT, make: (n) => new Float32Array(n) },
  DOUBLE: { type: DOUBLE, make: (n) => new Float64Array(n) },
};

/** A column ready to be appended: fixed-width values, or text that SQL casts. */
type Staged = { readonly valid: Uint8Array } & (
  | { readonly kind: 'fixed'; readonly type: DuckDBType; readonly items: NumberItems }
  | { readonly kind: 'text'; readonly texts: readonly (string | null)[]; readonly json: boolean }
);

/** Checked against the declared types; throws E_MAP_RESULT naming step and column. */
export function stageColumns(step: MapStep, returned: MapReturned): Staged[] {
  return step.columns.map(({ name, type }, index) => {
    const column = returned.columns[index];
    if (!column) return badResult(step, name, 'is missing');
    return stage(column, columnKind(type), returned.rows, (what) => badResult(step, name, what));
  });
}

function stage(
  column: ReturnedColumn,
  kind: ColumnKind,
  rows: number,
  bad: (what: string) => never,
): Staged {
  switch (kind.kind) {
    case 'number':
      return stageNumbers(column, kind.type, rows, bad);
    case 'boolean':
      return stageFixed(column, BOOLEAN, new Uint8Array(rows), rows, (value, row) => {
        if (typeof value !== 'boolean') bad(`must be boolean, row ${row} is ${shown(value)}`);
        return value ? 1 : 0;
      });
    case 'date':
      return stageFixed(column, DATE, new Int32Array(rows), rows, (value, row) =>
        Math.floor(milliseconds(value, row, bad) / 86_400_000),
      );
    case 'timestamp':
      return stageTimestamps(column, rows, bad);
    default:
      return stageTexts(column, kind, rows, bad);
  }
}

function stageNumbers(
  column: ReturnedColumn,
  type: NumberType,
  rows: number,
  bad: (what: string) => never,
): Staged {
  const rule = numbers[type];
  const items = rule.make(rows);
  const whole = typedItems(column);
  if (whole?.constructor === items.constructor) {
    return { kind: 'fixed', type: rule.type, items: whole, valid: validity(column, rows) };
  }
  return stageFixed(column, rule.type, items, rows, (value, row) =>
    checkedNumber(value, type, row, bad),
  );
}

function checkedNumber(
  value: unknown,
  type: NumberType,
  row: number,
  bad: (what: string) => never,
): number | bigint {
  const { bounds } = numbers[type];
  const isNumber = typeof value === 'number' || (typeof value === 'bigint' && bounds);
  if (!isNumber) bad(`must be ${type}, row ${row} is ${shown(value)}`);
  if (!bounds) return Number(value);
  if (typeof value === 'number' && !Number.isSafeInteger(value)) {
    bad(`must be ${type}, row ${row} is ${shown(value)}`);
  }
  const exact = BigInt(value as number | bigint);
  if (exact < bounds[0] || exact > bounds[1]) {
    bad(`is out of the range of ${type}: row ${row} is ${shown(value)}`);
  }
  return type === 'BIGINT' || type === 'UBIGINT' ? exact : Number(exact);
}

function stageTimestamps(
  column: ReturnedColumn,
  rows: number,
  bad: (what: string) => never,
): Staged {
  const items = new BigInt64Array(rows);
  if (column instanceof Vector && DataType.isTimestamp(column.type)) {
    const unit = column.type.unit as TimeUnit;
    const raw = column.toArray() as BigInt64Array;
    const [times, by] = microseconds[unit];
    for (let row = 0; row < rows; row++) items[row] = (raw[row]! * times) / by;
    return { kind: 'fixed', type: TIMESTAMP, items, valid: validity(column, rows) };
  }
  return stageFixed(column, TIMESTAMP, items, rows, (value, row) =>
    BigInt(Math.round(milliseconds(value, row, bad) * 1000)),
  );
}

const microseconds: Record<TimeUnit, readonly [bigint, bigint]> = {
  [TimeUnit.SECOND]: [1_000_000n, 1n],
  [TimeUnit.MILLISECOND]: [1000n, 1n],
  [TimeUnit.MICROSECOND]: [1n, 1n],
  [TimeUnit.NANOSECOND]: [1n, 1000n],
};

function milliseconds(value: unknown, row: number, bad: (what: string) => never): number {
  const ms = value instanceof Date ? value.getTime() : value;
  if (typeof ms !== 'number' || !Number.isFinite(ms)) {
    bad(`must be a Date, row ${row} is ${shown(value)}`);
  }
  return ms;
}

function stageFixed(
  column: ReturnedColumn,
  type: DuckDBType,
  items: NumberItems,
  rows: number,
  convert: (value: unknown, row: number) => number | bigint,
): Staged {
  const valid = new Uint8Array(rows).fill(1);
  const at = accessor(column);
  for (let row = 0; row < rows; row++) {
    const value = at(row);
    if (value === null || value === undefined) valid[row] = 0;
    else items[row] = convert(value, row) as never;
  }
  return { kind: 'fixed', type, items, valid };
}

function stageTexts(
  column: ReturnedColumn,
  kind: ColumnKind,
  rows: number,
  bad: (what: string) => never,
): Staged {
  const valid = new Uint8Array(rows).fill(1);
  const texts = new Array<string | null>(rows);
  const at = accessor(column);
  for (let row = 0; row < rows; row++) {
    const value = at(row);
    texts[row] = value === null || value === undefined ? null : asText(value, kind, row, bad);
    if (texts[row] === null) valid[row] = 0;
  }
  return { kind: 'text', texts, json: kind.kind === 'asJson', valid };
}

function asText(
  value: unknown,
  kind: ColumnKind,
  row: number,
  bad: (what: string) => never,
): string {
  switch (kind.kind) {
    case 'text':
      return typeof value === 'string'
        ? value
        : bad(`must be a string, row ${row} is ${shown(value)}`);
    case 'binary':
      return value instanceof Uint8Array
        ? blobText(value)
        : bad(`must be a Uint8Array, row ${row} is ${shown(value)}`);
    case 'asText':
      return typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint'
        ? String(value)
        : bad(`must be a string or number, row ${row} is ${shown(value)}`);
    case 'numberList':
      return listText(value, kind.type, row, bad);
    default:
      return typeof value === 'string'
        ? value
        : json(value, (what) => bad(`${what} in row ${row}`));
  }
}

/** DuckDB's text form of a list: unlike JSON it has NaN, the infinities and -0. */
function listText(
  value: unknown,
  type: NumberType,
  row: number,
  bad: (what: string) => never,
): string {
  if (!Array.isArray(value) && !(value instanceof Vector) && !ArrayBuffer.isView(value)) {
    bad(`must be a list of ${type}, row ${row} is ${shown(value)}`);
  }
  const members = Array.from(value as Iterable<unknown>, (member) => {
    if (member === null || member === undefined) return 'NULL';
    const checked = checkedNumber(member, type, row, bad);
    return Object.is(checked, -0) ? '-0.0' : String(checked);
  });
  return `[${members.join(', ')}]`;
}

/** DuckDB's text form of a BLOB. */
function blobText(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex').replace(/../g, '\\x$&');
}

function json(value: unknown, bad: (what: string) => never): string {
  const bigints: string[] = [];
  const text = JSON.stringify(value, (_key, member: unknown) => {
    if (member instanceof Map || member instanceof Set) {
      bad(
        `holds a ${member.constructor.name}, which has no JSON form: make an object or a list of it`,
      );
    }
    if (typeof member === 'number' && !Number.isFinite(member)) {
      bad(`holds ${member}, which has no JSON form: make it null`);
    }
    if (typeof member === 'bigint') {
      bigints.push(member.toString());
      return `\u0001${bigints.length - 1}\u0001`;
    }
    if (member instanceof Vector || ArrayBuffer.isView(member)) {
      return [...(member as unknown as Iterable<unknown>)];
    }
    return member;
  });
  return text.replace(
    /"\\u0001(\d+)\\u0001"/g,
    (_all, index: string) => bigints[Number(index)] ?? '',
  );
}

function typedItems(column: ReturnedColumn): NumberItems | undefined {
  if (column instanceof Vector) {
    if (!DataType.isInt(column.type) && !DataType.isFloat(column.type)) return undefined;
    return column.toArray() as NumberItems;
  }
  return ArrayBuffer.isView(column) ? (column as unknown as NumberItems) : undefined;
}

function validity(column: ReturnedColumn, rows: number): Uint8Array {
  const valid = new Uint8Array(rows).fill(1);
  if (column instanceof Vector && column.nullCount > 0) {
    for (let row = 0; row < rows; row++) if (!column.isValid(row)) valid[row] = 0;
  }
  return valid;
}

function accessor(column: ReturnedColumn): (row: number) => unknown {
  if (!(column instanceof Vector)) return (row) => column[row];
  return asciiAccessor(column) ?? ((row) => column.get(row) as unknown);
}

/** Decodes all strings at once and cuts them up, which offsets in bytes allow where all is ASCII. */
function asciiAccessor(column: Vector): ((row: number) => unknown) | undefined {
  const data = column.data[0];
  if (!DataType.isUtf8(column.type) || column.data.length !== 1 || !data) return undefined;
  const offsets = data.valueOffsets as Int32Array;
  const start = offsets[0] ?? 0;
  const bytes = (data.values as Uint8Array).subarray(start, offsets[data.length] ?? start);
  const text = new TextDecoder().decode(bytes);
  if (text.length !== bytes.length) return undefined;
  return (row) =>
    column.isValid(row) ? text.slice(offsets[row]! - start, offsets[row + 1]! - start) : null;
}

function shown(value: unknown): string {
  if (typeof value === 'bigint') return `${value}n`;
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 80)) : String(value);
}

/**
 * Creates `table` with the declared columns and `ok`, in the order of the rows.
 * @param ok absent when all rows are good
 */
export async function writeResults(
  kernel: Kernel,
  step: MapStep,
  table: string,
  staged: readonly Staged[],
  rows: number,
  ok: Uint8Array,
): Promise<void> {
  const parts: string[] = [];
  try {
    parts.push(await appendFixed(kernel, `${table}_fixed`, staged, rows, ok));
    const items: string[] = [];
    for (const [index, { name, type }] of step.columns.entries()) {
      const column = staged[index];
      let from = `c${index}`;
      if (column?.kind === 'text') {
        const part = await appendTexts(kernel, `${table}_text_${index}`, column.texts);
        parts.push(part);
        from = `${quoteName(part)}.v`;
        if (column.json) from = `cast(${from} as json)`;
      }
      items.push(`cast(${from} as ${type}) as ${quoteName(name)}`);
    }
    await castAll(kernel, step, table, items, parts.map(quoteName).join(' positional join '));
  } finally {
    for (const part of parts) await kernel.run(`drop table if exists ${quoteName(part)}`);
  }
}

async function castAll(
  kernel: Kernel,
  step: MapStep,
  table: string,
  items: readonly string[],
  from: string,
): Promise<void> {
  try {
    await kernel.run(
      `create temp table ${quoteName(table)} as select ${[...items, 'ok as __windrow_ok'].join(', ')} from ${from}`,
    );
  } catch (error) {
    for (const [index, item] of items.entries()) {
      await kernel
        .run(`select bit_xor(hash(v)) from (select ${item} from ${from}) t(v)`)
        .catch((cause: Error) => {
          const { name, type } = step.columns[index] ?? { name: '', type: '' };
          badResult(step, name, `is not ${type}: ${cause.message.split('\n')[0]}`);
        });
    }
    throw error;
  }
}

async function appendFixed(
  kernel: Kernel,
  table: string,
  staged: readonly Staged[],
  rows: number,
  ok: Uint8Array,
): Promise<string> {
  const columns = staged.flatMap((column, index) =>
    column.kind === 'fixed' ? [{ ...column, name: `c${index}` }] : [],
  );
  const all = [
    ...columns,
    { name: 'ok', type: BOOLEAN, items: ok as NumberItems, valid: undefined },
  ];
  const definition = all.map(({ name, type }) => `${name} ${type.toString()}`).join(', ');
  await kernel.run(`create temp table ${quoteName(table)} (${definition})`);
  const appender = await kernel.connection.createAppender(table);
  try {
    for (let from = 0; from < rows; from += rowsPerChunk) {
      const count = Math.min(rowsPerChunk, rows - from);
      const types = all.map(({ type }) => type);
      const chunk = DuckDBDataChunk.create(types, count);
      for (const [index, { items, valid }] of all.entries()) {
        const vector = rawVector(chunk.getColumnVector(index));
        writeItems(vector, items.subarray(from, from + count) as never, count);
        const part = valid?.subarray(from, from + count);
        if (part?.includes(0)) writeValidity(vector, part, count);
      }
      appender.appendDataChunk(chunk);
    }
    appender.flushSync();
  } finally {
    appender.closeSync();
  }
  return table;
}

/** Characters that separate strings, and stand for NULL, where no string has them. */
const separator = '\u001f';
const nullText = '\u001e';
const textsPerInsert = 8192;

async function appendTexts(
  kernel: Kernel,
  table: string,
  texts: readonly (string | null)[],
): Promise<string> {
  await kernel.run(`create temp table ${quoteName(table)} (v varchar)`);
  const insert = await kernel.connection.prepare(
    `insert into ${quoteName(table)} select nullif(v, '${nullText}') from (select unnest(string_split($1, '${separator}')) as v)`,
  );
  try {
    for (let from = 0; from < texts.length; from += textsPerInsert) {
      const block = texts.slice(from, from + textsPerInsert);
      const joined = block.map((text) => text ?? nullText).join(separator);
      if (isPlain(joined, block)) {
        insert.bindVarchar(1, joined);
        await insert.run();
      } else {
        await appendOneByOne(kernel, table, block);
      }
    }
  } finally {
    insert.destroySync();
  }
  return table;
}

/** Whether cutting the joined text gives the strings back. */
function isPlain(joined: string, block: readonly (string | null)[]): boolean {
  if (joined.includes('\u0000')) return false;
  let separators = 0;
  for (let at = joined.indexOf(separator); at >= 0; at = joined.indexOf(separator, at + 1)) {
    separators += 1;
  }
  return separators === block.length - 1 && !block.includes(nullText);
}

async function appendOneByOne(
  kernel: Kernel,
  table: string,
  texts: readonly (string | null)[],
): Promise<void> {
  const appender = await kernel.connection.createAppender(table);
  try {
    for (let from = 0; from < texts.length; from += rowsPerChunk) {
      const chunk = DuckDBDataChunk.create([VARCHAR]);
      chunk.setColumns([texts.slice(from, from + rowsPerChunk)]);
      appender.appendDataChunk(chunk);
    }
    appender.flushSync();
  } finally {
    appender.closeSync();
  }
}
