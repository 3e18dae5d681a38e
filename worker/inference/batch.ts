/**
 * One DuckDB chunk through a model: applies the step's policies for NULL and for refused rows, and
 * cuts the rows into runs the model accepts. Never: knows how a session runs or a vector is written.
 */
import type { DuckDBDataChunk } from '@duckdb/node-api';
import { WindrowError, fail } from '../../shared/failure.js';
import type { FailureLocation } from '../../shared/failure.js';
import type { InferStep } from '../../shared/plan.js';
import { allocate, copyData, product, sliceData } from './host-tensor.js';
import type { HostTensor, RunnableModel, Tensors } from './host-tensor.js';
import type { OutputWriter } from './outputs.js';
import { vectorItems } from './raw-vectors.js';
import { RowMarks, rowMisshapen, rowNull } from './row-marks.js';
import { runOrFail, runOrSetAside } from './run-rows.js';
import type { InputReader } from './tensors.js';

/** Rows that callers of one device may put into one run when the spec says `batchSize: auto`. */
const joinRowsAuto = 16_384;

/**
 * Rows a run on the cpu with `batchSize: auto`: what lies between two layers, and the columns that the
 * query works on, then stay in the core's cache together, and the 15 µs a run costs before its first
 * row are shared by enough of them. Of 128 to 8,192 rows the best for a perceptron of 256 × 256.
 */
const cpuRowsAuto = 256;

export interface BatchSetup {
  readonly step: InferStep;
  readonly model: RunnableModel;
  readonly readers: readonly InputReader[];
  readonly writers: readonly OutputWriter[];
  /** Argument that holds each row's number; undefined when it is not known. */
  readonly rowArgument: number | undefined;
  cancelled(): boolean;
  onDead(row: number, code: string, message: string): void;
  onRun(rows: number, seconds: number): void;
}

/** Which rows of the last chunk have predictions; both undefined when all of them have. */
export interface BatchResult {
  readonly rows: number;
  /** 0: the outputs are NULL. */
  readonly valid: Uint8Array | undefined;
  /** 0: the row is dead and must be dropped. */
  readonly alive: Uint8Array | undefined;
}

/** Rows with one shape, in order; `rows` is undefined when they are all the chunk's. */
interface Group {
  readonly rows: Int32Array | undefined;
  readonly count: number;
}

export class Batch {
  /** Rows that came out of a model so far. */
  inferred = 0;
  private readonly marks: RowMarks;
  private readonly valid: Uint8Array;
  private readonly alive: Uint8Array;
  private readonly fixedRows: number | undefined;
  private readonly joinRows: number;
  private readonly sliceRows: number;

  constructor(
    private readonly setup: BatchSetup,
    capacity: number,
  ) {
    const { step } = setup;
    this.marks = new RowMarks(capacity);
    this.valid = new Uint8Array(capacity);
    this.alive = new Uint8Array(capacity);
    this.fixedRows =
      step.inputs.find(({ dims }) => typeof dims[0] === 'number')?.dims[0] ?? undefined;
    const most = step.batchSize === 'auto' ? joinRowsAuto : step.batchSize;
    this.joinRows = this.fixedRows === undefined ? most : 0;
    const auto = step.device === 'cpu' ? cpuRowsAuto : capacity;
    this.sliceRows = step.batchSize === 'auto' ? auto : step.batchSize;
  }

  /** Runs a chunk; the writers then hold its outputs. @throws WindrowError */
  process(chunk: DuckDBDataChunk): BatchResult {
    const rows = chunk.rowCount;
    const { readers, writers } = this.setup;
    const rowNumber = this.rowNumbers(chunk);
    this.marks.reset(rows);
    for (const reader of readers) reader.examine(chunk, this.marks);
    this.valid.fill(1, 0, rows);
    this.alive.fill(1, 0, rows);
    this.applyPolicies(rowNumber);
    const fit = this.marks.fit();
    for (const writer of writers) writer.begin(rows);
    let dead = this.marks.problems.size > 0;
    for (const group of groupByShape(readers, fit, rows)) {
      for (const reader of readers) reader.gather(group.rows, group.count);
      dead = this.runGroup(group, rowNumber) || dead;
    }
    for (const reader of readers) reader.release();
    return { rows, valid: dead ? this.valid : undefined, alive: dead ? this.alive : undefined };
  }

  private rowNumbers(chunk: DuckDBDataChunk): (row: number) => number | undefined {
    const { rowArgument } = this.setup;
    if (rowArgument === undefined) return () => undefined;
    // Read only when a row has to be named, which is rare.
    return (row) => Number((vectorItems(chunk.getColumnVector(rowArgument)) as BigInt64Array)[row]);
  }

  private locate(row: number | undefined, column?: string): FailureLocation {
    return {
      step: this.setup.step.id,
      ...(row !== undefined ? { row } : {}),
      ...(column !== undefined ? { column } : {}),
    };
  }

  private applyPolicies(rowNumber: (row: number) => number | undefined): void {
    const { marks, setup } = this;
    if (marks.problems.size === 0) return;
    const { onNull, onError } = setup.step;
    const absent = onNull === 'fail' ? marks.first(rowNull) : undefined;
    if (absent) {
      fail('badData', 'E_NULL_INPUT', absent.text, {
        at: this.locate(rowNumber(absent.row), absent.column),
        hint: 'fill the column before the model, or set onNull to null or deadLetter',
      });
    }
    const misshapen = onError === 'fail' ? marks.first(rowMisshapen) : undefined;
    if (misshapen) {
      fail('badData', 'E_TENSOR_SHAPE', misshapen.text, {
        at: this.locate(rowNumber(misshapen.row), misshapen.column),
        hint: 'make every list as long as the model expects, or set onError: deadLetter',
      });
    }
    for (let row = 0; row < marks.rows; row++) {
      const problem = marks.problems.get(row);
      if (!problem) continue;
      this.valid[row] = 0;
      const code = marks.state[row] === rowNull ? 'E_NULL_INPUT' : 'E_TENSOR_SHAPE';
      if (code === 'E_NULL_INPUT' && onNull === 'null') continue;
      this.bury(row, rowNumber(row), code, problem.text);
    }
  }

  private bury(row: number, number: number | undefined, code: string, message: string): void {
    this.valid[row] = 0;
    this.alive[row] = 0;
    this.setup.onDead(number ?? -1, code, message);
  }

  /** Returns whether any row died. */
  private runGroup(group: Group, rowNumber: (row: number) => number | undefined): boolean {
    const { onError } = this.setup.step;
    const slice = this.fixedRows ?? this.sliceRows;
    const run = (from: number, to: number): void => this.run(group, from, to);
    const chunkRow = (row: number): number => (group.rows ? group.rows[row]! : row);
    if (onError === 'fail') {
      runOrFail(group.count, slice, run, (row, refusal) => {
        throw new WindrowError(
          { ...refusal.failure, at: this.locate(rowNumber(chunkRow(row))) },
          refusal,
        );
      });
      return false;
    }
    let died = false;
    runOrSetAside(group.count, slice, run, (row, refusal) => {
      const at = chunkRow(row);
      this.bury(at, rowNumber(at), refusal.failure.code, refusal.failure.message);
      died = true;
    });
    return died;
  }

  private run(group: Group, from: number, to: number): void {
    const { model, readers, writers, cancelled, onRun } = this.setup;
    if (cancelled()) fail('cancelled', 'E_CANCELLED', 'cancelled between two batches');
    const count = to - from;
    const feeds: Record<string, HostTensor> = {};
    for (const reader of readers) {
      const tensor = reader.slice(from, to);
      feeds[reader.tensor] =
        this.fixedRows === undefined ? tensor : padRows(tensor, this.fixedRows);
    }
    const begunMs = performance.now();
    const results: Tensors = model.run(feeds, { joinRows: this.joinRows, cancelled });
    onRun(count, (performance.now() - begunMs) / 1000);
    for (const writer of writers) {
      const result = results[writer.tensor];
      writer.put(result && this.unpadded(result, count), group.rows, from, count);
    }
    this.inferred += count;
  }

  private unpadded(tensor: HostTensor, rows: number): HostTensor {
    if (this.fixedRows === undefined || tensor.dims[0] !== this.fixedRows) return tensor;
    const rest = tensor.dims.slice(1);
    const data = sliceData(tensor.data, 0, rows * product(rest));
    return { type: tensor.type, dims: [rows, ...rest], data };
  }
}

/** Repeats the last row until there are `rows` of them: values the model is known to accept. */
function padRows(tensor: HostTensor, rows: number): HostTensor {
  const have = tensor.dims[0]!;
  if (have === rows) return tensor;
  const rest = tensor.dims.slice(1);
  const width = product(rest);
  const data = allocate(tensor.type, rows * width);
  copyData(data, tensor.data, 0);
  const last = sliceData(tensor.data, (have - 1) * width, have * width);
  for (let row = have; row < rows; row++) copyData(data, last, row * width);
  return { type: tensor.type, dims: [rows, ...rest], data };
}

function groupByShape(
  readers: readonly InputReader[],
  fit: Int32Array | undefined,
  rows: number,
): Group[] {
  const count = fit ? fit.length : rows;
  if (count === 0) return [];
  const keys = readers.flatMap(({ shapeKey }) => shapeKey ?? []);
  if (keys.length === 0) return [{ rows: fit, count }];
  const groups = new Map<string, number[]>();
  for (let i = 0; i < count; i++) {
    const row = fit ? fit[i]! : i;
    const key = keys.map((keyOf) => keyOf(row)).join(';');
    const group = groups.get(key);
    if (group) group.push(row);
    else groups.set(key, [row]);
  }
  if (groups.size === 1) return [{ rows: fit, count }];
  return [...groups.values()].map((group) => ({
    rows: Int32Array.from(group),
    count: group.length,
  }));
}
