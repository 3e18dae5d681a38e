/** What time brings about: events for time limits that have passed. Never: reads a clock. */
import type { Event } from './events.js';
import type { State } from './state.js';
import { runningTask } from './task.js';

/** Costs a look at every job and every running attempt. */
export function due(state: State, nowMs: number): Event[] {
  const events: Event[] = [];
  for (const limit of timeLimits(state)) if (limit.atMs <= nowMs) events.push(limit.event(nowMs));
  return events;
}

/** When `due` will have something to say, if nothing happens before. */
export function nextDue(state: State): number | undefined {
  let next: number | undefined;
  for (const { atMs } of timeLimits(state)) if (next === undefined || atMs < next) next = atMs;
  return next;
}

interface TimeLimit {
  readonly atMs: number;
  event(nowMs: number): Event;
}

function* timeLimits(state: State): Generator<TimeLimit> {
  for (const job of state.jobs.values()) {
    const { timeoutMs } = job.run;
    if (timeoutMs === undefined || job.phase.kind !== 'running') continue;
    yield {
      atMs: job.submittedMs + timeoutMs,
      event: (nowMs) => ({
        type: 'job.failed',
        jobId: job.id,
        failure: {
          kind: 'resource',
          code: 'E_JOB_TIMEOUT',
          message: `the job did not finish within ${timeoutMs} ms`,
          hint: 'raise run.timeout; what is finished will be reused',
        },
        nowMs,
      }),
    };
  }
  for (const worker of state.workers.values()) {
    for (const attempt of worker.attempts.values()) {
      const taskTimeoutMs = state.jobs.get(attempt.jobId)?.run.taskTimeoutMs;
      if (taskTimeoutMs === undefined) continue;
      const running = runningTask(state, attempt);
      if (!running || running.cancelling || running.history.missing === 0) continue;
      yield {
        atMs: running.startedMs + taskTimeoutMs,
        event: (nowMs) => ({ type: 'attempt.timedOut', attempt, nowMs }),
      };
    }
  }
}
