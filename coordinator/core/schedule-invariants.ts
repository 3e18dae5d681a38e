/** What must always hold of schedules, by number (docs/STATE-MACHINES.md). Never: repairs. */
import { runIdOf } from '../../shared/schedule-variables.js';
import { holds } from './holds.js';
import {
  isFinished,
  type BackfillState,
  type RunState,
  type ScheduleState,
} from './schedule-state.js';
import { hindranceOf } from './schedule-waiting.js';

/** @throws WindrowError E_INVARIANT naming the number of the first invariant that does not hold */
export function checkSchedule(schedule: ScheduleState): void {
  for (const [id, run] of schedule.runs) {
    const expected = runIdOf(schedule.name, run.interval.startMs);
    const named = id === run.id && (run.kind === 'manual' || id === expected);
    holds(14, named, () => `run ${id} of ${schedule.name} is not the one of its interval`);
    checkRun(schedule, run);
  }
  for (const backfill of schedule.backfills.values()) checkBackfill(schedule, backfill);
}

function checkRun(schedule: ScheduleState, run: RunState): void {
  const where = (): string => `run ${run.id} is ${run.phase.kind}`;
  holds(15, isFinished(run) === (run.endedMs !== undefined), () => `${where()}, end time wrong`);
  const tried = run.tries > 0 === (run.startedMs !== undefined);
  holds(15, tried, () => `${where()}, tried ${run.tries} times`);
  const ready = run.phase.kind === 'queued' && !hindranceOf(schedule, run);
  holds(16, !ready || schedule.deleted, () => `${where()} and waits for nothing`);
  const { last } = schedule;
  const late = run.kind !== 'scheduled' || (last && run.interval.endMs <= last.endMs) === true;
  holds(17, late, () => `${where()}, and the schedule does not know that it made it`);
}

function checkBackfill(schedule: ScheduleState, backfill: BackfillState): void {
  const { id, counts, phase, exhausted, total } = backfill;
  const own = [...schedule.runs.values()].filter((run) => run.backfillId === id);
  const unfinished = own.filter((run) => !isFinished(run)).length;
  const counted = `${unfinished} unfinished, ${counts.unfinished} counted`;
  holds(18, unfinished === counts.unfinished, () => `backfill ${id}: ${counted}`);
  const seen = Object.values(counts).reduce((sum, count) => sum + count, 0);
  holds(18, seen <= total, () => `backfill ${id}: ${seen} of ${total} intervals`);
  const done = phase === 'succeeded' || phase === 'failed' || phase === 'cancelled';
  holds(18, !done || unfinished === 0, () => `backfill ${id} is ${phase}, ${counted}`);
  const over = exhausted && unfinished === 0;
  holds(18, phase !== 'running' || !over, () => `backfill ${id} runs with nothing left to do`);
}
