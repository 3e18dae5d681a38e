/** How many workers a pool has work for, as jobs come, run, fail and end. */
import { describe, expect, it } from 'vitest';
import type { Event } from '../../../coordinator/core/events.js';
import type { State } from '../../../coordinator/core/state.js';
import { transition } from '../../../coordinator/core/transition.js';
import { poolDemand } from '../../../coordinator/scheduling/pool-demand.js';
import { place } from '../../../coordinator/scheduling/placement.js';
import { type JobId, workerId } from '../../../shared/ids.js';
import {
  after,
  chunkDone,
  ended,
  failure,
  hello,
  J,
  jobOf,
  ref,
  S0,
  started,
  submitted,
} from '../core/fixtures.js';

const nobody: ReadonlySet<JobId> = new Set();

function workers(state: State, slotsPerWorker = 2, name = 'cpu', held = nobody): number {
  return poolDemand(state, { name, slotsPerWorker }, held).workers;
}

function tasks(count: number, pool = 'cpu'): Event {
  return submitted({ stages: [{ rows: count, pool }] });
}

function placeAll(state: State): void {
  for (const start of place(state, 1)) transition(state, start);
}

describe('the workers that a pool has work for', () => {
  it('are none where nothing waits or runs, however many are there', () => {
    expect(workers(after())).toBe(0);
    expect(workers(after(hello(), hello({ worker: 'w2' })))).toBe(0);
  });

  it('are as many as all waiting tasks fill', () => {
    expect(workers(after(tasks(1)))).toBe(1);
    expect(workers(after(tasks(4)))).toBe(2);
    expect(workers(after(tasks(5)))).toBe(3);
    expect(workers(after(tasks(1_000_000)), 8)).toBe(125_000);
  });

  it('are those of that pool alone', () => {
    const state = after(tasks(4, 'gpu'));
    expect(workers(state, 2, 'cpu')).toBe(0);
    expect(workers(state, 2, 'gpu')).toBe(2);
    expect(workers(state, 2, 'g')).toBe(0);
  });

  it('go on counting tasks that run, and stop with those that are done', () => {
    const state = after(tasks(3), hello({ slots: 2 }));
    placeAll(state);
    expect(workers(state)).toBe(2);
    transition(state, chunkDone(ref(0), 0));
    transition(state, ended(ref(0)));
    expect(workers(state)).toBe(1);
  });

  it('never are fewer than work, though their tasks would fit on fewer', () => {
    const busy = ['w1', 'w2', 'w3'].map((worker) => hello({ worker, slots: 2 }));
    const state = after(tasks(3), ...busy);
    ['w1', 'w2', 'w3'].forEach((worker, task) => transition(state, started(ref(task), { worker })));
    expect(poolDemand(state, { name: 'cpu', slotsPerWorker: 2 }, nobody)).toEqual({
      tasks: 3,
      busy: 3,
      workers: 3,
    });
    transition(state, chunkDone(ref(1), 1, { worker: 'w2' }));
    transition(state, ended(ref(1), { worker: 'w2' }));
    expect(workers(state)).toBe(2);
  });

  it('do not count one that drains as one to stay, but the tasks that it gives back', () => {
    const state = after(tasks(2), hello({ slots: 1 }), hello({ worker: 'w2', slots: 1 }));
    placeAll(state);
    transition(state, { type: 'worker.drain', workerId: workerId('w2'), nowMs: 2 });
    expect(poolDemand(state, { name: 'cpu', slotsPerWorker: 2 }, nobody)).toEqual({
      tasks: 2,
      busy: 1,
      workers: 1,
    });
    const drained = failure('workerLost', 'E_WORKER_DRAINED');
    transition(state, ended(ref(1), { worker: 'w2', failure: drained }));
    expect(workers(state, 1)).toBe(2);
  });

  it('are kept while a task backs off, so that it finds one when its time comes', () => {
    const state = after(tasks(1), hello());
    placeAll(state);
    transition(state, ended(ref(0), { failure: failure('io') }));
    const waiting = jobOf(state).stages[0]!.tasks.get(0);
    expect(waiting?.kind).toBe('waiting');
    expect(workers(state)).toBe(1);
  });

  it('are kept for what a cancelled job still runs, and go with it', () => {
    const state = after(tasks(5), hello({ slots: 2 }));
    placeAll(state);
    transition(state, { type: 'job.cancel', jobId: J, reason: 'user', nowMs: 2 });
    expect(workers(state)).toBe(1);
    const cancelled = failure('cancelled');
    for (const task of [0, 1]) transition(state, ended(ref(task), { failure: cancelled }));
    expect(workers(state)).toBe(0);
  });

  it('are not wanted by a stage that waits for another, nor by a job that is held', () => {
    const shapes = [
      { id: 's0', rows: 2 },
      { id: 's1', over: 's0', pool: 'gpu' },
    ];
    const state = after(submitted({ stages: shapes }));
    expect(jobOf(state).stages[0]!.id).toBe(S0);
    expect(workers(state, 1, 'gpu')).toBe(0);
    expect(workers(state, 1, 'cpu')).toBe(2);
    expect(workers(state, 1, 'cpu', new Set([J]))).toBe(0);
  });
});
