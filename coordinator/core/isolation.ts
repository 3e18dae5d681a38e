/**
 * Finds the row that kills workers: after three deaths a task goes on one chunk at a time, the
 * chunk that kills is cut in halves by probes (which write nothing), and the last row is confirmed
 * by a probe of its own. Never: decides what becomes of the row; that is task.ts.
 *
 *   3 deaths ──> one chunk at a time ──crash──> halves [lo, hi) ──> one row left ──crash──> found
 *                        ^                                              └──passed──> inconclusive
 *                        └───────────────── row dead-lettered ─────────────────────────────┘
 */
import type { SourceRange, StagePlan } from '../../shared/plan.js';
import { sourceChunks } from '../planner/splits.js';
import type { Probe, StageState, TaskHistory } from './state.js';
import { firstMissing } from './stage.js';

/** Counted deaths of a worker under one task before it is taken apart. */
export const deathsToIsolate = 3;

export function isIsolated(history: TaskHistory): boolean {
  return history.deaths >= deathsToIsolate;
}

/** What the next attempt of a waiting task is restricted to, if to anything. */
export function restriction(
  stage: StageState,
  task: number,
  history: TaskHistory,
): { probe?: Probe; only?: number } {
  if (!isIsolated(history)) return {};
  if (history.isolating) return { probe: nextProbe(history.isolating) };
  const only = firstMissing(stage, task);
  return only === undefined ? {} : { only };
}

function nextProbe(range: { chunk: number; lo: number; hi: number }): Probe {
  const middle = range.hi - range.lo > 1 ? (range.lo + range.hi) >> 1 : range.hi;
  return { chunk: range.chunk, rowStart: range.lo, rowEnd: middle };
}

/** The rows of a chunk in its file; undefined where a chunk has no rows of a file of its own. */
export function chunkRange(plan: StagePlan, chunk: number): SourceRange | undefined {
  const range = plan.input.kind === 'source' ? sourceChunks(plan.input)[chunk] : undefined;
  return range && range.rowEnd > range.rowStart ? range : undefined;
}

export function startBisecting(history: TaskHistory, chunk: number, range: SourceRange): void {
  history.isolating = { chunk, lo: range.rowStart, hi: range.rowEnd };
}

/** A probe killed its worker. Returns the row once it is certain. */
export function probeCrashed(history: TaskHistory, probe: Probe): number | undefined {
  if (probe.rowEnd - probe.rowStart === 1) {
    delete history.isolating;
    return probe.rowStart;
  }
  history.isolating = { chunk: probe.chunk, lo: probe.rowStart, hi: probe.rowEnd };
  return undefined;
}

/** A probe went through. Returns true when no single row of the chunk kills. */
export function probePassed(history: TaskHistory, probe: Probe): boolean {
  const range = history.isolating;
  if (range && probe.rowEnd < range.hi) {
    history.isolating = { chunk: probe.chunk, lo: probe.rowEnd, hi: range.hi };
    return false;
  }
  // The deaths had another cause, such as memory or someone's kill: start counting afresh.
  delete history.isolating;
  history.deaths = 0;
  return true;
}
