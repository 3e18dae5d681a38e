/**
 * From a DuckDB table to an Arrow record batch: numbers as typed arrays, strings in bulk (one at a
 * time they cost ten times as much). Reads only; results go back through results.ts.
 */
import {
  Binary,
  Bool,
  type Data,
  type DataType,
  DateDay,
  Field,
  Float32,
  Float64,
  Int16,
  Int32,
  Int64,
  Int8,
  List,
  makeData,
  RecordBatch,
  Schema,
  Struct,
  TimestampMicrosecond,
  Uint16,
  Uint32,
  Uint64,
  Uint8,
  Utf8,
} from 'apache-arrow';
import type { DuckDBBlobValue, DuckDBDataChunk } from '@duckdb/node-api';
import type { ColumnDef } from '../../shared/plan.js';
import {
  childVector,
  isValid,
  listEntries,
  validityWords,
  vectorItems,
} from '../inference/raw-vectors.js';
import type { Kernel } from '../kernel/duckdb.js';
import { type ColumnKind, columnKind, type NumberType, readExpression } from './column-kinds.js';
import { quoteName } from '../../shared/sql-text.js';

type Items = Exclude<ReturnType<typeof vectorItems>, never>;

const arrowNumbers: Record<NumberType, () => DataType> = {
  TINYINT: () => new Int8(),
  SMALLINT: () => new Int16(),
  INTEGER: () => new Int32(),
  BIGINT: () => new Int64(),
  UTINYINT: () => new Uint8(),
  USMALLINT: () => new Uint16(),
  UINTEGER: () => new Uint32(),
  UBIGINT: () => new Uint64(),
  FLOAT: () => new Float32(),
  DOUBLE: () => new Float64(),
};

const numberArrays = {
  TINYINT: Int8Array,
  SMALLINT: Int16Array,
  INTEGER: Int32Array,
  BIGINT: BigInt64Array,
  UTINYINT: Uint8Array,
  USMALLINT: Uint16Array,
  UINTEGER: Uint32Array,
  UBIGINT: BigUint64Array,
  FLOAT: Float32Array,
  DOUBLE: Float64Array,
} as const;

export function arrowType(kind: ColumnKind): DataType {
  switch (kind.kind) {
    case 'number':
      return arrowNumbers[kind.type]();
    case 'boolean':
      return new Bool();
    case 'date':
      return new DateDay();
    case 'timestamp':
      return new TimestampMicrosecond(kind.zoned ? 'UTC' : null);
    case 'numberList':
      return new List(new Field('item', arrowNumbers[kind.type](), true));
    case 'binary':
      return new Binary();
    case 'text':
    case 'asText':
    case 'asJson':
      return new Utf8();
  }
}

/** Rows of strings that DuckDB glues together to one value. */
const stringsPerBlock = 8192;

/** The columns of a table of `rows` rows, in the order of the table. */
export async function readRecordBatch(
  kernel: Kernel,
  table: string,
  columns: readonly ColumnDef[],
  rows: number,
): Promise<RecordBatch> {
  const readers = columns.map((column) => {
    const kind = columnKind(column.type);
    return { column, kind, data: columnReader(kind, rows) };
  });
  const inBulk = readers.filter(({ data }) => data instanceof StringReader);
  const direct = readers.filter(({ data }) => !(data instanceof StringReader));
  if (direct.length > 0) {
    const items = direct.map(({ column }) => readExpression(column)).join(', ');
    await eachChunk(kernel, `select ${items} from ${quoteName(table)}`, (chunk) => {
      for (const [index, { data }] of direct.entries()) data.take(chunk, index);
    });
  }
  if (inBulk.length > 0) {
    const inner = inBulk.map(({ column }, index) => `${readExpression(column)} as c${index}`);
    const outer = inBulk.map(
      (_, index) =>
        `encode(string_agg(c${index}, '')), list(cast(coalesce(strlen(c${index}), -1) as integer))`,
    );
    await eachChunk(
      kernel,
      `select ${outer.join(', ')} from (select ${inner.join(', ')}, rowid // ${stringsPerBlock} as block from ${quoteName(table)}) group by block order by block`,
      (chunk) => {
        for (const [index, { data }] of inBulk.entries()) data.take(chunk, 2 * index);
      },
    );
  }
  const fields = readers.map(({ column, kind }) => new Field(column.name, arrowType(kind), true));
  const schema = new Schema(fields);
  const struct = makeData({
    type: new Struct(fields),
    length: rows,
    nullCount: 0,
    children: readers.map(({ data }) => data.finish()),
  });
  return new RecordBatch(schema, struct);
}

async function eachChunk(
  kernel: Kernel,
  sql: string,
  take: (chunk: DuckDBDataChunk) => void,
): Promise<void> {
  const result = await kernel.run(sql);
  for (;;) {
    const chunk = await result.fetchChunk();
    if (!chunk || chunk.rowCount === 0) return;
    take(chunk);
  }
}

interface ColumnReader {
  take(chunk: DuckDBDataChunk, column: number): void;
  finish(): Data;
}

function columnReader(kind: ColumnKind, rows: number): ColumnReader {
  switch (kind.kind) {
    case 'number':
      return new FixedReader(arrowType(kind), new numberArrays[kind.type](rows), rows);
    case 'date':
      return new FixedReader(arrowType(kind), new Int32Array(rows), rows);
    case 'timestamp':
      return new FixedReader(arrowType(kind), new BigInt64Array(rows), rows);
    case 'boolean':
      return new BooleanReader(rows);
    case 'numberList':
      return new ListReader(kind, rows);
    case 'binary':
      return new BinaryReader(rows);
    case 'text':
    case 'asText':
    case 'asJson':
      return new StringReader(rows);
  }
}

/** Collects which rows are null, as Arrow's bitmap. */
class Nulls {
  private bitmap: Uint8Array | undefined;
  count = 0;

  constructor(private readonly rows: number) {}

  set(row: number): void {
    this.bitmap ??= new Uint8Array((this.rows + 7) >>> 3).fill(0xff);
    this.bitmap[row >>> 3]! &= ~(1 << (row & 7));
    this.count += 1;
  }

  take(words: Uint32Array | undefined, from: number, rows: number): void {
    if (!words) return;
    for (let row = 0; row < rows; row++) if (!isValid(words, row)) this.set(from + row);
  }

  get props() {
    return { nullCount: this.count, nullBitmap: this.bitmap ?? null };
  }
}

class FixedReader implements ColumnReader {
  private at = 0;
  private readonly nulls: Nulls;

  constructor(
    private readonly type: DataType,
    private readonly values: Items,
    private readonly rows: number,
  ) {
    this.nulls = new Nulls(rows);
  }

  take(chunk: DuckDBDataChunk, column: number): void {
    const vector = chunk.getColumnVector(column);
    this.values.set(vectorItems(vector) as never, this.at);
    this.nulls.take(validityWords(vector), this.at, chunk.rowCount);
    this.at += chunk.rowCount;
  }

  finish(): Data {
    const { type, values, rows: length } = this;
    return makeData({ type, length, data: values, ...this.nulls.props } as never);
  }
}

class BooleanReader implements ColumnReader {
  private at = 0;
  private readonly bits: Uint8Array;
  private readonly nulls: Nulls;

  constructor(private readonly rows: number) {
    this.bits = new Uint8Array((rows + 7) >>> 3);
    this.nulls = new Nulls(rows);
  }

  take(chunk: DuckDBDataChunk, column: number): void {
    const vector = chunk.getColumnVector(column);
    const items = vectorItems(vector);
    for (let row = 0; row < chunk.rowCount; row++) {
      const bit = this.at + row;
      if (items[row] !== 0) this.bits[bit >>> 3]! |= 1 << (bit & 7);
    }
    this.nulls.take(validityWords(vector), this.at, chunk.rowCount);
    this.at += chunk.rowCount;
  }

  finish(): Data {
    return makeData({
      type: new Bool(),
      length: this.rows,
      data: this.bits,
      ...this.nulls.props,
    });
  }
}

class ListReader implements ColumnReader {
  private at = 0;
  private elements = 0;
  private readonly offsets: Int32Array;
  private readonly nulls: Nulls;
  private readonly parts: { items: Items; nulls: number[] }[] = [];

  constructor(
    private readonly kind: Extract<ColumnKind, { kind: 'numberList' }>,
    private readonly rows: number,
  ) {
    this.offsets = new Int32Array(rows + 1);
    this.nulls = new Nulls(rows);
  }

  take(chunk: DuckDBDataChunk, column: number): void {
    const vector = chunk.getColumnVector(column);
    const entries = listEntries(vector);
    if (!entries) throw new TypeError('not a list');
    const child = childVector(vector);
    const items = vectorItems(child);
    const childValid = validityWords(child);
    const valid = validityWords(vector);
    for (let row = 0; row < chunk.rowCount; row++) {
      const from = Number(entries[2 * row]);
      const length = isValid(valid, row) ? Number(entries[2 * row + 1]) : 0;
      if (length > 0) {
        const nulls: number[] = [];
        for (let k = 0; childValid && k < length; k++) {
          if (!isValid(childValid, from + k)) nulls.push(this.elements + k);
        }
        // Copied: the vector's memory is only ours until the next chunk.
        this.parts.push({ items: items.slice(from, from + length) as Items, nulls });
        this.elements += length;
      }
      this.offsets[this.at + row + 1] = this.elements;
    }
    this.nulls.take(valid, this.at, chunk.rowCount);
    this.at += chunk.rowCount;
  }

  finish(): Data {
    const values = new numberArrays[this.kind.type](this.elements);
    const nulls = new Nulls(this.elements);
    let at = 0;
    for (const part of this.parts) {
      values.set(part.items as never, at);
      at += part.items.length;
      for (const index of part.nulls) nulls.set(index);
    }
    const child = makeData({
      type: arrowNumbers[this.kind.type](),
      length: this.elements,
      data: values,
      ...nulls.props,
    } as never);
    return makeData({
      type: arrowType(this.kind),
      length: this.rows,
      valueOffsets: this.offsets,
      child,
      ...this.nulls.props,
    } as never);
  }
}

/** Bytes of all rows one after the other, with their offsets. */
class BytesBuilder {
  readonly offsets: Int32Array;
  readonly nulls: Nulls;
  private readonly parts: Uint8Array[] = [];
  private bytes = 0;
  private at = 0;

  constructor(private readonly rows: number) {
    this.offsets = new Int32Array(rows + 1);
    this.nulls = new Nulls(rows);
  }

  block(bytes: Uint8Array | undefined, lengths: ArrayLike<number>): void {
    const start = this.bytes;
    for (let k = 0; k < lengths.length; k++) {
      const length = lengths[k]!;
      if (length < 0) this.nulls.set(this.at);
      else this.bytes += length;
      this.offsets[++this.at] = this.bytes;
    }
    if (this.bytes - start !== (bytes?.length ?? 0)) {
      throw new RangeError('string lengths do not add up to their bytes');
    }
    if (bytes) this.parts.push(bytes);
  }

  finish(type: DataType): Data {
    const data = this.parts.length === 1 ? this.parts[0]! : Buffer.concat(this.parts);
    return makeData({
      type,
      length: this.rows,
      valueOffsets: this.offsets,
      data,
      ...this.nulls.props,
    } as never);
  }
}

/** Gets blocks: all bytes as one value, and the list of lengths where -1 is NULL. */
class StringReader implements ColumnReader {
  private readonly builder: BytesBuilder;

  constructor(rows: number) {
    this.builder = new BytesBuilder(rows);
  }

  take(chunk: DuckDBDataChunk, column: number): void {
    const bytes = chunk.getColumnVector(column);
    const lengths = chunk.getColumnVector(column + 1);
    const entries = listEntries(lengths);
    const items = vectorItems(childVector(lengths)) as Int32Array;
    for (let block = 0; block < chunk.rowCount; block++) {
      const from = Number(entries?.[2 * block]);
      const value = bytes.getItem(block) as DuckDBBlobValue | null;
      const count = Number(entries?.[2 * block + 1]);
      this.builder.block(value?.bytes, items.subarray(from, from + count));
    }
  }

  finish(): Data {
    return this.builder.finish(new Utf8());
  }
}

class BinaryReader implements ColumnReader {
  private readonly builder: BytesBuilder;

  constructor(rows: number) {
    this.builder = new BytesBuilder(rows);
  }

  take(chunk: DuckDBDataChunk, column: number): void {
    const vector = chunk.getColumnVector(column);
    for (let row = 0; row < chunk.rowCount; row++) {
      const value = vector.getItem(row) as DuckDBBlobValue | null;
      this.builder.block(value?.bytes, [value ? value.bytes.length : -1]);
    }
  }

  finish(): Data {
    return this.builder.finish(new Binary());
  }
}
