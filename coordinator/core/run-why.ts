/** Why a run of a schedule has no job, in one line: derived when asked. Never: changes anything. */
import type { WhyView } from '../../shared/views.js';
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

/** Why no job could be made, as when there was nothing to read. */
function neverAJob({ phase, jobId }: RunState): string | undefined {
  if (jobId !== undefined || phase.kind !== 'failed') return undefined;
  return `${phase.failure.code}: ${phase.failure.message}`;
}
