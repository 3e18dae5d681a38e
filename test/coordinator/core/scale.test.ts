/** A hundred thousand tasks through the core and placement: the figures are printed, memory is checked. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import type { Event } from '../../../coordinator/core/events.js';
import { jobFromRow, jobToRow } from '../../../coordinator/core/snapshot.js';
import { emptyState, type State } from '../../../coordinator/core/state.js';
import { transition } from '../../../coordinator/core/transition.js';
import { place } from '../../../coordinator/scheduling/placement.js';
import { chunkDone, ended, hello, J, jobOf, submitted } from './fixtures.js';

const tasks = 100_000;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

function heapBytes(): number {
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

function play(state: State): number {
  let events = 0;
  const apply = (event: Event) => {
    transition(state, event);
    events += 1;
  };
  apply(submitted({ stages: [{ rows: tasks }] }));
  apply(hello({ slots: 4 }));
  apply(hello({ worker: 'w2', slots: 4 }));
  while (jobOf(state).phase.kind === 'running') {
    const starts = place(state, 1, { ahead: 7 });
    for (const start of starts) apply(start);
    for (const { attempt, workerId } of starts) {
      apply(chunkDone(attempt, attempt.task, { worker: workerId }));
      apply(ended(attempt, { worker: workerId }));
    }
  }
  return events;
}

it(`${tasks} tasks cost little time, and at most 1 KB each, before and after`, () => {
  const state = emptyState();
  const heapBefore = heapBytes();
  const startedAt = process.hrtime.bigint();
  const events = play(state);
  const micros = Number(process.hrtime.bigint() - startedAt) / 1000;
  const bytes = heapBytes() - heapBefore;
  const job = state.jobs.get(J);
  const row = job ? jobToRow(job) : '';
  console.info(
    `${tasks} tasks, ${events} events: ${(micros / tasks).toFixed(1)} µs and ${Math.round(bytes / tasks)} bytes a task; as a row ${(row.length / tasks).toFixed(1)} bytes a task`,
  );
  expect(events).toBe(3 + 3 * tasks);
  expect(jobOf(state).phase.kind).toBe('committing');
  expect(jobOf(state).stages[0]?.tasks.size).toBe(0);
  expect(jobFromRow(row).counts).toEqual(job?.counts);
  expect(bytes / tasks).toBeLessThan(1024);
});
