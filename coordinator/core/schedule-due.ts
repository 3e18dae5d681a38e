/**
 * What time brings about for schedules: runs that are due, by the calendar or by what was seen of
 * data sets, tries whose wait is over, runs whose time is up, and how far backfills can go on. Never:
 * reads a clock, changes the state.
 */
import { nextRun, type DataInterval } from '../../shared/calendar/intervals.js';
import { assetRunIdOf, runIdOf } from '../../shared/schedule-variables.js';
import { dueBackfill, hasRoom } from './backfill.js';
import { assetInterval } from './schedule-assets.js';
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
  const full = isFull(schedule);
  if (!full && assetInterval(schedule)) return nowMs;
  const firing =
    full && !mayBeLate(schedule) ? undefined : nextFiring(schedule, schedule.last, nowMs);
  return Math.min(...limits, firing?.endMs ?? Infinity);
}

/** Runs that the schedule makes by itself: every one whose time has come and that has its place. */
function dueFirings(schedule: ScheduleState, nowMs: number): RunMade[] {
  const { definition, name } = schedule;
  const { maxActiveRuns, overlap, startWithinMs = Infinity } = definition;
  const about = { type: 'run.made', scheduleId: schedule.id, order: '', nowMs } as const;
  const made: RunMade[] = [];
  let unfinished = unfinishedOf(schedule);
  let { last } = schedule;
  const place = (
    run: Pick<RunMade, 'runId' | 'interval' | 'kind'>,
    late: boolean,
  ): 'made' | 'waits' => {
    const full = unfinished >= maxActiveRuns;
    // It stays due; without catchup, only the latest does.
    if (!late && full && overlap === 'wait') return 'waits';
    const skipped = late ? 'late' : full && overlap === 'skip' ? 'overlap' : undefined;
    made.push({ ...about, ...run, ...(skipped ? { skipped } : {}) });
    // One that takes another's place leaves as many as there were.
    if (!skipped && !full) unfinished += 1;
    return 'made';
  };
  while (made.length < madeAtOnce) {
    const interval = nextFiring(schedule, last, nowMs);
    if (!interval || interval.endMs > nowMs) break;
    const runId = runIdOf(name, interval.startMs);
    const late = nowMs - interval.endMs > startWithinMs;
    if (place({ runId, interval, kind: 'scheduled' }, late) === 'waits') break;
    last = interval;
  }
  const interval = assetInterval(schedule);
  if (!interval) return made;
  place({ runId: assetRunIdOf(name, interval.startMs), interval, kind: 'asset' }, false);
  return made;
}

function nextFiring(
  { definition }: ScheduleState,
  last: DataInterval | undefined,
  nowMs: number,
): DataInterval | undefined {
  return definition.timetable && nextRun(definition.timetable, last, nowMs);
}

/** Whether the schedule itself makes no run until another has ended. */
function isFull(schedule: ScheduleState): boolean {
  const { maxActiveRuns, overlap } = schedule.definition;
  return overlap === 'wait' && unfinishedOf(schedule) >= maxActiveRuns;
}

/** Whether a run that has no place may come to be skipped for that. */
function mayBeLate({ definition }: ScheduleState): boolean {
  return definition.startWithinMs !== undefined;
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
  for (const { id: callId, atMs } of schedule.calls.values()) {
    const about = { scheduleId: schedule.id, callId };
    if (atMs === undefined) continue;
    yield { atMs, event: (nowMs) => ({ type: 'webhook.due', ...about, nowMs }) };
  }
}

function retryAt({ phase }: RunState): number | undefined {
  return phase.kind === 'retrying' ? phase.atMs : undefined;
}
