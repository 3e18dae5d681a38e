/**
 * One worker process. The end of a stream is not death: only an exit that was seen, an expired
 * lease or a successor of the same name moves its attempts. Never: decides what a loss means for a
 * task; each lost attempt becomes an `attempt.ended`, applied here and recorded for the journal.
 *
 *   (unknown) ──hello──> connected ──disconnected──> disconnected ──hello──> connected
 *                           │ drain                      │
 *                           v                            │ exited, leaseExpired, hello of a
 *                        draining ──(streams may end)────┴─ new incarnation ──> (unknown)
 */
import type { Failure } from '../../shared/failure.js';
import { attemptKey, type AttemptRef, type JobId, type WorkerId } from '../../shared/ids.js';
import type { Effect } from './effects.js';
import type {
  AttemptEnded,
  WorkerDisconnected,
  WorkerDrainRequested,
  WorkerExited,
  WorkerHello,
  WorkerLeaseExpired,
} from './events.js';
import type { State, WorkerState } from './state.js';
import { attemptEnded, runningTask } from './task.js';

export function workerHello(state: State, event: WorkerHello, effects: Effect[]): void {
  const id = event.workerId;
  let before = state.workers.get(id);
  if (before && before.incarnation !== event.incarnation) {
    // Gone without a word, and back: it may have crashed, so what it ran becomes suspect.
    remove(state, before, true, event.nowMs, effects);
    before = undefined;
  }
  const known = before ? [...before.attempts.values()] : attemptsOn(state, id);
  const listed = new Map(event.running.map((ref) => [attemptKey(ref), ref]));
  const worker: WorkerState = {
    id,
    incarnation: event.incarnation,
    pools: event.pools,
    slots: event.slots,
    devices: event.devices,
    host: event.host,
    pid: event.pid,
    ...(event.shuffleAddress === undefined ? {} : { shuffleAddress: event.shuffleAddress }),
    ...(event.shuffleDirectory === undefined ? {} : { shuffleDirectory: event.shuffleDirectory }),
    phase: before?.phase === 'draining' ? 'draining' : 'connected',
    attempts: listed,
    exclusive: false,
  };
  state.workers.set(id, worker);
  for (const ref of listed.values()) {
    const running = runningTask(state, ref);
    const ours = running?.workerId === id;
    if (ours && running.alone) worker.exclusive = true;
    if (ours && !running.cancelling) continue;
    const reason = ours ? 'cancelled while disconnected' : 'nobody waits for it';
    effects.push({ type: 'cancelAttempt', attempt: ref, workerId: id, reason });
  }
  // Everything is dispatched after the hello of its stream: what is not listed never arrived.
  const lost = known.filter((ref) => !listed.has(attemptKey(ref)));
  lose(state, id, lost, false, event.nowMs, effects);
  if (worker.phase === 'draining') effects.push({ type: 'drainWorker', workerId: id });
}

export function workerExited(state: State, event: WorkerExited, effects: Effect[]): void {
  const worker = current(state, event);
  if (worker) remove(state, worker, event.crashed, event.nowMs, effects);
}

export function workerLeaseExpired(
  state: State,
  event: WorkerLeaseExpired,
  effects: Effect[],
): void {
  const worker = current(state, event);
  if (worker) remove(state, worker, false, event.nowMs, effects);
}

export function workerDisconnected(state: State, event: WorkerDisconnected): void {
  const worker = current(state, event);
  if (worker?.phase === 'connected') worker.phase = 'disconnected';
}

export function workerDrain(state: State, event: WorkerDrainRequested, effects: Effect[]): void {
  const worker = state.workers.get(event.workerId);
  if (!worker) return;
  worker.phase = 'draining';
  effects.push({ type: 'drainWorker', workerId: worker.id });
}

/** The worker an event speaks of, unless a newer process has taken its name. */
function current(
  state: State,
  event: { readonly workerId: WorkerId; readonly incarnation: string },
): WorkerState | undefined {
  const worker = state.workers.get(event.workerId);
  return worker?.incarnation === event.incarnation ? worker : undefined;
}

function remove(
  state: State,
  worker: WorkerState,
  crashed: boolean,
  nowMs: number,
  effects: Effect[],
): void {
  state.workers.delete(worker.id);
  lose(state, worker.id, [...worker.attempts.values()], crashed, nowMs, effects);
}

function lose(
  state: State,
  id: WorkerId,
  refs: readonly AttemptRef[],
  crashed: boolean,
  nowMs: number,
  effects: Effect[],
): void {
  const jobs = new Map<JobId, number>();
  for (const ref of refs) {
    if (runningTask(state, ref)?.workerId !== id) continue;
    jobs.set(ref.jobId, (jobs.get(ref.jobId) ?? 0) + 1);
    const event = lostAttempt(ref, id, crashed, nowMs);
    effects.push({ type: 'record', event });
    attemptEnded(state, event, effects);
  }
  for (const [jobId, attempts] of jobs) {
    const data = { worker: id, crashed, attempts };
    effects.push({ type: 'notify', jobId, kind: 'workerLost', timeMs: nowMs, data });
  }
}

export function lostAttempt(
  attempt: AttemptRef,
  workerId: WorkerId,
  crashed: boolean,
  nowMs: number,
): AttemptEnded {
  const failure: Failure = crashed
    ? { kind: 'workerLost', code: 'E_WORKER_CRASHED', message: `worker ${workerId} died` }
    : { kind: 'workerLost', code: 'E_WORKER_LOST', message: `worker ${workerId} went away` };
  return { type: 'attempt.ended', attempt, workerId, failure, crashed, nowMs };
}

/** Attempts a replayed state takes to run on a worker; the worker has not been seen since. */
function attemptsOn(state: State, id: WorkerId): AttemptRef[] {
  return runningAttempts(state)
    .filter((entry) => entry.workerId === id)
    .map((entry) => entry.ref);
}

/** All attempts that run, by what the tasks say; costs a look at every task that is touched. */
export function runningAttempts(state: State): { ref: AttemptRef; workerId: WorkerId }[] {
  const found: { ref: AttemptRef; workerId: WorkerId }[] = [];
  for (const job of state.jobs.values()) {
    if (job.running === 0) continue;
    for (const stage of job.stages) {
      for (const [task, running] of stage.tasks) {
        if (running.kind !== 'running') continue;
        const ref = { jobId: job.id, stageId: stage.id, task, attempt: running.attempt };
        found.push({ ref, workerId: running.workerId });
      }
    }
  }
  return found;
}
