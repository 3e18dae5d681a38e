/**
 * Why a run has no job that is under way, and what the next run of a schedule waits for, in one line:
 * derived when asked. Never: changes anything.
 */
import { nextRun } from '../../shared/calendar/intervals.js';
import { runIdOf } from '../../shared/schedule-variables.js';
import type { WhyView } from '../../shared/views.js';
import { assetViews, awaitedText } from './schedule-assets.js';
import { isFinished, runNamed, type RunState, type ScheduleState } from './schedule-state.js';
import { becauseOf } from './schedule-views.js';
import type { State } from './state.js';

/** Undefined where there is no such run, or its job can say more: it has succeeded. */
export function whyRun(state: State, runId: string): WhyView | undefined {
  const found = runNamed(state.schedules, runId);
  if (!found) return undefined;
  const { schedule, run } = found;
  const because = becauseOf(schedule, run) ?? jobOrEnd(run);
  if (because === undefined) return undefined;
  return {
    answer: `run ${runId} is ${run.phase.kind}: ${because}`,
    detail: { reason: run.phase.kind, schedule: schedule.name },
  };
}

/** What makes the next run of a schedule, and when. */
export function whySchedule(state: State, name: string, nowMs: number): WhyView | undefined {
  const all = [...state.schedules.values()];
  const schedule = all.find((each) => each.name === name && !each.deleted);
  if (!schedule) return undefined;
  const reason = schedule.assets ? 'assets' : 'calendar';
  const answer = schedule.paused ? 'is paused' : nextText(schedule, nowMs);
  return { answer: `schedule ${name} ${answer}`, detail: { reason, schedule: name } };
}

function nextText(schedule: ScheduleState, nowMs: number): string {
  const { name, definition, last, assets } = schedule;
  const next = definition.timetable && nextRun(definition.timetable, last, nowMs);
  const awaited = awaitedText(schedule);
  const changed = assets !== undefined && awaited === undefined;
  const isDue = next !== undefined && next.endMs <= nowMs;
  if (changed || isDue)
    return `makes a run as soon as it has room for one${unfinishedText(schedule)}`;
  const at =
    next && `${runIdOf(name, next.startMs)}, which starts at ${new Date(next.endMs).toISOString()}`;
  if (assets) {
    const unseen = assetViews(schedule).find(({ failure }) => failure);
    const trouble = unseen
      ? `; ${unseen.name} cannot be looked at: ${unseen.failure!.message}`
      : '';
    return `waits for changes of ${awaited}${at === undefined ? '' : `, or for ${at}`}${trouble}`;
  }
  return at === undefined ? 'has ended: its calendar has no more runs' : `waits for ${at}`;
}

function unfinishedText({ runs }: ScheduleState): string {
  const ids = [...runs.values()].filter((run) => !isFinished(run)).map(({ id }) => id);
  return ids.length === 0 ? '' : `; unfinished: ${ids.join(', ')}`;
}

/** Of a run whose job is on its way, or that has ended: it need not have ended as its last job did. */
function jobOrEnd({ phase, jobId }: RunState): string | undefined {
  switch (phase.kind) {
    case 'running':
    case 'stopping':
      return jobId === undefined ? 'its job is just being made' : `its job ${jobId} has just ended`;
    case 'failed': {
      const last = jobId === undefined ? '' : `; its last job was ${jobId}`;
      return `${phase.failure.code}: ${phase.failure.message}${last}`;
    }
    case 'cancelled':
      return jobId === undefined ? 'it was ended before it had a job' : `its last job was ${jobId}`;
    case 'queued':
    case 'retrying':
    case 'skipped':
    case 'succeeded':
      return undefined;
  }
}
