/**
 * The memory of DuckDB vectors: what the public vector classes hold but do not show, read and
 * written in bulk. Everything that leans on the pinned version's insides is here and nowhere else.
 */
import { createRequire } from 'node:module';
import { MessageChannel } from 'node:worker_threads';
import { DuckDBDataChunk } from '@duckdb/node-api';
import type { DuckDBScalarFunction, DuckDBVector } from '@duckdb/node-api';
import type { TensorArray, TensorArrayType } from './host-tensor.js';

/** DuckDB's handle of one vector; only valid inside the callback that was given it. */
export type RawVector = object;

type RawChunk = ConstructorParameters<typeof DuckDBDataChunk>[0];

interface Bindings {
  scalar_function_set_function(
    scalar: object,
    main: (info: object, input: RawChunk, output: RawVector) => void,
  ): void;
  data_chunk_get_vector(chunk: object, index: number): RawVector;
  vector_get_data(vector: RawVector, bytes: number): Uint8Array;
  vector_get_validity(vector: RawVector, bytes: number): Uint8Array | null;
  list_vector_reserve(vector: RawVector, capacity: number): void;
  list_vector_set_size(vector: RawVector, size: number): void;
  list_vector_get_child(vector: RawVector): RawVector;
  list_vector_get_size(vector: RawVector): number;
  struct_vector_get_child(vector: RawVector, index: number): RawVector;
  vector_ensure_validity_writable(vector: RawVector): void;
  vector_assign_string_element(vector: RawVector, index: number, text: string): void;
  copy_data_to_vector(
    vector: RawVector,
    targetOffset: number,
    source: ArrayBufferLike,
    sourceOffset: number,
    bytes: number,
  ): void;
  copy_data_to_vector_validity: Bindings['copy_data_to_vector'];
}

// Resolved from the API's own place, so that it is the copy the API uses.
const require = createRequire(import.meta.url);
const bindings = createRequire(require.resolve('@duckdb/node-api'))(
  '@duckdb/node-bindings',
) as Bindings;

interface VectorInsides {
  readonly vector: RawVector;
  readonly items?: TensorArray;
  readonly dataView?: DataView;
  readonly entryData?: BigUint64Array;
  readonly childData?: DuckDBVector;
  readonly validity?: { readonly data: BigUint64Array | null };
}

function inside(vector: DuckDBVector): VectorInsides {
  return vector as unknown as VectorInsides;
}

export function rawVector(vector: DuckDBVector): RawVector {
  return inside(vector).vector;
}

/**
 * Has DuckDB call `main` with the vector to fill itself; the public entry would first copy out what is
 * not in it yet, at about 80 µs a call.
 */
export function setRawMain(
  scalar: DuckDBScalarFunction,
  main: (chunk: DuckDBDataChunk, out: RawVector) => void,
): void {
  bindings.scalar_function_set_function(scalar.scalar_function, (_info, input, output) =>
    main(new DuckDBDataChunk(input), output),
  );
}

/** A LIST column of fixed-width elements. */
export interface ListItems {
  /** Low and high words of offset and length of each row, in turns. */
  readonly entries: Uint32Array;
  readonly items: TensorArray;
  /** One bit for each item, lowest first; undefined when all are valid. */
  readonly validity: Uint32Array | undefined;
}

/**
 * A LIST column whose elements are `make`'s (a boolean is one byte), without the vector objects
 * around it. Each read below is a copy and costs about 4 µs before the first byte.
 */
export function readList(
  chunk: DuckDBDataChunk,
  index: number,
  rows: number,
  make: TensorArrayType,
): ListItems {
  const vector = bindings.data_chunk_get_vector(chunk.chunk, index);
  const child = bindings.list_vector_get_child(vector);
  const size = bindings.list_vector_get_size(vector);
  const entries = bindings.vector_get_data(vector, rows * 16);
  const items = bindings.vector_get_data(child, size * make.BYTES_PER_ELEMENT);
  const bits = bindings.vector_get_validity(child, Math.ceil(size / 64) * 8);
  return {
    entries: new Uint32Array(entries.buffer, entries.byteOffset, rows * 4),
    items: new make(items.buffer, items.byteOffset, size),
    validity: bits ? new Uint32Array(bits.buffer, bits.byteOffset, bits.byteLength / 4) : undefined,
  };
}

const nowhere = new MessageChannel().port1;
nowhere.close();

/**
 * Frees an array's memory now instead of at the next collection: what is handed to a closed port is
 * dropped there. Blocks of one size then come back warm; left to the collector, those of a wide model
 * cost a page fault for every 4 KB and make it mark the whole heap every few hundred thousand rows.
 */
export function giveBack(array: TensorArray): void {
  nowhere.postMessage(null, [array.buffer as ArrayBuffer]);
}

/** The elements of a fixed-width vector; a boolean is one byte. */
export function vectorItems(vector: DuckDBVector): TensorArray {
  const { items, dataView } = inside(vector);
  if (items) return items;
  if (dataView) return new Uint8Array(dataView.buffer, dataView.byteOffset, dataView.byteLength);
  throw new TypeError(`a ${vector.type.toString()} vector has no fixed-width elements`);
}

/** One bit an element, lowest first; undefined when all are valid. */
export function validityWords(vector: DuckDBVector): Uint32Array | undefined {
  const data = inside(vector).validity?.data;
  return data ? new Uint32Array(data.buffer, data.byteOffset, data.length * 2) : undefined;
}

export function isValid(words: Uint32Array | undefined, index: number): boolean {
  return words === undefined || ((words[index >>> 5]! >>> (index & 31)) & 1) === 1;
}

/** Elements of a LIST or ARRAY vector, of all rows. */
export function childVector(vector: DuckDBVector): DuckDBVector {
  const child = inside(vector).childData;
  if (!child) throw new TypeError(`a ${vector.type.toString()} vector has no elements below it`);
  return child;
}

/** Offset and length of each row of a LIST vector, in turns; undefined for an ARRAY. */
export function listEntries(vector: DuckDBVector): BigUint64Array | undefined {
  return inside(vector).entryData;
}

export function writeItems(vector: RawVector, items: TensorArray, count: number): void {
  const bytes = count * items.BYTES_PER_ELEMENT;
  bindings.copy_data_to_vector(vector, 0, items.buffer, items.byteOffset, bytes);
}

export function writeString(vector: RawVector, index: number, text: string): void {
  bindings.vector_assign_string_element(vector, index, text);
}

/** Marks as NULL the rows whose `valid` byte is 0. */
export function writeValidity(vector: RawVector, valid: Uint8Array, count: number): void {
  const words = new Uint32Array(2 * Math.ceil(count / 64));
  for (let row = 0; row < count; row++) {
    if (valid[row] !== 0) words[row >>> 5]! |= 1 << (row & 31);
  }
  bindings.vector_ensure_validity_writable(vector);
  bindings.copy_data_to_vector_validity(vector, 0, words.buffer, 0, words.byteLength);
}

/** Sizes a LIST vector's elements and returns the vector that takes them. */
export function growList(vector: RawVector, size: number): RawVector {
  bindings.list_vector_reserve(vector, size);
  bindings.list_vector_set_size(vector, size);
  return bindings.list_vector_get_child(vector);
}

export function structChild(vector: RawVector, index: number): RawVector {
  return bindings.struct_vector_get_child(vector, index);
}
