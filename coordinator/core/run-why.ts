/** Why a run of a schedule has no job, in one line: derived when asked. Never: changes anything. */
import type { WhyView } from '../../shared/views.js';
import { assetViews, awaitedText } from './schedule-assets.js';
import type { RunState } from './schedule-state.js';
import { becauseOf } from './schedule-views.js';
import type { State } from './state.js';

/** Undefined where there is no such run, or its job can say more. */
export function whyRun(state: State, runId: string): WhyView | undefined {
  for (const schedule of state.schedules.values()) {
    const run = schedule.runs.get(runId);
    const because = run ? (becauseOf(schedule, run) ?? neverAJob(run)) : undefined;
    if (!run || because === undefined) continue;
    return {
      answer: `run ${runId} is ${run.phase.kind}: ${because}`,
      detail: { reason: run.phase.kind, schedule: schedule.name },
    };
  }
  return undefined;
}

/** Which data sets the next run of a schedule waits for; undefined where it waits for none. */
export function whySchedule(state: State, name: string): WhyView | undefined {
  const all = [...state.schedules.values()];
  const schedule = all.find((each) => each.name === name && !each.deleted);
  if (!schedule?.assets) return undefined;
  const awaited = awaitedText(schedule);
  const unseen = assetViews(schedule).find(({ failure }) => failure);
  const trouble = unseen ? `; ${unseen.name} cannot be looked at: ${unseen.failure!.message}` : '';
  const answer = schedule.paused
    ? `schedule ${name} is paused`
    : awaited === undefined
      ? `schedule ${name} makes a run as soon as it has room for one`
      : `schedule ${name} waits for changes of ${awaited}${trouble}`;
  return { answer, detail: { reason: 'assets', schedule: name } };
}

/** Why no job could be made, as when there was nothing to read. */
function neverAJob({ phase, jobId }: RunState): string | undefined {
  if (jobId !== undefined || phase.kind !== 'failed') return undefined;
  return `${phase.failure.code}: ${phase.failure.message}`;
}
