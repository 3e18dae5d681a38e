/**
 * An input whose columns are arithmetic on fewer ones: those alone come out of DuckDB, and the tensor
 * is computed from them just before each run. Never: any other input, or other values than DuckDB's.
 */
import type { DuckDBDataChunk } from '@duckdb/node-api';
import { fail } from '../../shared/failure.js';
import type { TensorInput } from '../../shared/plan.js';
import { Arithmetic, leavesOf } from './arithmetic.js';
import type { Term } from './arithmetic.js';
import { PackedColumns } from './packed-columns.js';
import type { HostTensor } from './host-tensor.js';
import type { RowMarks } from './row-marks.js';
import { shapeOf } from './tensors.js';
import type { InputReader } from './tensors.js';

/** How a float32 input is computed. */
export interface ComputedInput {
  /** Expressions of type DOUBLE over the relation that the model is called on. */
  readonly leaves: readonly string[];
  /** One for each column of the input, in order. */
  readonly terms: readonly Term[];
}

export class ComputedReader implements InputReader {
  readonly tensor: string;
  readonly shapeKey = undefined;
  private readonly shape: readonly number[];
  private readonly packed: PackedColumns;
  private readonly arithmetic: Arithmetic;
  /** The leaves of the rows that were gathered, row by row. */
  private source: Float64Array = new Float64Array(0);
  private gathered = new Float64Array(0);
  private target = new Float32Array(0);

  constructor(
    private readonly input: TensorInput,
    private readonly computed: ComputedInput,
    argument: number,
  ) {
    this.tensor = input.tensor;
    this.shape = shapeOf(input);
    const { leaves, terms } = computed;
    const read = terms.map(leavesOf);
    this.packed = new PackedColumns('float64', leaves.length, argument, (absent) => {
      const column = read.findIndex((some) => some.some(absent));
      return input.columns[column]?.name;
    });
    this.arithmetic = new Arithmetic(terms, leaves.length);
  }

  examine(chunk: DuckDBDataChunk, marks: RowMarks): void {
    this.packed.examine(chunk, marks);
  }

  gather(rows: Int32Array | undefined, count: number): void {
    const whole = rows ? undefined : this.packed.asTensor();
    if (whole) {
      this.source = whole as Float64Array;
      return;
    }
    const size = count * this.computed.leaves.length;
    if (this.gathered.length < size) this.gathered = new Float64Array(size);
    this.packed.gather(this.gathered, rows, count);
    this.source = this.gathered;
  }

  /** Good until the next one. */
  slice(from: number, to: number): HostTensor {
    const { columns } = this.input;
    const size = (to - from) * columns.length;
    if (this.target.length < size) this.target = new Float32Array(size);
    const overflow = this.arithmetic.run(this.source, from, to, this.target);
    if (overflow) failCast(columns[overflow.column]!.name, overflow.value);
    const data = this.target.subarray(0, size);
    return { type: 'float32', dims: [to - from, ...this.shape], data };
  }

  release(): void {
    this.packed.release();
  }
}

/** As DuckDB has it, which finds the row when the chunk is searched for it. */
function failCast(column: string, value: number): never {
  fail(
    'badData',
    'E_SQL_RUNTIME',
    `Type DOUBLE with value ${value} can't be cast because the value is out of range for the destination type FLOAT`,
    {
      at: { column },
      hint: 'handle such values in the SQL, for example with try_cast, or filter them out before',
    },
  );
}
