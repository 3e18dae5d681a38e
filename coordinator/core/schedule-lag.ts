/** How far schedules are behind: since when a run has been due that was not tried yet. Never: a clock. */
import { nextRun } from '../../shared/calendar/intervals.js';
import type { ScheduleState } from './schedule-state.js';
import type { State } from './state.js';

/**
 * For how long the oldest run that is due has been waiting for its first try, ms; 0 where none is.
 * Runs that nobody's calendar made, and those of paused schedules, are not due.
 */
export function scheduleLagMs(state: State, nowMs: number): number {
  let oldestMs = nowMs;
  for (const schedule of state.schedules.values()) {
    if (schedule.paused || schedule.deleted) continue;
    for (const dueMs of dueTimes(schedule, nowMs)) oldestMs = Math.min(oldestMs, dueMs);
  }
  return nowMs - oldestMs;
}

/** Of runs that wait for their place, and of the one that is to be made next. */
function* dueTimes({ definition, runs, last }: ScheduleState, nowMs: number): Generator<number> {
  for (const { kind, phase, tries, interval, reopened } of runs.values()) {
    if (kind !== 'scheduled' || phase.kind !== 'queued') continue;
    if (tries === 0 && !reopened) yield interval.endMs;
  }
  const { timetable } = definition;
  const next = timetable && nextRun(timetable, last, nowMs);
  if (next) yield next.endMs;
}
