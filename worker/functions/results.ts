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
import { DataType, Precision, type TimeUnit, Vector } from 'apache-arrow';
import type { MapStep } from '../../shared/plan.js';
import { rawVector, writeItems, writeValidity } from '../inference/raw-vectors.js';
import type { Kernel } from '../kernel/duckdb.js';
import { columnKind, jsonType, type NumberType, valueShape } from './column-kinds.js';
import { badResult, type MapFunction, type MapReturned, type ReturnedColumn } from './map.js';
import {
  checkedBoolean,
  checkedDays,
  checkedMicroseconds,
  checkedNumber,
  checkedText,
  columnJson,
  inMicroseconds,
  jsonText,
  ValuePlace,
} from './returned-values.js';
import { quoteName } from '../../shared/sql-text.js';

const rowsPerChunk = 2048;
/** Rows of a chunk whose nested values are refused: each is found by a score of statements. */
const nestedRowsMax = 200;
/** Of a text that is refused. */
const shownChars = 80;

interface NumberRule {
  readonly type: DuckDBType;
  readonly make: (rows: number) => NumberItems;
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

const numbers: Record<NumberType, NumberRule> = {
  TINYINT: { type: TINYINT, make: (n) => new Int8Array(n) },
  SMALLINT: { type: SMALLINT, make: (n) => new Int16Array(n) },
  INTEGER: { type: INTEGER, make: (n) => new Int32Array(n) },
  BIGINT: { type: BIGINT, make: (n) => new BigInt64Array(n) },
  UTINYINT: { type: UTINYINT, make: (n) => new Uint8Array(n) },
  USMALLINT: { type: USMALLINT, make: (n) => new Uint16Array(n) },
  UINTEGER: { type: UINTEGER, make: (n) => new Uint32Array(n) },
  UBIGINT: { type: UBIGINT, make: (n) => new BigUint64Array(n) },
  FLOAT: { type: FLOAT, make: (n) => new Float32Array(n) },
  DOUBLE: { type: DOUBLE, make: (n) => new Float64Array(n) },
};

/** A column ready to be appended: fixed-width values, or text that SQL casts; `json` as that type first. */
export type Staged = { readonly valid: Uint8Array } & (
  | { readonly kind: 'fixed'; readonly type: DuckDBType; readonly items: NumberItems }
  | { readonly kind: 'text'; readonly texts: (string | null)[]; readonly json?: string }
);

/** Checked against the declared types; throws E_MAP_RESULT naming step and column, E_MAP_THREW. */
export function stageColumns({ step, reading }: MapFunction, returned: MapReturned): Staged[] {
  return reading(() =>
    step.columns.map(({ name, type }, index) => {
      const column = returned.columns[index];
      if (!column) return badResult(step, name, 'is missing');
      return stage(column, type, returned.rows, (what) => badResult(step, name, what));
    }),
  );
}

/** Columns of NULL, to be filled by `placeColumns`. */
export function emptyColumns(map: MapFunction, rows: number): Staged[] {
  const nulls = new Array<null>(rows).fill(null);
  return stageColumns(map, { columns: map.step.columns.map(() => nulls), rows });
}

/** Copies what was staged of some rows to where they are in all. */
export function placeColumns(all: readonly Staged[], some: readonly Staged[], from: number): void {
  for (const [index, { valid, ...part }] of some.entries()) {
    const whole = all[index]!;
    whole.valid.set(valid, from);
    if (whole.kind === 'fixed' && part.kind === 'fixed') whole.items.set(part.items as never, from);
    if (whole.kind === 'text' && part.kind === 'text') {
      for (const [row, text] of part.texts.entries()) whole.texts[from + row] = text;
    }
  }
}

type Refuse = ConstructorParameters<typeof ValuePlace>[0];

function stage(column: ReturnedColumn, type: string, rows: number, bad: Refuse): Staged {
  const kind = columnKind(type);
  switch (kind.kind) {
    case 'number':
      return stageNumbers(column, kind.type, rows, bad);
    case 'boolean':
      return stageFixed(column, BOOLEAN, new Uint8Array(rows), bad, (value, place) =>
        checkedBoolean(value, place) ? 1 : 0,
      );
    case 'date':
      return stageFixed(column, DATE, new Int32Array(rows), bad, checkedDays);
    case 'timestamp':
      return stageTimestamps(column, rows, bad);
    case 'numberList':
    case 'asJson': {
      const shape = valueShape(type);
      const form = kind.kind === 'asJson' ? columnJson : jsonText;
      const texts = eachText(column, rows, bad, (value, place) => form(value, shape, place));
      return { ...texts, json: jsonType(shape) };
    }
    default:
      return eachText(column, rows, bad, (value, place) => checkedText(value, kind.kind, place));
  }
}

function stageNumbers(column: ReturnedColumn, type: NumberType, rows: number, bad: Refuse): Staged {
  const rule = numbers[type];
  const items = rule.make(rows);
  const whole = typedItems(column);
  if (whole?.constructor === items.constructor) {
    return { kind: 'fixed', type: rule.type, items: whole, valid: validity(column, rows) };
  }
  return stageFixed(column, rule.type, items, bad, (value, place) =>
    checkedNumber(value, type, place),
  );
}

function stageTimestamps(column: ReturnedColumn, rows: number, bad: Refuse): Staged {
  const items = new BigInt64Array(rows);
  if (column instanceof Vector && DataType.isTimestamp(column.type)) {
    const unit = column.type.unit as TimeUnit;
    const raw = column.toArray() as BigInt64Array;
    const valid = validity(column, rows);
    const place = (row: number): ValuePlace => new ValuePlace(bad, row);
    for (let row = 0; row < rows; row++) {
      if (valid[row] !== 0) items[row] = inMicroseconds(raw[row]!, unit, place(row));
    }
    return { kind: 'fixed', type: TIMESTAMP, items, valid };
  }
  return stageFixed(column, TIMESTAMP, items, bad, checkedMicroseconds);
}

function stageFixed(
  column: ReturnedColumn,
  type: DuckDBType,
  items: NumberItems,
  bad: Refuse,
  convert: (value: unknown, place: ValuePlace) => number | bigint,
): Staged {
  const rows = items.length;
  const valid = new Uint8Array(rows).fill(1);
  const at = accessor(column);
  for (let row = 0; row < rows; row++) {
    const value = at(row);
    if (value === null || value === undefined) valid[row] = 0;
    else items[row] = convert(value, new ValuePlace(bad, row)) as never;
  }
  return { kind: 'fixed', type, items, valid };
}

function eachText(
  column: ReturnedColumn,
  rows: number,
  bad: Refuse,
  convert: (value: unknown, place: ValuePlace) => string,
): Extract<Staged, { kind: 'text' }> {
  const valid = new Uint8Array(rows).fill(1);
  const texts = new Array<string | null>(rows);
  const at = accessor(column);
  for (let row = 0; row < rows; row++) {
    const value = at(row);
    const none = value === null || value === undefined;
    texts[row] = none ? null : convert(value, new ValuePlace(bad, row));
    if (none) valid[row] = 0;
  }
  return { kind: 'text', texts, valid };
}

function typedItems(column: ReturnedColumn): NumberItems | undefined {
  if (column instanceof Vector) {
    // Of half floats it has the bits.
    if (DataType.isFloat(column.type) && column.type.precision === Precision.HALF) return undefined;
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

/** A row whose value is none of its column's type, and why. */
export type RefuseRow = (row: number, error: unknown) => void;

/**
 * Writes what a function returned as a table of the declared types, with `__windrow_ok`.
 * @param refuse where bad rows may be dropped: told of those with text that is none of their type,
 *   which are cleared in `ok`; otherwise they are thrown
 * @throws WindrowError E_MAP_RESULT
 */
export async function writeResults(
  kernel: Kernel,
  step: MapStep,
  table: string,
  staged: readonly Staged[],
  rows: number,
  ok: Uint8Array,
  refuse?: RefuseRow,
): Promise<void> {
  const parts: string[] = [];
  try {
    parts.push(await appendFixed(kernel, `${table}_fixed`, staged, rows, ok));
    const items: string[] = [];
    const texts: TextColumn[] = [];
    for (const [index, { name, type }] of step.columns.entries()) {
      const column = staged[index];
      let from = `c${index}`;
      if (column?.kind === 'text') {
        const part = await appendTexts(kernel, `${table}_text_${index}`, column.texts);
        parts.push(part);
        texts.push({ name, type, part, column });
        from = `${quoteName(part)}.v`;
        if (column.json !== undefined) from = `cast(cast(${from} as json) as ${column.json})`;
      }
      items.push(`cast(${from} as ${type}) as ${quoteName(name)}`);
    }
    try {
      await castAll(kernel, step, table, items, parts.map(quoteName).join(' positional join '));
      return;
    } catch (error) {
      if (!refuse || !(await refuseTexts(kernel, step, texts, ok, refuse))) throw error;
    }
  } finally {
    for (const part of parts) await kernel.run(`drop table if exists ${quoteName(part)}`);
  }
  await writeResults(kernel, step, table, staged, rows, ok);
}

interface TextColumn {
  readonly name: string;
  readonly type: string;
  /** The table that has its texts as `v`, in the order of the rows. */
  readonly part: string;
  readonly column: Extract<Staged, { kind: 'text' }>;
}

/** Takes out the rows with text that cannot be cast. @returns whether there were any, and not too many */
async function refuseTexts(
  kernel: Kernel,
  step: MapStep,
  columns: readonly TextColumn[],
  ok: Uint8Array,
  refuse: RefuseRow,
): Promise<boolean> {
  const refused = new Set<number>();
  for (const text of columns) {
    const { name, type, column } = text;
    const rows = await uncastable(kernel, text);
    if (!rows) return false;
    for (const row of rows) {
      if (!ok[row]) continue;
      ok[row] = 0;
      refused.add(row);
      try {
        badResult(step, name, `is not ${type}: ${column.texts[row]!.slice(0, shownChars)}`);
      } catch (error) {
        refuse(row, error);
      }
    }
  }
  for (const { column } of columns) for (const row of refused) column.texts[row] = null;
  return refused.size > 0;
}

/** Undefined where there are more than are looked for. */
async function uncastable(
  kernel: Kernel,
  { type, part, column }: TextColumn,
): Promise<number[] | undefined> {
  const table = quoteName(part);
  const { json, texts } = column;
  if (json === undefined || json === 'JSON') {
    const bad = await kernel.rows(
      `select rowid as row from ${table} where v is not null and try_cast(v as ${type}) is null`,
    );
    return bad.map(({ row }) => Number(row));
  }
  // A part of a nested value that cannot be cast becomes NULL, and the value does not.
  const value = `cast(cast(cast(v as json) as ${json}) as ${type})`;
  const found: number[] = [];
  const search = async (from: number, to: number): Promise<void> => {
    if (found.length > nestedRowsMax) return;
    const rows = `rowid >= ${from} and rowid < ${to}`;
    try {
      await kernel.run(`select bit_xor(hash(${value})) from ${table} where ${rows}`);
    } catch (error) {
      if (!isOfValues(error)) throw error;
      if (to - from === 1) {
        found.push(from);
        return;
      }
      const middle = (from + to) >>> 1;
      await search(from, middle);
      await search(middle, to);
    }
  };
  await search(0, texts.length);
  return found.length > nestedRowsMax ? undefined : found;
}

/** Whether a cast failed by what it was given, and not by what happened meanwhile. */
function isOfValues(error: unknown): boolean {
  return /^(Conversion|Out of Range|Invalid Input|Invalid) Error:/i.test((error as Error).message);
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
          if (!isOfValues(cause)) throw cause;
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
