/**
 * One LIST or ARRAY column (nested to any depth) as rows of a tensor: finds each row's shape, marks
 * the ones that do not fit the model, and copies elements out row-major. Never: scalar columns.
 */
import type { DuckDBVector } from '@duckdb/node-api';
import { DuckDBArrayType, DuckDBListType } from '@duckdb/node-api';
import { toHalf } from '../../shared/half-float.js';
import type { TensorInput } from '../../shared/plan.js';
import { resolveRest } from './host-tensor.js';
import type { TensorArray, TensorData } from './host-tensor.js';
import { childVector, isValid, listEntries, validityWords, vectorItems } from './raw-vectors.js';
import { rowFit, rowMisshapen, rowNull } from './row-marks.js';
import type { RowMarks } from './row-marks.js';

/** One nesting level: where the elements of entry `i` begin and how many they are. */
interface Level {
  /** Low and high words of offset and length, in turns; undefined for an ARRAY. */
  readonly entries: Uint32Array | undefined;
  readonly length: number;
  /** Validity of the elements one level down. */
  readonly below: Uint32Array | undefined;
}

const nothing = { offset: 0, length: 0 };

export class ListColumn {
  private levels: Level[] = [];
  private leaf: DuckDBVector | undefined;
  private items: TensorArray | undefined;
  /** Shapes by row; rows in a row that are alike share one array. */
  private shapes: (readonly number[])[] = [];
  private readonly rest: readonly (number | null)[];
  private readonly name: string;

  constructor(private readonly input: TensorInput) {
    this.rest = input.dims.slice(1);
    this.name = input.columns[0]!.name;
  }

  shape(row: number): readonly number[] {
    return this.shapes[row]!;
  }

  examine(vector: DuckDBVector, marks: RowMarks): void {
    marks.markNulls(validityWords(vector), this.name);
    this.open(vector);
    const flat = this.levels.length === 1 && !this.levels[0]!.below;
    let previous: readonly number[] | undefined;
    let previousLengths: number | string | undefined;
    for (let row = 0; row < marks.rows; row++) {
      if (marks.state[row] !== rowFit) continue;
      if (flat && previous && this.range(0, row).length === previousLengths) {
        this.shapes[row] = previous;
        continue;
      }
      const lengths: number[] = [];
      const trouble = this.measure(0, row, lengths);
      if (trouble === 'null') {
        marks.mark(row, rowNull, this.name, `column "${this.name}" has a NULL element`);
        continue;
      }
      const key = flat ? lengths[0]! : lengths.join();
      if (!previous || key !== previousLengths) {
        const shape = trouble ? undefined : this.fitted(lengths);
        if (!shape) {
          marks.mark(row, rowMisshapen, this.name, this.complaint(lengths, trouble === 'ragged'));
          continue;
        }
        previous = shape;
        previousLengths = key;
      }
      this.shapes[row] = previous;
    }
  }

  gather(target: TensorData, rows: Int32Array | undefined, count: number): void {
    const first = this.levels[0]!;
    if (!rows && !first.entries && this.levels.length === 1) {
      // A flat ARRAY column is a tensor as it stands.
      this.copyLeaves(0, count * first.length, target, 0);
      return;
    }
    let at = 0;
    for (let i = 0; i < count; i++) at = this.copy(0, rows ? rows[i]! : i, target, at);
  }

  /** The chunk is done: its vectors are let go. */
  release(): void {
    this.levels = [];
    this.leaf = undefined;
    this.items = undefined;
  }

  private open(vector: DuckDBVector): void {
    this.levels = [];
    this.items = undefined;
    let current = vector;
    while (current.type instanceof DuckDBListType || current.type instanceof DuckDBArrayType) {
      const child = childVector(current);
      const entries = listEntries(current);
      this.levels.push({
        entries: entries && new Uint32Array(entries.buffer, entries.byteOffset, entries.length * 2),
        length: current.type instanceof DuckDBArrayType ? current.type.length : 0,
        below: validityWords(child),
      });
      current = child;
    }
    this.leaf = current;
    if (this.input.type !== 'string') this.items = vectorItems(current);
  }

  // Offsets within one chunk stay far below 2^32, so the low words tell all.
  private range(level: number, index: number): { offset: number; length: number } {
    const { entries, length } = this.levels[level] ?? { entries: undefined, length: 0 };
    if (!entries) return length === 0 ? nothing : { offset: index * length, length };
    return { offset: entries[index * 4]!, length: entries[index * 4 + 2]! };
  }

  /** Fills `lengths` with the entry's size at each level, or says what is wrong with it. */
  private measure(level: number, index: number, lengths: number[]): 'null' | 'ragged' | undefined {
    const { offset, length } = this.range(level, index);
    let trouble: 'ragged' | undefined;
    if (lengths.length <= level) lengths.push(length);
    else if (lengths[level] !== length) trouble = 'ragged';
    const { below } = this.levels[level]!;
    if (below) {
      for (let i = offset; i < offset + length; i++) if (!isValid(below, i)) return 'null';
    }
    if (level + 1 < this.levels.length) {
      for (let i = offset; i < offset + length; i++) {
        const inner = this.measure(level + 1, i, lengths);
        if (inner === 'null') return inner;
        trouble ??= inner;
      }
    }
    return trouble;
  }

  /** A flat list fills all dimensions after the first; a nested one has to match them one by one. */
  private fitted(lengths: readonly number[]): readonly number[] | undefined {
    if (this.levels.length === 1) return resolveRest(this.rest, lengths[0]!);
    if (lengths.length !== this.rest.length) return undefined;
    return this.rest.every((dim, i) => dim === null || dim === lengths[i]) ? lengths : undefined;
  }

  private complaint(lengths: readonly number[], ragged: boolean): string {
    const wanted = ['N', ...this.rest.map((dim) => dim ?? '?')].join(', ');
    const found = ragged ? 'lists of different lengths' : `${lengths.join(' x ')} elements`;
    return `column "${this.name}" has ${found} where tensor "${this.input.tensor}" is [${wanted}]`;
  }

  private copy(level: number, index: number, target: TensorData, at: number): number {
    const { offset, length } = this.range(level, index);
    if (level + 1 < this.levels.length) {
      let next = at;
      for (let i = offset; i < offset + length; i++) next = this.copy(level + 1, i, target, next);
      return next;
    }
    this.copyLeaves(offset, length, target, at);
    return at + length;
  }

  private copyLeaves(offset: number, length: number, target: TensorData, at: number): void {
    const { items, leaf } = this;
    if (Array.isArray(target)) {
      for (let i = 0; i < length; i++) target[at + i] = leaf!.getItem(offset + i) as string;
    } else if (this.input.type === 'float16') {
      for (let i = 0; i < length; i++) target[at + i] = toHalf(items![offset + i] as number);
    } else {
      // A loop beats `set(subarray)` on short rows: no view is made for each of them.
      for (let i = 0; i < length; i++) target[at + i] = items![offset + i]!;
    }
  }
}
