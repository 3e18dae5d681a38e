/**
 * What the functions inside a running statement write to: the tally of the chunk, the first error
 * with all its details, and the cancel flag. One a thread; its tally is exchanged for each run.
 */
import type { DuckDBDataChunk } from '@duckdb/node-api';
import { fail, WindrowError } from '../../shared/failure.js';
import { ModelRunsTally } from '../../shared/model-runs.js';
import { unlessAborted } from '../../shared/unless-aborted.js';
import { Printed } from '../functions/printed.js';
import { controlWord } from './protocol.js';

/** A row that was dropped as bad. `row` is -1 where it has no number in a file any more. */
export interface DeadRow {
  readonly row: number;
  readonly step: string;
  readonly code: string;
  readonly message: string;
}

/** Measured by the operators that drop rows, while they do so. */
export class Tally {
  filtered = 0;
  readonly warnings: Record<string, number> = {};
  readonly dead: DeadRow[] = [];

  warn(check: string, rows: number): void {
    if (rows > 0) this.warnings[check] = (this.warnings[check] ?? 0) + rows;
  }
}

export class Scope {
  tally = new Tally();
  /** DuckDB passes on an error's text alone; this is the error itself. */
  error: WindrowError | undefined;
  control = new Int32Array(new SharedArrayBuffer(4));
  /** Of all statements, failed ones included, until they are told. */
  readonly modelRuns = new ModelRunsTally();
  readonly printed = new Printed();
  /** Aborted with what a function threw outside of its calls; then the thread ends. */
  readonly stray = new AbortController();
  /** Told how many rows a function has seen in this statement. */
  onRows: (rows: number) => void = () => undefined;

  /** A fresh tally for one run. */
  begin(): Tally {
    this.tally = new Tally();
    this.error = undefined;
    return this.tally;
  }

  get cancelled(): boolean {
    return Atomics.load(this.control, 0) === controlWord.cancel;
  }

  /** The worker is leaving: the chunk under way is finished, the next one is another worker's. */
  throwIfDraining(): void {
    if (Atomics.load(this.control, 0) !== controlWord.drain) return;
    fail('workerLost', 'E_WORKER_DRAINED', 'the worker is leaving; another one goes on');
  }

  throwIfCancelled(): void {
    if (this.cancelled) throw cancelError();
  }

  /** What a function promises, which nobody waits for once the thread is to end. */
  unlessStray<Value>(promise: Promise<Value>): Promise<Value> {
    return unlessAborted(promise, this.stray.signal);
  }

  /** Wraps a function that DuckDB calls: cancel is noticed, errors are kept whole. */
  guarded<Out>(main: (chunk: DuckDBDataChunk, out: Out) => void): typeof main {
    let tally: Tally | undefined;
    let seen = 0;
    return (chunk, out) => {
      try {
        this.throwIfCancelled();
        main(chunk, out);
      } catch (error) {
        if (error instanceof WindrowError) this.error ??= error;
        throw error;
      }
      seen = tally === this.tally ? seen + chunk.rowCount : chunk.rowCount;
      tally = this.tally;
      this.onRows(seen);
    };
  }
}

export function cancelError(): WindrowError {
  return new WindrowError({
    kind: 'cancelled',
    code: 'E_CANCELLED',
    message: 'the attempt was cancelled',
  });
}
