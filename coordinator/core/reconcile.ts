/**
 * What is to be done after a replay, which discards effects: derived from where each job stands.
 * Never: trusts that a worker still runs what the journal says; its hello, or silence, decides.
 */
import type { Effect } from './effects.js';
import type { AttemptEnded } from './events.js';
import type { ScheduleState } from './schedule-state.js';
import { isEnded, type JobState, type State } from './state.js';
import { lostAttempt, runningAttempts } from './worker.js';

/** Effects that may have been lost with the process before; all may safely run twice. */
export function reconcile(state: State): Effect[] {
  const effects: Effect[] = [];
  for (const job of state.jobs.values()) effects.push(...pending(job));
  for (const schedule of state.schedules.values()) effects.push(...unanswered(schedule));
  return effects;
}

function pending(job: JobState): Effect[] {
  if (isEnded(job.phase)) return [{ type: 'jobEnded', jobId: job.id }];
  if (job.phase.kind === 'committing') {
    return [{ type: job.phase.manifests ? 'publish' : 'freezeCommit', jobId: job.id }];
  }
  if (job.phase.kind === 'stopping') return [];
  return job.stages
    .filter((stage) => stage.phase === 'sizing')
    .map((stage) => ({ type: 'planStage', jobId: job.id, stageId: stage.id }));
}

function unanswered(schedule: ScheduleState): Effect[] {
  const { id: scheduleId, runs, calls, deleted } = schedule;
  if (deleted) return [{ type: 'scheduleDeleted', scheduleId }];
  const made = [...calls.values()].filter(({ atMs }) => atMs === undefined);
  const told = made.map(({ id }): Effect => ({ type: 'callWebhook', scheduleId, callId: id }));
  const asked = [...runs.values()].flatMap(({ id: runId, phase }): Effect[] => {
    const about = { scheduleId, runId };
    if (phase.kind === 'running') return [{ type: 'startRun', ...about }];
    if (phase.kind !== 'stopping') return [];
    return [
      { type: 'startRun', ...about },
      { type: 'cancelRun', ...about },
    ];
  });
  return [...asked, ...told];
}

/** For attempts whose workers have not come back within the grace period after a start. */
export function lostAfterRestart(state: State, nowMs: number): AttemptEnded[] {
  return runningAttempts(state)
    .filter(({ workerId }) => !state.workers.has(workerId))
    .map(({ ref, workerId }) => lostAttempt(ref, workerId, false, nowMs));
}
