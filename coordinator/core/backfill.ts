/**
 * Backfills: the runs of a range of the past, so many at a time, each interval looked at once. Never:
 * starts a run; it makes them, and schedule.ts starts what is made.
 */
import { nextRun, previousInterval, type DataInterval } from '../../shared/calendar/intervals.js';
import { runIdOf } from '../../shared/schedule-variables.js';
import type {
  BackfillCancelled,
  BackfillCreated,
  BackfillPassed,
  BackfillStep,
  ScheduleEvent,
} from './schedule-events.js';
import {
  isFinished,
  type BackfillState,
  type RunState,
  type ScheduleState,
} from './schedule-state.js';

/** Intervals of a range that are looked at before others are heard. */
const lookedAtAtOnce = 1000;
/** Ended backfills that are kept for people to look at. */
const endedKept = 20;

/** Whether it can make another run now. */
export function hasRoom({ phase, exhausted, counts, maxActiveRuns }: BackfillState): boolean {
  return phase === 'running' && !exhausted && counts.unfinished < maxActiveRuns;
}

export function backfillCreated(schedule: ScheduleState, event: BackfillCreated): void {
  if (schedule.backfills.has(event.backfillId)) return;
  const { backfillId, timetable, first, last, total, reprocess, maxActiveRuns, reverse } = event;
  schedule.backfills.set(backfillId, {
    id: backfillId,
    createdMs: event.nowMs,
    timetable,
    first,
    last,
    total,
    reprocess,
    maxActiveRuns,
    reverse,
    phase: 'running',
    exhausted: false,
    counts: { passed: 0, unfinished: 0, succeeded: 0, failed: 0, cancelled: 0 },
  });
}

/** The next runs, and how far the range was looked through for them. */
export function dueBackfill(
  schedule: ScheduleState,
  backfill: BackfillState,
  nowMs: number,
): ScheduleEvent[] {
  if (!hasRoom(backfill)) return [];
  const events: ScheduleEvent[] = [];
  const about = { scheduleId: schedule.id, nowMs };
  let room = backfill.maxActiveRuns - backfill.counts.unfinished;
  let reached = backfill.cursor;
  let cursor = reached;
  let passed = 0;
  const step = (): BackfillStep => ({
    id: backfill.id,
    ...(reached ? { afterMs: reached.startMs } : {}),
    passed,
  });
  const at = (): { interval?: DataInterval } => (cursor ? { interval: cursor } : {});
  for (let looked = 0; room > 0; looked += 1) {
    const interval = nextOf(backfill, cursor);
    if (!interval || looked === lookedAtAtOnce) {
      const done = interval === undefined;
      events.push({ type: 'backfill.passed', ...about, step: step(), ...at(), done });
      break;
    }
    cursor = interval;
    const runId = runIdOf(schedule.name, interval.startMs);
    if (!wants(backfill, schedule.runs.get(runId))) {
      passed += 1;
      continue;
    }
    const order = backfill.reprocess === 'none' ? '' : backfill.id;
    const backfillStep = step();
    events.push({
      type: 'run.made',
      ...about,
      runId,
      interval,
      kind: 'backfill',
      order,
      backfill: backfillStep,
    });
    reached = interval;
    passed = 0;
    room -= 1;
  }
  return events;
}

function nextOf(
  { timetable, reverse, first, last }: BackfillState,
  cursor: DataInterval | undefined,
): DataInterval | undefined {
  if (!cursor) return reverse ? last : first;
  if (reverse) return previousInterval(timetable, cursor);
  return nextRun(timetable, cursor, cursor.endMs);
}

/** Whether an interval is to be run, given the run that it has or had. */
function wants({ reprocess }: BackfillState, run: RunState | undefined): boolean {
  if (!run || run.phase.kind === 'skipped') return true;
  if (!isFinished(run)) return false;
  if (run.phase.kind === 'succeeded') return reprocess === 'completed';
  return reprocess !== 'none';
}

/** Moves on to an interval; false for a step that was taken already. */
export function advanceTo(
  backfill: BackfillState | undefined,
  step: BackfillStep,
  interval: DataInterval | undefined,
): boolean {
  if (backfill?.phase !== 'running' || backfill.exhausted) return false;
  if (backfill.cursor?.startMs !== step.afterMs) return false;
  if (interval) backfill.cursor = interval;
  backfill.counts.passed += step.passed;
  return true;
}

export function backfillPassed(schedule: ScheduleState, event: BackfillPassed): void {
  const backfill = schedule.backfills.get(event.step.id);
  if (!backfill || !advanceTo(backfill, event.step, event.interval)) return;
  backfill.exhausted = event.done;
  endIfDone(schedule, backfill);
}

/** @param stop ends a run, at once or once its job has ended */
export function backfillCancelled(
  schedule: ScheduleState,
  event: BackfillCancelled,
  stop: (run: RunState) => void,
): void {
  const backfill = schedule.backfills.get(event.backfillId);
  if (backfill?.phase !== 'running') return;
  backfill.phase = 'cancelling';
  for (const run of [...schedule.runs.values()]) {
    if (run.backfillId === backfill.id && !isFinished(run)) stop(run);
  }
  endIfDone(schedule, backfill);
}

/** Counts the end of a backfill's run. */
export function backfillRunEnded(schedule: ScheduleState, run: RunState): void {
  const backfill = schedule.backfills.get(run.backfillId ?? '');
  if (!backfill) return;
  backfill.counts.unfinished -= 1;
  const { kind } = run.phase;
  if (kind === 'succeeded' || kind === 'failed' || kind === 'cancelled') backfill.counts[kind] += 1;
  endIfDone(schedule, backfill);
}

function endIfDone(schedule: ScheduleState, backfill: BackfillState): void {
  const { counts, exhausted, phase } = backfill;
  if (counts.unfinished > 0) return;
  if (phase === 'cancelling') backfill.phase = 'cancelled';
  else if (phase === 'running' && exhausted) {
    backfill.phase = counts.failed + counts.cancelled > 0 ? 'failed' : 'succeeded';
  } else return;
  const ended = [...schedule.backfills.values()].filter(
    (each) => each.phase !== 'running' && each.phase !== 'cancelling',
  );
  for (const { id } of ended.slice(0, -endedKept)) schedule.backfills.delete(id);
}
