/**
 * What keeps a queued run from starting: the one predicate by which runs start, and by which people
 * are told why one does not. Never: stores an answer.
 */
import { isUnderWay, runBefore, type RunState, type ScheduleState } from './schedule-state.js';

export type Hindrance =
  | { readonly reason: 'paused' }
  /** So many of these runs may be under way, and are. */
  | { readonly reason: 'full'; readonly runs: readonly RunState[] }
  /** The run before has to succeed first. */
  | { readonly reason: 'past'; readonly run: RunState };

export function hindranceOf(schedule: ScheduleState, run: RunState): Hindrance | undefined {
  if (schedule.paused) return { reason: 'paused' };
  const beside = [...schedule.runs.values()].filter(
    (other) => other.backfillId === run.backfillId && isUnderWay(other),
  );
  if (beside.length >= roomFor(schedule, run.backfillId)) return { reason: 'full', runs: beside };
  if (!schedule.definition.dependsOnPast || run.kind === 'manual') return undefined;
  const before = runBefore(schedule, run);
  const settled = !before || ['succeeded', 'skipped'].includes(before.phase.kind);
  return settled ? undefined : { reason: 'past', run: before };
}

/** How many runs may be under way at a time: a backfill has a number of its own. */
function roomFor(schedule: ScheduleState, backfillId: string | undefined): number {
  const backfill = backfillId === undefined ? undefined : schedule.backfills.get(backfillId);
  return (backfill ?? schedule.definition).maxActiveRuns;
}
