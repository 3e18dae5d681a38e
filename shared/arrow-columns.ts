/**
 * DuckDB values as Arrow columns, for results that leave the engine. Complete rather than fast:
 * the hot path (functions and models) has its own, typed-array way.
 */
import {
  Binary,
  Bool,
  type Data,
  type DataType,
  DateDay,
  Decimal,
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
import {
  type DuckDBArrayType,
  type DuckDBDataChunk,
  type DuckDBDecimalType,
  type DuckDBListType,
  type DuckDBStructType,
  type DuckDBType,
  DuckDBTypeId,
} from '@duckdb/node-api';

/** The Arrow type a DuckDB type travels as; what Arrow has no counterpart for travels as text. */
export function arrowType(type: DuckDBType): DataType {
  switch (type.typeId) {
    case DuckDBTypeId.BOOLEAN:
      return new Bool();
    case DuckDBTypeId.TINYINT:
      return new Int8();
    case DuckDBTypeId.SMALLINT:
      return new Int16();
    case DuckDBTypeId.INTEGER:
      return new Int32();
    case DuckDBTypeId.BIGINT:
      return new Int64();
    case DuckDBTypeId.UTINYINT:
      return new Uint8();
    case DuckDBTypeId.USMALLINT:
      return new Uint16();
    case DuckDBTypeId.UINTEGER:
      return new Uint32();
    case DuckDBTypeId.UBIGINT:
      return new Uint64();
    case DuckDBTypeId.FLOAT:
      return new Float32();
    case DuckDBTypeId.DOUBLE:
      return new Float64();
    case DuckDBTypeId.DATE:
      return new DateDay();
    case DuckDBTypeId.TIMESTAMP:
      return new TimestampMicrosecond();
    case DuckDBTypeId.TIMESTAMP_TZ:
      return new TimestampMicrosecond('UTC');
    case DuckDBTypeId.BLOB:
      return new Binary();
    case DuckDBTypeId.DECIMAL: {
      const { width, scale } = type as DuckDBDecimalType;
      return new Decimal(scale, width, 128);
    }
    case DuckDBTypeId.LIST:
    case DuckDBTypeId.ARRAY: {
      const { valueType } = type as DuckDBListType | DuckDBArrayType;
      return new List(new Field('item', arrowType(valueType), true));
    }
    case DuckDBTypeId.STRUCT: {
      const { entryNames, entryTypes } = type as DuckDBStructType;
      return new Struct(
        entryNames.map((name, k) => new Field(name, arrowType(entryTypes[k]!), true)),
      );
    }
    default:
      return new Utf8();
  }
}

export function arrowSchema(names: readonly string[], types: readonly DuckDBType[]): Schema {
  return new Schema(names.map((name, k) => new Field(name, arrowType(types[k]!), true)));
}

/** One DuckDB chunk (up to 2,048 rows) as a record batch of `schema`. */
export function arrowBatch(
  schema: Schema,
  types: readonly DuckDBType[],
  chunk: DuckDBDataChunk,
): RecordBatch {
  const columns = types.map((type, k) => columnData(type, chunk.getColumnValues(k)));
  const data = makeData({
    type: new Struct(schema.fields),
    length: chunk.rowCount,
    nullCount: 0,
    children: columns,
  });
  return new RecordBatch(schema, data);
}

function columnData(type: DuckDBType, values: readonly unknown[]): Data {
  const target = arrowType(type);
  const length = values.length;
  const { bitmap, nullCount } = validity(values);
  const common = { length, nullCount, nullBitmap: bitmap };
  switch (type.typeId) {
    case DuckDBTypeId.BOOLEAN:
      return makeData({
        type: target as Bool,
        ...common,
        data: bits(values, (value) => value === true),
      });
    case DuckDBTypeId.LIST:
    case DuckDBTypeId.ARRAY: {
      const lists = values.map((value) =>
        value === null ? [] : (value as { items: unknown[] }).items,
      );
      const child = columnData((type as DuckDBListType).valueType, lists.flat(1));
      return makeData({
        type: target as List,
        ...common,
        valueOffsets: offsets(lists.map((list) => list.length)),
        child,
      });
    }
    case DuckDBTypeId.STRUCT: {
      const { entryNames, entryTypes } = type as DuckDBStructType;
      const children = entryNames.map((name, k) =>
        columnData(
          entryTypes[k]!,
          values.map(
            (value) =>
              (value as { entries: Record<string, unknown> } | null)?.entries[name] ?? null,
          ),
        ),
      );
      return makeData({ type: target as Struct, ...common, children });
    }
    case DuckDBTypeId.BLOB:
      return bytesData(
        target as Binary,
        common,
        values.map((value) => (value as { bytes: Uint8Array } | null)?.bytes ?? new Uint8Array()),
      );
    default:
      if (target instanceof Utf8) {
        const texts = values.map((value) =>
          Buffer.from(value === null ? '' : String(value), 'utf8'),
        );
        return bytesData(target, common, texts);
      }
      return makeData({
        type: target as Int32,
        ...common,
        data: fixedWidth(type, values) as Int32Array,
      });
  }
}

function fixedWidth(type: DuckDBType, values: readonly unknown[]): ArrayBufferView {
  const big = (value: unknown): bigint => (value === null ? 0n : (value as bigint));
  switch (type.typeId) {
    case DuckDBTypeId.TINYINT:
      return Int8Array.from(values as number[]);
    case DuckDBTypeId.SMALLINT:
      return Int16Array.from(values as number[]);
    case DuckDBTypeId.UTINYINT:
      return Uint8Array.from(values as number[]);
    case DuckDBTypeId.USMALLINT:
      return Uint16Array.from(values as number[]);
    case DuckDBTypeId.UINTEGER:
      return Uint32Array.from(values as number[]);
    case DuckDBTypeId.FLOAT:
      return Float32Array.from(values as number[]);
    case DuckDBTypeId.DOUBLE:
      return Float64Array.from(values as number[]);
    case DuckDBTypeId.BIGINT:
      return BigInt64Array.from(values, big);
    case DuckDBTypeId.UBIGINT:
      return BigUint64Array.from(values, big);
    case DuckDBTypeId.DATE:
      return Int32Array.from(values, (value) => (value as { days: number } | null)?.days ?? 0);
    case DuckDBTypeId.TIMESTAMP:
    case DuckDBTypeId.TIMESTAMP_TZ:
      return BigInt64Array.from(
        values,
        (value) => (value as { micros: bigint } | null)?.micros ?? 0n,
      );
    case DuckDBTypeId.DECIMAL: {
      const words = new BigInt64Array(values.length * 2);
      values.forEach((value, k) => {
        const whole = (value as { value: bigint } | null)?.value ?? 0n;
        words[2 * k] = BigInt.asIntN(64, whole);
        words[2 * k + 1] = BigInt.asIntN(64, whole >> 64n);
      });
      return new Uint32Array(words.buffer);
    }
    default:
      return Int32Array.from(values as number[]);
  }
}

function bytesData(
  type: Binary | Utf8,
  common: { length: number; nullCount: number; nullBitmap: Uint8Array },
  parts: readonly Uint8Array[],
): Data {
  const valueOffsets = offsets(parts.map((part) => part.length));
  return makeData({ type: type as Utf8, ...common, valueOffsets, data: Buffer.concat(parts) });
}

function offsets(lengths: readonly number[]): Int32Array {
  const result = new Int32Array(lengths.length + 1);
  lengths.forEach((length, k) => (result[k + 1] = result[k]! + length));
  return result;
}

function validity(values: readonly unknown[]): { bitmap: Uint8Array; nullCount: number } {
  const nullCount = values.reduce<number>((count, value) => count + (value === null ? 1 : 0), 0);
  return { bitmap: bits(values, (value) => value !== null), nullCount };
}

function bits(values: readonly unknown[], isSet: (value: unknown) => boolean): Uint8Array {
  // Arrow wants bitmaps padded to 8 bytes.
  const bitmap = new Uint8Array(Math.ceil(values.length / 64) * 8);
  values.forEach((value, k) => {
    if (isSet(value)) bitmap[k >> 3]! |= 1 << (k & 7);
  });
  return bitmap;
}
