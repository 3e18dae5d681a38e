/**
 * How many workers a pool has work for: what an autoscaler is told. Derived when asked, by the
 * predicates of placement. Never: starts or ends a worker.
 */
import type { JobId } from '../../shared/ids.js';
import type { State } from '../core/state.js';
import { openStages } from './fit.js';

export interface Pool {
  readonly name: string;
  /** Of a worker that would be added. */
  readonly slotsPerWorker: number;
}

export interface PoolDemand {
  /** Tasks that run or could, those in back-off included. */
  readonly tasks: number;
  /** Workers of the pool that have attempts and are to stay. */
  readonly busy: number;
  /**
   * Enough for the tasks, and never fewer than are busy: tasks that would fit on fewer workers do
   * not move there, so who took a worker away would take one that works.
   */
  readonly workers: number;
}

/** Costs the stages of the living jobs and the workers, however many tasks there are. */
export function poolDemand(state: State, pool: Pool, held: ReadonlySet<JobId>): PoolDemand {
  let tasks = 0;
  for (const job of state.jobs.values()) {
    if (held.has(job.id)) continue;
    for (const index of openStages(job)) {
      const stage = job.stages[index]!;
      if (job.plan.stages[index]?.pool !== pool.name) continue;
      tasks += stage.taskStarts.length - stage.tasksDone;
    }
  }
  let busy = 0;
  for (const { attempts, phase, pools } of state.workers.values()) {
    // One that drains is leaving: what it gives back is among the tasks.
    if (attempts.size > 0 && phase !== 'draining' && pools.includes(pool.name)) busy += 1;
  }
  return { tasks, busy, workers: Math.max(Math.ceil(tasks / pool.slotsPerWorker), busy) };
}
