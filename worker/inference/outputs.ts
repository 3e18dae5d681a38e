/**
 * Tensors a model gave -> the vectors of the result column. Results arrive in pieces (a batch may
 * be cut or bisected) and are written once a chunk. Never: runs a model or reads columns.
 */
import { LIST } from '@duckdb/node-api';
import type { DuckDBType } from '@duckdb/node-api';
import { fail } from '../../shared/failure.js';
import { fromHalf } from '../../shared/half-float.js';
import type { TensorOutput, TensorType } from '../../shared/plan.js';
import { elementTypes, product } from './host-tensor.js';
import type { HostTensor, TensorArray, TensorData } from './host-tensor.js';
import { growList, writeItems, writeString, writeValidity } from './raw-vectors.js';
import type { RawVector } from './raw-vectors.js';

/** One model output being collected for one chunk. */
export interface OutputWriter {
  readonly tensor: string;
  readonly type: DuckDBType;
  begin(rows: number): void;
  /**
   * Takes the output of `count` rows: row `i` of the tensor belongs to `rows[from + i]`, or to
   * `from + i` when `rows` is undefined. @throws WindrowError badData `E_MODEL_OUTPUT`
   */
  put(
    value: HostTensor | undefined,
    rows: Int32Array | undefined,
    from: number,
    count: number,
  ): void;
  /** Writes the vector; rows whose `valid` byte is 0 become NULL. */
  finish(vector: RawVector, valid: Uint8Array | undefined): void;
}

/** How many `[]` the column's type ends with: 0 is a scalar. */
export function listDepth(columnType: string): number {
  return /(\[\d*\])*$/.exec(columnType.trim())![0].split('[').length - 1;
}

export function outputWriter(output: TensorOutput): OutputWriter {
  const depth = listDepth(output.column.type);
  return depth === 0 ? new ScalarWriter(output) : new ListWriter(output, depth);
}

function columnArray(type: TensorType, length: number): TensorData {
  const make = elementTypes[type].columnArray;
  return make ? new make(length) : new Array<string>(length).fill('');
}

function checked(output: TensorOutput, value: HostTensor | undefined, count: number): HostTensor {
  const at = { column: output.column.name };
  if (!value)
    fail('badData', 'E_MODEL_OUTPUT', `the model gave no tensor "${output.tensor}"`, { at });
  if (value.type !== output.type) {
    fail(
      'badData',
      'E_MODEL_OUTPUT',
      `tensor "${output.tensor}" came out as ${value.type} where its signature says ${output.type}`,
      { at, hint: 'export the model again with the element types its outputs really have' },
    );
  }
  if (value.dims[0] !== count) {
    fail(
      'badData',
      'E_MODEL_OUTPUT',
      `tensor "${output.tensor}" came out as [${value.dims.join(', ')}] for ${count} rows`,
      { at, hint: 'use a model whose outputs have the batch as first dimension' },
    );
  }
  return value;
}

class ScalarWriter implements OutputWriter {
  readonly tensor: string;
  readonly type: DuckDBType;
  private values: TensorData;
  private rows = 0;

  constructor(private readonly output: TensorOutput) {
    this.tensor = output.tensor;
    this.type = elementTypes[output.type].duck;
    this.values = columnArray(output.type, 0);
  }

  begin(rows: number): void {
    this.rows = rows;
    if (this.values.length < rows) this.values = columnArray(this.output.type, rows);
  }

  put(value: HostTensor | undefined, rows: Int32Array | undefined, from: number, count: number) {
    const { data, dims } = checked(this.output, value, count);
    if (product(dims) !== count) {
      fail(
        'badData',
        'E_MODEL_OUTPUT',
        `tensor "${this.tensor}" came out as [${dims.join(', ')}] where one value a row was expected`,
        { at: { column: this.output.column.name } },
      );
    }
    scatter(this.values, data, this.output.type, rows, from, count);
  }

  finish(vector: RawVector, valid: Uint8Array | undefined): void {
    if (Array.isArray(this.values)) {
      for (let row = 0; row < this.rows; row++) {
        if (!valid || valid[row] !== 0) writeString(vector, row, this.values[row]!);
      }
    } else writeItems(vector, this.values, this.rows);
    if (valid) writeValidity(vector, valid, this.rows);
  }
}

function scatter(
  target: TensorData,
  source: TensorData,
  type: TensorType,
  rows: Int32Array | undefined,
  from: number,
  count: number,
) {
  if (type === 'float16') {
    for (let i = 0; i < count; i++) {
      target[rows ? rows[from + i]! : from + i] = fromHalf(source[i] as number);
    }
  } else if (rows || Array.isArray(target)) {
    for (let i = 0; i < count; i++) target[rows ? rows[from + i]! : from + i] = source[i]!;
  } else {
    (target.set as (from: TensorData, at: number) => void).call(target, source, from);
  }
}

/**
 * `[N, a, b, …]` as lists: nested when the column's type has one `[]` for each dimension after the
 * first, else with the innermost list holding what is left, row-major.
 */
class ListWriter implements OutputWriter {
  readonly tensor: string;
  readonly type: DuckDBType;
  /** Offset and length of each list, level by level, in turns. */
  private entries: BigUint64Array[] = [];
  private used: number[] = [];
  private leaves: TensorData;

  constructor(
    private readonly output: TensorOutput,
    private readonly depth: number,
  ) {
    this.tensor = output.tensor;
    let type: DuckDBType = elementTypes[output.type].duck;
    for (let level = 0; level < depth; level++) type = LIST(type);
    this.type = type;
    this.leaves = columnArray(output.type, 0);
  }

  begin(rows: number): void {
    this.entries[0] = new BigUint64Array(rows * 2);
    for (let level = 1; level < this.depth; level++) this.entries[level] ??= new BigUint64Array(0);
    // used[level] counts the lists of that level; the last one counts leaves.
    this.used = new Array<number>(this.depth + 1).fill(0);
    this.used[0] = rows;
  }

  put(value: HostTensor | undefined, rows: Int32Array | undefined, from: number, count: number) {
    const { data, dims } = checked(this.output, value, count);
    const lengths = dims.slice(1, this.depth);
    lengths.push(product(dims.slice(this.depth)));
    if (lengths.length !== this.depth) {
      fail(
        'badData',
        'E_MODEL_OUTPUT',
        `tensor "${this.tensor}" came out as [${dims.join(', ')}] where ${this.depth} dimensions after the first were expected`,
        { at: { column: this.output.column.name } },
      );
    }
    let lists = count;
    for (let level = 0; level < this.depth; level++) {
      const length = lengths[level]!;
      const entries = level === 0 ? this.entries[0]! : this.room(level);
      let next = this.used[level + 1]!;
      for (let i = 0; i < lists; i++, next += length) {
        const at = level > 0 ? this.used[level]! - lists + i : rows ? rows[from + i]! : from + i;
        entries[at * 2] = BigInt(next);
        entries[at * 2 + 1] = BigInt(length);
      }
      lists *= length;
      this.used[level + 1] = next;
    }
    this.append(data, lists);
  }

  finish(vector: RawVector, valid: Uint8Array | undefined): void {
    let current = vector;
    for (let level = 0; level < this.depth; level++) {
      writeItems(current, this.entries[level]!, this.used[level]! * 2);
      if (level === 0 && valid) writeValidity(vector, valid, this.used[0]!);
      current = growList(current, this.used[level + 1]!);
    }
    const leaves = this.used[this.depth]!;
    if (!Array.isArray(this.leaves)) writeItems(current, this.leaves, leaves);
    else for (let i = 0; i < leaves; i++) writeString(current, i, this.leaves[i]!);
  }

  /** Entries of an inner level, grown for the lists that were just counted into it. */
  private room(level: number): BigUint64Array {
    const needed = this.used[level]! * 2;
    const old = this.entries[level]!;
    if (old.length >= needed) return old;
    const grown = new BigUint64Array(Math.max(needed, old.length * 2));
    grown.set(old);
    this.entries[level] = grown;
    return grown;
  }

  private append(data: TensorData, count: number): void {
    const end = this.used[this.depth]!;
    if (this.leaves.length < end) {
      const grown = columnArray(this.output.type, Math.max(end, this.leaves.length * 2));
      if (Array.isArray(grown)) grown.splice(0, this.leaves.length, ...(this.leaves as string[]));
      else (grown as { set(from: TensorArray): void }).set(this.leaves as TensorArray);
      this.leaves = grown;
    }
    scatter(this.leaves, data, this.output.type, undefined, end - count, count);
  }
}
