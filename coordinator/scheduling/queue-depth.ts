/**
 * How many attempts a worker may have waiting beside those it runs, so that no slot waits for the
 * way to the coordinator and back: as many as a slot does in a blink, at least the next one where
 * that way would be a good part of a task, none for tasks that take a while; and never more than a
 * slot's share of what is left, so that the last ones never queue behind each other. Pure.
 */
import type { StageState } from '../core/state.js';

export interface QueueDepths {
  /** The largest `of` any stage. */
  readonly most: number;
  /** Attempts of this stage that each slot may have queued. */
  of(stage: StageState): number;
}

export const noQueue: QueueDepths = { most: 0, of: () => 0 };

/** About the longest that a short task waits for others behind which it was queued. */
const waitMs = 100;
/** Tasks that take longer than this gain little from having the next one at hand. */
const nextMs = 500;
/** Ends of a stage's attempts are counted for at least so long. */
const windowMs = 100;
const depthMax = 64;

interface Pace {
  sinceMs: number;
  ended: number;
  /** Of the last whole window. */
  perMs: number;
}

/** Watches attempts end well. Stages that have gone quiet are forgotten. */
export class QueueDepth {
  private readonly paces = new Map<StageState, Pace>();

  attemptEnded(stage: StageState, nowMs: number): void {
    let pace = this.paces.get(stage);
    if (!pace) {
      pace = { sinceMs: nowMs, ended: 0, perMs: 0 };
      this.paces.set(stage, pace);
    }
    pace.ended += 1;
    const elapsedMs = nowMs - pace.sinceMs;
    if (elapsedMs < windowMs) return;
    Object.assign(pace, { perMs: pace.ended / elapsedMs, sinceMs: nowMs, ended: 0 });
  }

  /** @param slots of all workers together */
  depths(nowMs: number, slots: number): QueueDepths {
    if (this.paces.size === 0 || slots === 0) return noQueue;
    const depths = new Map<StageState, number>();
    let most = 0;
    for (const [stage, pace] of this.paces) {
      const perSlotMs = perMsNow(pace, nowMs) / slots;
      const useful = Math.floor(perSlotMs * waitMs) || Math.min(1, Math.floor(perSlotMs * nextMs));
      const depth = Math.min(depthMax, useful, Math.floor(untouched(stage) / slots));
      if (depth === 0) {
        if (nowMs - pace.sinceMs > 10 * windowMs) this.paces.delete(stage);
        continue;
      }
      depths.set(stage, depth);
      most = Math.max(most, depth);
    }
    return most === 0 ? noQueue : { most, of: (stage) => depths.get(stage) ?? 0 };
  }
}

/** Tasks never dispatched; fewer where attempts still run whose chunks are all done. */
function untouched({ taskStarts, tasksDone, tasks }: StageState): number {
  return Math.max(0, taskStarts.length - tasksDone - tasks.size);
}

/** The last window's pace, or less where the one under way goes slower already. */
function perMsNow({ perMs, ended, sinceMs }: Pace, nowMs: number): number {
  const elapsedMs = nowMs - sinceMs;
  return elapsedMs > windowMs ? Math.min(perMs, ended / elapsedMs) : perMs;
}
