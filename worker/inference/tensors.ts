/**
 * Columns of one DuckDB chunk -> the dense tensors a model reads. Buffers are kept from chunk to
 * chunk, and the loop over scalar float columns allocates nothing. Never: runs a model.
 */
import type { DuckDBDataChunk, DuckDBVector } from '@duckdb/node-api';
import { fail } from '../../shared/failure.js';
import { toHalf } from '../../shared/half-float.js';
import type { TensorInput } from '../../shared/plan.js';
import { allocate, elementTypes, product, resolveRest, sliceData } from './host-tensor.js';
import type { HostTensor, TensorArray, TensorData } from './host-tensor.js';
import { ListColumn } from './list-column.js';
import { readColumn, validityWords } from './raw-vectors.js';
import type { RowMarks } from './row-marks.js';

/** One model input: knows which rows are unfit, then gathers the fit ones into a dense tensor. */
export interface InputReader {
  readonly tensor: string;
  /** Looks at the chunk's columns and marks rows with NULL or a wrong shape. */
  examine(chunk: DuckDBDataChunk, marks: RowMarks): void;
  /** Rows of different keys cannot stand in one tensor; undefined when all rows are alike. */
  shapeKey: ((row: number) => string) | undefined;
  /** Gathers `count` rows (all in order when `rows` is undefined); they share a shape key. */
  gather(rows: Int32Array | undefined, count: number): void;
  /** Gathered rows [from, to), without copying. */
  slice(from: number, to: number): HostTensor;
}

export function inputReader(input: TensorInput, firstArgument: number): InputReader {
  return input.list ? new ListReader(input, firstArgument) : new ScalarReader(input, firstArgument);
}

class DenseRows {
  private data: TensorData;
  private shape: readonly number[] = [];
  private width = 0;

  constructor(readonly type: TensorInput['type']) {
    this.data = allocate(type, 0);
  }

  /** Room for `count` rows of a shape; what was there is gone. */
  reserve(count: number, shape: readonly number[]): TensorData {
    this.shape = shape;
    this.width = product(shape);
    const size = count * this.width;
    if (this.data.length < size) this.data = allocate(this.type, size);
    return this.data;
  }

  slice(from: number, to: number): HostTensor {
    const data = sliceData(this.data, from * this.width, to * this.width);
    return { type: this.type, dims: [to - from, ...this.shape], data };
  }
}

class ScalarReader implements InputReader {
  readonly tensor: string;
  readonly shapeKey = undefined;
  private readonly dense: DenseRows;
  private readonly shape: readonly number[];
  private readonly columns: TensorArray[] = [];
  private readonly strings: DuckDBVector[] = [];

  constructor(
    private readonly input: TensorInput,
    private readonly firstArgument: number,
  ) {
    this.tensor = input.tensor;
    this.dense = new DenseRows(input.type);
    const shape = resolveRest(input.dims.slice(1), input.columns.length);
    if (!shape) {
      const dims = input.dims.map((dim) => dim ?? '?').join(', ');
      fail(
        'invalidSpec',
        'E_MODEL_INPUT',
        `${input.columns.length} columns cannot fill tensor "${input.tensor}" of shape [${dims}]`,
        { hint: 'name as many columns as the tensor has elements a row, in its order' },
      );
    }
    this.shape = shape;
  }

  examine(chunk: DuckDBDataChunk, marks: RowMarks): void {
    const { input, firstArgument } = this;
    const make = elementTypes[input.type].columnArray;
    input.columns.forEach(({ name }, index) => {
      if (make) {
        const column = readColumn(chunk, firstArgument + index, marks.rows, make);
        this.columns[index] = column.items;
        marks.markNulls(column.validity, name);
      } else {
        const vector = chunk.getColumnVector(firstArgument + index);
        this.strings[index] = vector;
        marks.markNulls(validityWords(vector), name);
      }
    });
  }

  gather(rows: Int32Array | undefined, count: number): void {
    const target = this.dense.reserve(count, this.shape);
    const { columns } = this;
    const { type } = this.input;
    if (Array.isArray(target)) gatherStrings(target, this.strings, rows, count);
    else if (rows) gatherRows(target, columns, rows, type === 'float16');
    else if (type === 'float16') interleaveHalves(target as Uint16Array, columns, count);
    else if (type !== 'float32') interleave(target, columns, count);
    else interleaveFloats(target as Float32Array, columns as Float32Array[], count);
  }

  slice(from: number, to: number): HostTensor {
    return this.dense.slice(from, to);
  }
}

class ListReader implements InputReader {
  readonly tensor: string;
  readonly shapeKey: ((row: number) => string) | undefined;
  private readonly dense: DenseRows;
  private readonly list: ListColumn;

  constructor(
    input: TensorInput,
    private readonly argument: number,
  ) {
    this.tensor = input.tensor;
    this.dense = new DenseRows(input.type);
    this.list = new ListColumn(input);
    const free = input.dims.slice(1).includes(null);
    this.shapeKey = free ? (row) => this.list.shape(row).join() : undefined;
  }

  examine(chunk: DuckDBDataChunk, marks: RowMarks): void {
    this.list.examine(chunk.getColumnVector(this.argument), marks);
  }

  gather(rows: Int32Array | undefined, count: number): void {
    if (count === 0) return;
    const shape = this.list.shape(rows ? rows[0]! : 0);
    this.list.gather(this.dense.reserve(count, shape), rows, count);
  }

  slice(from: number, to: number): HostTensor {
    return this.dense.slice(from, to);
  }
}

/**
 * Columns to `[count, k]`. Four columns at a time: each cache line of the target is then visited a
 * quarter as often, which is twice as fast as one column at a time.
 */
function interleaveFloats(target: Float32Array, columns: readonly Float32Array[], count: number) {
  const width = columns.length;
  let column = 0;
  for (; column + 4 <= width; column += 4) {
    const a = columns[column]!;
    const b = columns[column + 1]!;
    const c = columns[column + 2]!;
    const d = columns[column + 3]!;
    for (let row = 0, at = column; row < count; row++, at += width) {
      target[at] = a[row]!;
      target[at + 1] = b[row]!;
      target[at + 2] = c[row]!;
      target[at + 3] = d[row]!;
    }
  }
  for (; column < width; column++) {
    const source = columns[column]!;
    for (let row = 0, at = column; row < count; row++, at += width) target[at] = source[row]!;
  }
}

// The same for the other element types, apart so that the loop above sees one kind of array only.
function interleave(target: TensorArray, columns: readonly TensorArray[], count: number) {
  const width = columns.length;
  for (let column = 0; column < width; column++) {
    const source = columns[column]!;
    for (let row = 0, at = column; row < count; row++, at += width) target[at] = source[row]!;
  }
}

function interleaveHalves(target: Uint16Array, columns: readonly TensorArray[], count: number) {
  const width = columns.length;
  for (let column = 0; column < width; column++) {
    const source = columns[column]!;
    for (let row = 0, at = column; row < count; row++, at += width) {
      target[at] = toHalf(source[row] as number);
    }
  }
}

function gatherRows(
  target: TensorArray,
  columns: readonly TensorArray[],
  rows: Int32Array,
  half: boolean,
) {
  const width = columns.length;
  for (let column = 0; column < width; column++) {
    const source = columns[column]!;
    for (let i = 0, at = column; i < rows.length; i++, at += width) {
      const value = source[rows[i]!]!;
      target[at] = half ? toHalf(value as number) : value;
    }
  }
}

function gatherStrings(
  target: string[],
  vectors: readonly DuckDBVector[],
  rows: Int32Array | undefined,
  count: number,
) {
  const width = vectors.length;
  vectors.forEach((vector, column) => {
    for (let i = 0; i < count; i++) {
      target[i * width + column] = vector.getItem(rows ? rows[i]! : i) as string;
    }
  });
}
