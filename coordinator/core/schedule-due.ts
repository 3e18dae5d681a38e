/**
 * What time brings about for schedules: runs that are due, tries whose wait is over, runs whose time
 * is up, and how far backfills can go on. Never: reads a clock, changes the state.
 */
import { nextRun, type DataInterval } from '../../shared/calendar/intervals.js';
import { runIdOf } from '../../shared/schedule-variables.js';
import { dueBackfill, hasRoom } from './backfill.js';
import type { RunMade, ScheduleEvent } from './schedule-events.js';
import { isFinished, type RunState, type ScheduleState } from './schedule-state.js';
import type { State } from './state.js';

/** What came due of a long past is made in portions, so that others are heard in between. */
const madeAtOnce = 100;

/** Costs little for schedules that have nothing to do yet. */
export function dueRuns(state: State, nowMs: number): ScheduleEvent[] {
  const events: ScheduleEvent[] = [];
  for (const schedule of state.schedules.values()) {
    if (schedule.wakeMs > nowMs) continue;
    for (const limit of timeLimits(schedule))
      if (limit.atMs <= nowMs) events.push(limit.event(nowMs));
    if (schedule.paused || schedule.deleted) continue;
    events.push(...dueFirings(schedule, nowMs));
    for (const backfill of schedule.backfills.values()) {
      events.push(...dueBackfill(schedule, backfill, nowMs));
    }
  }
  return events;
}

/** When `dueRuns` will have something to say of a schedule, if nothing happens before. */
export function wakeOf(schedule: ScheduleState, nowMs: number): number {
  if (schedule.deleted) return Infinity;
  const limits = [...timeLimits(schedule)].map(({ atMs }) => atMs);
  if (schedule.paused) return Math.min(...limits, Infinity);
  if ([...schedule.backfills.values()].some(hasRoom)) return nowMs;
  const firing = isFull(schedule) ? undefined : nextFiring(schedule, schedule.last, nowMs);
  return Math.min(...limits, firing?.endMs ?? Infinity);
}

/** Runs that the schedule makes by itself: every one whose time has come and that has its place. */
function dueFirings(schedule: ScheduleState, nowMs: number): RunMade[] {
  const { definition, name } = schedule;
  const made: RunMade[] = [];
  let unfinished = unfinishedOf(schedule);
  let { last } = schedule;
  while (made.length < madeAtOnce) {
    const interval = nextFiring(schedule, last, nowMs);
    if (!interval || interval.endMs > nowMs) break;
    const late = nowMs - interval.endMs > (definition.startWithinMs ?? Infinity);
    const full = unfinished >= definition.maxActiveRuns;
    // It stays due; without catchup, only the latest does.
    if (!late && full && definition.overlap === 'wait') break;
    const skipped = late ? 'late' : full && definition.overlap === 'skip' ? 'overlap' : undefined;
    made.push({
      type: 'run.made',
      scheduleId: schedule.id,
      runId: runIdOf(name, interval.startMs),
      interval,
      kind: 'scheduled',
      ...(skipped ? { skipped } : {}),
      order: '',
      nowMs,
    });
    // One that takes another's place leaves as many as there were.
    if (!skipped && !full) unfinished += 1;
    last = interval;
  }
  return made;
}

function nextFiring(
  { definition }: ScheduleState,
  last: DataInterval | undefined,
  nowMs: number,
): DataInterval | undefined {
  return nextRun(definition.timetable, last, nowMs);
}

/** Whether the schedule itself makes no run until another has ended. */
function isFull(schedule: ScheduleState): boolean {
  const { maxActiveRuns, overlap, startWithinMs } = schedule.definition;
  return (
    overlap === 'wait' && startWithinMs === undefined && unfinishedOf(schedule) >= maxActiveRuns
  );
}

/** Those that count towards `maxActiveRuns`. */
export function unfinishedOf({ runs }: ScheduleState): number {
  let count = 0;
  for (const run of runs.values()) if (run.backfillId === undefined && !isFinished(run)) count += 1;
  return count;
}

interface TimeLimit {
  readonly atMs: number;
  event(nowMs: number): ScheduleEvent;
}

function* timeLimits(schedule: ScheduleState): Generator<TimeLimit> {
  const { timeoutMs } = schedule.definition;
  for (const run of schedule.runs.values()) {
    if (isFinished(run)) continue;
    const about = { scheduleId: schedule.id, runId: run.id };
    if (timeoutMs !== undefined && run.startedMs !== undefined && run.phase.kind !== 'stopping') {
      yield {
        atMs: run.startedMs + timeoutMs,
        event: (nowMs) => ({ type: 'run.timedOut', ...about, nowMs }),
      };
    }
    const retryMs = retryAt(run);
    if (retryMs === undefined) continue;
    yield { atMs: retryMs, event: (nowMs) => ({ type: 'run.retried', ...about, nowMs }) };
  }
}

function retryAt({ phase }: RunState): number | undefined {
  return phase.kind === 'retrying' ? phase.atMs : undefined;
}
