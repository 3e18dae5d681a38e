/**
 * Columns of one DuckDB chunk -> the dense tensors a model reads: as they lie there where they can
 * be, else copied into buffers that are kept from chunk to chunk. Never: runs a model.
 */
import type { DuckDBDataChunk, DuckDBVector } from '@duckdb/node-api';
import { fail } from '../../shared/failure.js';
import type { TensorInput } from '../../shared/plan.js';
import { allocate, product, resolveRest, sliceData } from './host-tensor.js';
import type { HostTensor, TensorArray, TensorData } from './host-tensor.js';
import { ListColumn } from './list-column.js';
import { PackedColumns } from './packed-columns.js';
import { validityWords } from './raw-vectors.js';
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
  /** Gathered rows [from, to); good until the next slice. */
  slice(from: number, to: number): HostTensor;
  /** The chunk is done: nothing that was gathered or sliced from it is used again. */
  release(): void;
}

/** Whether an input's columns come as one argument, `list_value(a, b, …)`, instead of one each. */
export function isPacked(input: TensorInput): boolean {
  return !input.list && input.type !== 'string';
}

export function inputReader(input: TensorInput, firstArgument: number): InputReader {
  if (input.list) return new ListReader(input, firstArgument);
  return isPacked(input)
    ? new PackedReader(input, firstArgument)
    : new StringReader(input, firstArgument);
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

class PackedReader implements InputReader {
  readonly tensor: string;
  readonly shapeKey = undefined;
  private readonly dense: DenseRows;
  private readonly shape: readonly number[];
  private readonly packed: PackedColumns;
  /** The chunk's own elements, when they are the tensor. */
  private whole: TensorArray | undefined;

  constructor(
    private readonly input: TensorInput,
    argument: number,
  ) {
    this.tensor = input.tensor;
    this.dense = new DenseRows(input.type);
    this.shape = shapeOf(input);
    const { type, columns } = input;
    this.packed = new PackedColumns(
      type,
      columns.length,
      argument,
      (absent) => columns.find((_, element) => absent(element))?.name,
    );
  }

  examine(chunk: DuckDBDataChunk, marks: RowMarks): void {
    this.packed.examine(chunk, marks);
  }

  gather(rows: Int32Array | undefined, count: number): void {
    this.whole = rows ? undefined : this.packed.asTensor();
    if (this.whole) return;
    this.packed.gather(this.dense.reserve(count, this.shape) as TensorArray, rows, count);
  }

  slice(from: number, to: number): HostTensor {
    if (!this.whole) return this.dense.slice(from, to);
    const width = this.input.columns.length;
    const data = sliceData(this.whole, from * width, to * width);
    return { type: this.input.type, dims: [to - from, ...this.shape], data };
  }

  release(): void {
    this.whole = undefined;
    this.packed.release();
  }
}

class StringReader implements InputReader {
  readonly tensor: string;
  readonly shapeKey = undefined;
  private readonly dense = new DenseRows('string');
  private readonly shape: readonly number[];
  private readonly vectors: DuckDBVector[] = [];

  constructor(
    private readonly input: TensorInput,
    private readonly firstArgument: number,
  ) {
    this.tensor = input.tensor;
    this.shape = shapeOf(input);
  }

  examine(chunk: DuckDBDataChunk, marks: RowMarks): void {
    this.input.columns.forEach(({ name }, index) => {
      const vector = chunk.getColumnVector(this.firstArgument + index);
      this.vectors[index] = vector;
      marks.markNulls(validityWords(vector), name);
    });
  }

  gather(rows: Int32Array | undefined, count: number): void {
    const target = this.dense.reserve(count, this.shape) as string[];
    const width = this.vectors.length;
    this.vectors.forEach((vector, column) => {
      for (let i = 0; i < count; i++) {
        target[i * width + column] = vector.getItem(rows ? rows[i]! : i) as string;
      }
    });
  }

  slice(from: number, to: number): HostTensor {
    return this.dense.slice(from, to);
  }

  release(): void {
    this.vectors.length = 0;
  }
}

/** The dimensions after the first. @throws WindrowError invalidSpec `E_MODEL_INPUT` */
export function shapeOf({ tensor, columns, dims }: TensorInput): readonly number[] {
  const shape = resolveRest(dims.slice(1), columns.length);
  if (shape) return shape;
  const text = dims.map((dim) => dim ?? '?').join(', ');
  fail(
    'invalidSpec',
    'E_MODEL_INPUT',
    `${columns.length} columns cannot fill tensor "${tensor}" of shape [${text}]`,
    { hint: 'name as many columns as the tensor has elements a row, in its order' },
  );
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

  release(): void {
    this.list.release();
  }
}
