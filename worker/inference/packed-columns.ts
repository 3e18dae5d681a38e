/**
 * Scalar columns that the statement packed into one list a row, which is how the tensor lies in
 * memory: one copy a chunk instead of one a column and an interleaving. Never: list columns of the
 * user's, or strings.
 */
import type { DuckDBDataChunk } from '@duckdb/node-api';
import { toHalf } from '../../shared/half-float.js';
import type { TensorType } from '../../shared/plan.js';
import { elementTypes } from './host-tensor.js';
import type { TensorArray } from './host-tensor.js';
import { giveBack, isValid, readList } from './raw-vectors.js';
import type { ListItems } from './raw-vectors.js';
import { rowNull } from './row-marks.js';
import type { RowMarks } from './row-marks.js';

export class PackedColumns {
  private list: ListItems | undefined;
  /** Row `i` begins at element `i * width`. */
  private sequential = false;

  /**
   * @param width elements of a row
   * @param nameAbsent the column that is NULL in a row, of which it can ask what elements are
   */
  constructor(
    private readonly type: TensorType,
    private readonly width: number,
    private readonly argument: number,
    private readonly nameAbsent: (absent: (element: number) => boolean) => string | undefined,
  ) {}

  examine(chunk: DuckDBDataChunk, marks: RowMarks): void {
    const make = elementTypes[this.type].columnArray!;
    this.list = readList(chunk, this.argument, marks.rows, make);
    this.sequential = isSequential(this.list.entries, this.width, marks.rows);
    const { validity } = this.list;
    if (!validity) return;
    if (this.sequential) this.markSequential(validity, marks);
    else for (let row = 0; row < marks.rows; row++) this.markRow(validity, row, marks);
  }

  /** All rows as they lie there; undefined when they have to be copied first. */
  asTensor(): TensorArray | undefined {
    return this.sequential && this.type !== 'float16' ? this.list!.items : undefined;
  }

  gather(target: TensorArray, rows: Int32Array | undefined, count: number): void {
    const { width } = this;
    const { items } = this.list!;
    const half = this.type === 'float16';
    for (let i = 0, at = 0; i < count; i++) {
      const from = this.offset(rows ? rows[i]! : i);
      for (let k = 0; k < width; k++, at++) {
        const value = items[from + k]!;
        target[at] = half ? toHalf(value as number) : value;
      }
    }
  }

  /** The chunk is done; its elements must not be touched any more. */
  release(): void {
    if (!this.list) return;
    giveBack(this.list.items);
    giveBack(this.list.entries);
    this.list = undefined;
  }

  // Offsets within one chunk stay far below 2^32, so the low words tell all.
  private offset(row: number): number {
    return this.list!.entries[row * 4]!;
  }

  /** Words that are all ones cost one comparison. */
  private markSequential(validity: Uint32Array, marks: RowMarks): void {
    const elements = marks.rows * this.width;
    for (let word = 0; word * 32 < elements; word++) {
      if (validity[word] === 0xffffffff) continue;
      const end = Math.min(elements, word * 32 + 32);
      const last = Math.floor((end - 1) / this.width);
      for (let row = Math.floor((word * 32) / this.width); row <= last; row++) {
        this.markRow(validity, row, marks);
      }
    }
  }

  private markRow(validity: Uint32Array, row: number, marks: RowMarks): void {
    const from = this.offset(row);
    const name = this.nameAbsent((element) => !isValid(validity, from + element));
    if (name !== undefined) marks.mark(row, rowNull, name, `column "${name}" is NULL`);
  }
}

/** Not so when every argument is one constant: DuckDB then keeps one list for all rows. */
function isSequential(entries: Uint32Array, width: number, rows: number): boolean {
  for (let row = 0; row < rows; row++) if (entries[row * 4] !== row * width) return false;
  return true;
}
