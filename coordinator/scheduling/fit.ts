/**
 * The predicates of scheduling, shared by placement and by `why`, so that both always agree.
 * Never: chooses.
 */
import { mayRun } from '../core/stage.js';
import type { JobState, WorkerState } from '../core/state.js';
import type { StagePlan } from '../../shared/plan.js';

/** A pool named `*` on a worker serves every pool. */
export function servesPool(worker: WorkerState, plan: StagePlan): boolean {
  return worker.pools.includes(plan.pool) || worker.pools.includes('*');
}

export function hasDevices(worker: WorkerState, plan: StagePlan): boolean {
  return plan.devices.every((device) => worker.devices.includes(device));
}

export function fits(worker: WorkerState, plan: StagePlan): boolean {
  return servesPool(worker, plan) && hasDevices(worker, plan);
}

/** Takes new attempts at all: connected, not draining, not given to one attempt alone. */
export function isOpen(worker: WorkerState): boolean {
  return worker.phase === 'connected' && !worker.exclusive;
}

/** Attempts it may still be given. @param ahead how many each slot may have queued */
export function freeSlots(worker: WorkerState, ahead: number): number {
  return isOpen(worker) ? worker.slots * (1 + ahead) - worker.attempts.size : 0;
}

/** Stages of a job whose tasks may be placed, by index. */
export function openStages(job: JobState): number[] {
  if (job.phase.kind !== 'running') return [];
  const open: number[] = [];
  for (let index = 0; index < job.stages.length; index += 1)
    if (mayRun(job, index)) open.push(index);
  return open;
}
