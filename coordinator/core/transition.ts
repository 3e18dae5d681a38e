/**
 * The whole core in one function: an event in, the state moved on, effects out. Synchronous and
 * deterministic; never touches a clock, a disk or a worker.
 */
import type { JobId } from '../../shared/ids.js';
import type { Effect } from './effects.js';
import type { Event } from './events.js';
import { IllegalTransition } from './illegal.js';
import {
  commitDone,
  commitFrozen,
  jobCancel,
  jobFailed,
  jobQueryPlanned,
  jobStagePlanned,
  jobSubmitted,
} from './job.js';
import { scheduleTransition } from './schedule.js';
import { isEnded, type State } from './state.js';
import { attemptEnded, attemptStarted, attemptTimedOut, chunkDone, chunkLost } from './task.js';
import {
  workerDisconnected,
  workerDrain,
  workerExited,
  workerHello,
  workerLeaseExpired,
} from './worker.js';

/**
 * Mutates `state`. The caller makes the event (if `isDurable`) and every `record` effect durable
 * before it runs the other effects.
 * @throws IllegalTransition before anything has changed
 */
export function transition(state: State, event: Event): Effect[] {
  const effects: Effect[] = [];
  apply(state, event, effects);
  return effects;
}

function apply(state: State, event: Event, effects: Effect[]): void {
  switch (event.type) {
    case 'chunk.done':
      return chunkDone(state, event, effects);
    case 'attempt.ended':
      return attemptEnded(state, event, effects);
    case 'attempt.started':
      return attemptStarted(state, event, effects);
    case 'attempt.timedOut':
      return attemptTimedOut(state, event, effects);
    case 'chunk.lost':
      return chunkLost(state, event, effects);
    case 'stage.planned':
      return jobStagePlanned(state, event, effects);
    case 'query.planned':
      return jobQueryPlanned(state, event, effects);
    case 'job.submitted':
      return jobSubmitted(state, event, effects);
    case 'job.cancel':
      return jobCancel(state, event, effects);
    case 'job.failed':
      return jobFailed(state, event, effects);
    case 'commit.frozen':
      return commitFrozen(state, event, effects);
    case 'commit.done':
      return commitDone(state, event, effects);
    case 'worker.hello':
      return workerHello(state, event, effects);
    case 'worker.exited':
      return workerExited(state, event, effects);
    case 'worker.leaseExpired':
      return workerLeaseExpired(state, event, effects);
    case 'worker.disconnected':
      return workerDisconnected(state, event);
    case 'worker.drain':
      return workerDrain(state, event, effects);
    default:
      return scheduleTransition(state, event, effects);
  }
}

/** Drops an ended job once it is archived. Late messages about it are ignored from then on. */
export function forget(state: State, jobId: JobId): void {
  const job = state.jobs.get(jobId);
  if (job && !isEnded(job.phase)) {
    throw new IllegalTransition(
      'forgetting',
      `while ${job.phase.kind}`,
      `job ${jobId} has not ended`,
    );
  }
  state.jobs.delete(jobId);
}
