/** Measures how fast jobs go: rows per second over a sliding window. Forgets ended jobs. */
import type { JobId } from '../shared/ids.js';
import type { JobState } from './core/state.js';

interface Sample {
  readonly timeMs: number;
  readonly rows: number;
}

const windowMs = 10_000;

export class ProgressMeter {
  private readonly samples = new Map<JobId, Sample[]>();
  private inChunks = new Map<string, number>();

  /** Rows of unfinished chunks, by job, as the workers' last heartbeats had it. */
  underWay(rows: ReadonlyMap<string, number>): void {
    this.inChunks = new Map(rows);
  }

  sample(job: JobState, timeMs: number): void {
    const list = this.samples.get(job.id) ?? [];
    list.push({ timeMs, rows: this.rowsDone(job) });
    while (list.length > 2 && timeMs - list[0]!.timeMs > windowMs) list.shift();
    this.samples.set(job.id, list);
  }

  forget(id: JobId): void {
    this.samples.delete(id);
  }

  /** Rows done, those inside running chunks included. */
  rowsDone(job: JobState): number {
    const most = job.counts.rowsTotal;
    return Math.min(most, job.counts.rowsDone + (this.inChunks.get(job.id) ?? 0));
  }

  rate(job: JobState): { rowsDone: number; rowsPerSecond: number } {
    const list = this.samples.get(job.id) ?? [];
    const first = list[0];
    const last = list[list.length - 1];
    const seconds = first && last ? (last.timeMs - first.timeMs) / 1000 : 0;
    const rowsPerSecond = first && last && seconds > 0 ? (last.rows - first.rows) / seconds : 0;
    return { rowsDone: this.rowsDone(job), rowsPerSecond: Math.max(0, rowsPerSecond) };
  }
}
