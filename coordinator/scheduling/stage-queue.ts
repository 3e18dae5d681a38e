/**
 * The tasks of one stage in the order in which placement takes them, read without changing the
 * state: suspects first, then retries, then tasks never tried. Lives for one call of `place`.
 */
import type { JobState, StageState } from '../core/state.js';
import { eligibleTasks } from '../core/waiting.js';

export class StageQueue {
  /** Suspects: each must run alone on a worker. */
  private readonly alone: number[] = [];
  private readonly retries: number[] = [];
  private range = 0;
  private at: number;

  /** @param most no more tasks than that will be taken */
  constructor(
    readonly job: JobState,
    readonly index: number,
    readonly stage: StageState,
    nowMs: number,
    most: number,
  ) {
    this.at = stage.untouched[0]?.from ?? 0;
    if (stage.waiting.length === 0) return;
    for (const task of eligibleTasks(stage, nowMs, most)) {
      const suspect = stage.tasks.get(task)?.history.alone === true;
      (suspect ? this.alone : this.retries).push(task);
    }
    this.alone.reverse();
    this.retries.reverse();
  }

  get hasSuspect(): boolean {
    return this.alone.length > 0;
  }

  takeSuspect(): number | undefined {
    return this.alone.pop();
  }

  get hasTask(): boolean {
    return this.retries.length > 0 || this.range < this.stage.untouched.length;
  }

  take(): number | undefined {
    const retry = this.retries.pop();
    if (retry !== undefined) return retry;
    const range = this.stage.untouched[this.range];
    if (!range) return undefined;
    const task = this.at;
    this.at += 1;
    if (this.at === range.to) {
      this.range += 1;
      this.at = this.stage.untouched[this.range]?.from ?? 0;
    }
    return task;
  }
}
