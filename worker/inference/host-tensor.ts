/**
 * Tensors as they lie in this process's memory, and how each element type maps to DuckDB and to
 * typed arrays. Never: DuckDB vectors or sessions.
 */
import {
  BIGINT,
  BOOLEAN,
  DOUBLE,
  FLOAT,
  INTEGER,
  SMALLINT,
  TINYINT,
  UBIGINT,
  UINTEGER,
  USMALLINT,
  UTINYINT,
  VARCHAR,
} from '@duckdb/node-api';
import type { DuckDBType } from '@duckdb/node-api';
import type { TensorType } from '../../shared/plan.js';

export type NumberArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | Uint8Array
  | Uint16Array
  | Uint32Array;
export type TensorArray = NumberArray | BigInt64Array | BigUint64Array;
export interface TensorArrayType {
  readonly BYTES_PER_ELEMENT: number;
  new (length: number): TensorArray;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): TensorArray;
}
export type TensorData = TensorArray | string[];

/** Row-major; float16 as the bits of each half, bool as bytes 0 and 1. */
export interface HostTensor {
  readonly type: TensorType;
  readonly dims: readonly number[];
  readonly data: TensorData;
}
export type Tensors = Readonly<Record<string, HostTensor>>;

/** A loaded model that answers at once: everything `predict` needs to know of a session. */
export interface RunnableModel {
  /**
   * One run over all rows given.
   * @throws WindrowError badData `E_MODEL_RUN` when the data is refused, resource
   *   `E_DEVICE_MEMORY` or `E_DEVICE_LOST` when the device is the reason, cancelled `E_CANCELLED`.
   */
  run(feeds: Tensors, request: RunRequest): Tensors;
  release(): void;
}

export interface RunRequest {
  /** Rows of other callers may join this run up to so many rows; 0 keeps it alone. */
  readonly joinRows: number;
  /** Asked while waiting for a device. */
  cancelled(): boolean;
}

export interface ElementType {
  /** What a column is cast to before it enters, and what an output becomes. */
  readonly duck: DuckDBType;
  readonly sql: string;
  /** Array of the tensor's elements; undefined for strings. */
  readonly array: TensorArrayType | undefined;
  /** Array of the column's elements, where it differs from the tensor's (float16). */
  readonly columnArray: TensorArrayType | undefined;
}

function element(
  duck: DuckDBType,
  sql: string,
  array?: TensorArrayType,
  columnArray = array,
): ElementType {
  return { duck, sql, array, columnArray };
}

export const elementTypes: Readonly<Record<TensorType, ElementType>> = {
  float16: element(FLOAT, 'FLOAT', Uint16Array, Float32Array),
  float32: element(FLOAT, 'FLOAT', Float32Array),
  float64: element(DOUBLE, 'DOUBLE', Float64Array),
  int8: element(TINYINT, 'TINYINT', Int8Array),
  int16: element(SMALLINT, 'SMALLINT', Int16Array),
  int32: element(INTEGER, 'INTEGER', Int32Array),
  int64: element(BIGINT, 'BIGINT', BigInt64Array),
  uint8: element(UTINYINT, 'UTINYINT', Uint8Array),
  uint16: element(USMALLINT, 'USMALLINT', Uint16Array),
  uint32: element(UINTEGER, 'UINTEGER', Uint32Array),
  uint64: element(UBIGINT, 'UBIGINT', BigUint64Array),
  bool: element(BOOLEAN, 'BOOLEAN', Uint8Array),
  string: element(VARCHAR, 'VARCHAR'),
};

/** An empty container for `length` elements of a type. */
export function allocate(type: TensorType, length: number): TensorData {
  const make = elementTypes[type].array;
  return make ? new make(length) : new Array<string>(length).fill('');
}

/** Elements `[from, to)` without copying typed arrays. */
export function sliceData(data: TensorData, from: number, to: number): TensorData {
  return Array.isArray(data) ? data.slice(from, to) : data.subarray(from, to);
}

/** Copies `source` into `target` at `offset`; both of one element type. */
export function copyData(target: TensorData, source: TensorData, offset: number): void {
  if (Array.isArray(target)) {
    for (let i = 0; i < source.length; i++) target[offset + i] = source[i] as string;
  } else {
    (target.set as (from: TensorData, at: number) => void).call(target, source, offset);
  }
}

export function product(dims: readonly number[]): number {
  let size = 1;
  for (const dim of dims) size *= dim;
  return size;
}

/** The dimensions after the first, for rows of `size` elements; undefined when they do not fit. */
export function resolveRest(
  rest: readonly (number | null)[],
  size: number,
): readonly number[] | undefined {
  const free = rest.filter((dim) => dim === null).length;
  const fixed = product(rest.map((dim) => dim ?? 1));
  if (free === 0) return fixed === size ? (rest as readonly number[]) : undefined;
  if (free > 1 || size % fixed !== 0) return undefined;
  return rest.map((dim) => dim ?? size / fixed);
}
