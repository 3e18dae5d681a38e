/**
 * What a heartbeat says: how far the attempts are, and what they logged since the last one. Never:
 * anything that has to arrive; that is a report.
 */
import type { Heartbeat } from '../shared/gen/windrow.js';
import { attemptKey, type AttemptRef } from '../shared/ids.js';
import { type ModelRuns, ModelRunsTally } from '../shared/model-runs.js';
import { attemptToWire, modelRunsToWire } from '../shared/wire.js';

interface AttemptRows {
  readonly ref: AttemptRef;
  rows: number;
  /** Rows of chunks that were reported done. */
  reported: number;
  rowsTotal: number;
  doing: string;
}

/** Lines kept between two heartbeats; what comes beyond is dropped, which one more line says. */
const logLinesMax = 1_000;

export class Telemetry {
  private readonly attempts = new Map<string, AttemptRows>();
  private readonly runs = new ModelRunsTally();
  private logs: Heartbeat['logs'] = [];

  constructor(private readonly workerId: string) {}

  progress(ref: AttemptRef, rows: number, rowsTotal: number, doing: string): void {
    Object.assign(this.rowsOf(ref), { rows, rowsTotal, doing });
  }

  chunkReported(ref: AttemptRef, rows: number): void {
    this.rowsOf(ref).reported += rows;
  }

  modelRuns(runs: readonly ModelRuns[]): void {
    for (const each of runs) this.runs.add(each);
  }

  ended(ref: AttemptRef): void {
    this.attempts.delete(attemptKey(ref));
  }

  log(ref: AttemptRef, level: string, text: string): void {
    if (this.logs.length < logLinesMax) this.push(ref, level, text);
    else if (this.logs.length === logLinesMax) {
      this.push(ref, 'warn', 'more lines came at once than are told');
    }
  }

  get hasLogs(): boolean {
    return this.logs.length > 0;
  }

  /** Log lines and runs of models are handed out once. */
  heartbeat(): Heartbeat {
    const { logs } = this;
    this.logs = [];
    return {
      rssBytes: process.memoryUsage.rss(),
      progress: [...this.attempts.values()].map(({ ref, rows, reported, rowsTotal, doing }) => ({
        attempt: attemptToWire(ref),
        // Reported chunks are counted by the coordinator already.
        rows: Math.max(0, rows - reported),
        rowsTotal,
        doing,
      })),
      logs,
      modelRuns: this.runs.take().map(modelRunsToWire),
    };
  }

  private push(ref: AttemptRef, level: string, text: string): void {
    const line = `${attemptKey(ref)} ${text}`;
    this.logs.push({ timeMs: Date.now(), level, workerId: this.workerId, text: line, seq: 0 });
  }

  private rowsOf(ref: AttemptRef): AttemptRows {
    const key = attemptKey(ref);
    let known = this.attempts.get(key);
    if (!known) {
      known = { ref, rows: 0, reported: 0, rowsTotal: 0, doing: 'starting' };
      this.attempts.set(key, known);
    }
    return known;
  }
}
