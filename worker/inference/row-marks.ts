/**
 * What became of each row of one batch before the model sees it: fit to run, NULL somewhere, or of
 * the wrong shape. Never: what to do about it; predict.ts applies the step's policies.
 */
import { isValid } from './raw-vectors.js';

export const rowFit = 0;
export const rowNull = 1;
export const rowMisshapen = 2;

export interface RowProblem {
  readonly row: number;
  readonly column: string;
  readonly text: string;
}

export class RowMarks {
  /** One of `rowFit`, `rowNull`, `rowMisshapen` for each row. */
  readonly state: Uint8Array;
  /** Why, for rows that are not fit. */
  readonly problems = new Map<number, RowProblem>();
  rows = 0;

  constructor(capacity: number) {
    this.state = new Uint8Array(capacity);
  }

  reset(rows: number): void {
    this.rows = rows;
    this.state.fill(rowFit, 0, rows);
    this.problems.clear();
  }

  /** The first problem found of a row stands. */
  mark(row: number, state: typeof rowNull | typeof rowMisshapen, column: string, text: string) {
    if (this.state[row] !== rowFit) return;
    this.state[row] = state;
    this.problems.set(row, { row, column, text });
  }

  /** Marks every row whose validity bit is off; words that are all ones cost one comparison. */
  markNulls(words: Uint32Array | undefined, column: string): void {
    if (!words) return;
    for (let word = 0; word * 32 < this.rows; word++) {
      if (words[word] === 0xffffffff) continue;
      const end = Math.min(this.rows, word * 32 + 32);
      for (let row = word * 32; row < end; row++) {
        if (!isValid(words, row)) this.mark(row, rowNull, column, `column "${column}" is NULL`);
      }
    }
  }

  first(state: number): RowProblem | undefined {
    let first: RowProblem | undefined;
    for (const problem of this.problems.values()) {
      if (this.state[problem.row] === state && (!first || problem.row < first.row)) first = problem;
    }
    return first;
  }

  /** The fit rows in order, or undefined when all are. */
  fit(): Int32Array | undefined {
    if (this.problems.size === 0) return undefined;
    const rows = new Int32Array(this.rows - this.problems.size);
    let count = 0;
    for (let row = 0; row < this.rows; row++) if (this.state[row] === rowFit) rows[count++] = row;
    return rows;
  }
}
