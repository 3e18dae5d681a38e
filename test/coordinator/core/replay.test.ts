/** What survives the process: rows of text, effects derived anew, limits of time, and views. */
import { describe, expect, it } from 'vitest';
import { due, nextDue } from '../../../coordinator/core/due.js';
import type { Event } from '../../../coordinator/core/events.js';
import { lostAfterRestart, reconcile } from '../../../coordinator/core/reconcile.js';
import { jobFromRow, jobToRow } from '../../../coordinator/core/snapshot.js';
import { forget, transition } from '../../../coordinator/core/transition.js';
import { jobView, workerView } from '../../../coordinator/core/views.js';
import {
  after,
  chunkDone,
  committed,
  ended,
  failure,
  frozen,
  hello,
  J,
  jobOf,
  kinds,
  ref,
  S0,
  S1,
  started,
  submitted,
  W,
} from './fixtures.js';

const done = [0, 1, 2, 3].flatMap((task) => [
  started(ref(task)),
  chunkDone(ref(task), task),
  ended(ref(task)),
]);
const cancel: Event = { type: 'job.cancel', jobId: J, reason: 'user', nowMs: 4 };

describe('a job as a row', () => {
  it('comes back equal, with every kind of state in it', () => {
    const state = after(
      hello({ slots: 4 }),
      submitted({ reused: [{ stageId: S0, chunks: [3] }] }),
      started(ref(0)),
      chunkDone(ref(0), 0),
      ended(ref(0)),
      { type: 'chunk.lost', jobId: J, stageId: S0, chunk: 0, nowMs: 4 },
      started(ref(1)),
      ended(ref(1), { failure: failure('workerLost'), crashed: true }),
      started(ref(1, 2)),
      started(ref(2)),
      ended(ref(2), { failure: failure('io') }),
    );
    const job = jobOf(state);
    job.stages[0]?.poison.set(2, [25, 27]);
    expect(jobFromRow(jobToRow(job))).toEqual(job);
  });

  it('is short for a large stage that is done', () => {
    const starts = Array.from({ length: 50_000 }, (_, k) => k);
    const chunks = starts.map((k) => k);
    const event = submitted({
      stages: [{ rows: 50_000, starts }],
      reused: [{ stageId: S0, chunks }],
    });
    const job = jobOf(after(event));
    const plan = JSON.stringify(job.plan).length + JSON.stringify(starts).length;
    expect(jobToRow(job).length - plan).toBeLessThan(2000);
  });

  it('of another format is refused', () => {
    expect(() => jobFromRow('{"format":99,"stages":[]}')).toThrow(/E_SNAPSHOT_FORMAT/);
  });
});

describe('after a restart', () => {
  it.each([
    ['a job whose stages are done is frozen again', [...done], 'freezeCommit'],
    ['a frozen job is published again', [...done, frozen()], 'publish'],
    ['an ended job is archived again', [...done, frozen(), committed()], 'jobEnded'],
    ['a cancelled job is archived again', [cancel], 'jobEnded'],
  ] as const)('%s', (_, events, effect) => {
    expect(kinds(reconcile(after(submitted(), ...events)))).toEqual([effect]);
  });

  it('a stage that was being sized is sized again', () => {
    const state = after(submitted({ stages: [{}, { id: 's1', over: 's0' }] }), ...done);
    expect(reconcile(state)).toEqual([{ type: 'planStage', jobId: J, stageId: S1 }]);
  });

  it('an attempt whose worker says so goes on running', () => {
    const state = after(submitted(), started(ref(0)));
    expect(kinds(transition(state, hello({ running: [ref(0)] })))).toEqual([]);
    expect(lostAfterRestart(state, 9)).toEqual([]);
    expect(jobOf(state).running).toBe(1);
  });

  it('an attempt its worker does not know is lost at its hello', () => {
    const state = after(submitted(), started(ref(0)));
    expect(kinds(transition(state, hello()))).toEqual(['record']);
    expect(jobOf(state).running).toBe(0);
  });

  it('attempts of workers that stay away are lost when the grace is over', () => {
    const state = after(submitted(), started(ref(0)), started(ref(1), { worker: 'w2' }));
    transition(state, hello({ running: [ref(0)] }));
    const lost = lostAfterRestart(state, 9);
    expect(lost.map((event) => event.attempt)).toEqual([ref(1)]);
    for (const event of lost) transition(state, event);
    expect(jobOf(state).running).toBe(1);
  });

  it('a lost attempt is recorded, so that replay knows it without knowing workers', () => {
    const live = after(hello(), submitted(), started(ref(0)));
    const [record] = transition(live, {
      type: 'worker.exited',
      workerId: W,
      incarnation: 'i1',
      crashed: true,
      nowMs: 8,
    });
    if (record?.type !== 'record') throw new Error('nothing was recorded');
    const replayed = after(submitted(), started(ref(0)), record.event);
    expect(jobToRow(jobOf(replayed))).toBe(jobToRow(jobOf(live)));
  });

  it('only an ended job can be forgotten', () => {
    const state = after(submitted());
    expect(() => forget(state, J)).toThrow(/has not ended/);
    transition(state, cancel);
    forget(state, J);
    expect(state.jobs.size).toBe(0);
  });
});

describe('time limits', () => {
  it('a job that takes too long fails', () => {
    const state = after(submitted({ run: { timeoutMs: 100 } }));
    expect([nextDue(state), due(state, 99)]).toEqual([100, []]);
    for (const event of due(state, 100)) transition(state, event);
    expect(jobOf(state).phase).toMatchObject({ failure: { code: 'E_JOB_TIMEOUT' } });
    expect(nextDue(state)).toBeUndefined();
  });

  it('an attempt that takes too long is cancelled once', () => {
    const state = after(hello(), submitted({ run: { taskTimeoutMs: 50 } }), started(ref(0)));
    expect(nextDue(state)).toBe(51);
    const [event, ...more] = due(state, 51);
    expect(more).toEqual([]);
    expect(kinds(transition(state, event as Event))).toEqual(['cancelAttempt']);
    expect(due(state, 1000)).toEqual([]);
  });
});

describe('views', () => {
  it('a job is queued, runs, and ends with the rows of its summary', () => {
    const state = after(hello(), submitted());
    const states = [jobView(jobOf(state), 0).state];
    transition(state, started(ref(0)));
    states.push(jobView(jobOf(state), 0).state);
    for (const event of [chunkDone(ref(0), 0), ended(ref(0))]) transition(state, event);
    const view = jobView(jobOf(state), 5, { rowsPerSecond: 10 });
    expect(view.progress).toMatchObject({ rowsDone: 10, rowsTotal: 40, etaSeconds: 3 });
    expect(states).toEqual(['queued', 'running']);
    const over = jobOf(after(hello(), submitted(), ...done, frozen(), committed()));
    expect(jobView(over, 9)).toMatchObject({ state: 'succeeded', rows: { in: 40, out: 40 } });
  });

  it('a job another one took the place of is superseded', () => {
    const state = after(submitted(), { ...cancel, reason: 'superseded' } as Event);
    expect(jobView(jobOf(state), 0).state).toBe('superseded');
  });

  it('a worker shows its busy slots', () => {
    const state = after(hello({ slots: 2 }), submitted(), started(ref(0)));
    const worker = state.workers.get(W);
    expect(worker && workerView(worker, 7)).toMatchObject({ slots: 2, busy: 1, rssBytes: 7 });
  });
});

describe('submission', () => {
  it('a job whose chunks are all reused goes straight to its commit', () => {
    const state = after(submitted({ reused: [{ stageId: S0, chunks: [0, 1, 2, 3] }] }));
    expect(jobOf(state).phase).toEqual({ kind: 'committing' });
  });

  it('a job without chunks goes straight to its commit', () => {
    expect(jobOf(after(submitted({ stages: [{ rows: 0 }] }))).phase.kind).toBe('committing');
  });

  it('a source without rows has one chunk, which publishes its schema', () => {
    const job = jobOf(after(submitted({ stages: [{ rows: [] }] })));
    expect(job.phase.kind).toBe('running');
    expect(job.counts).toMatchObject({ chunksTotal: 1, rowsTotal: 0 });
  });

  it('reused chunks are not done again', () => {
    const job = jobOf(after(submitted({ reused: [{ stageId: S0, chunks: [1, 2] }] })));
    expect(job.stages[0]?.untouched).toEqual([
      { from: 0, to: 1 },
      { from: 3, to: 4 },
    ]);
    expect(job.counts).toMatchObject({ rowsDone: 20, rowsReused: 20, chunksDone: 2 });
  });

  it('a plan whose tasks do not cut its chunks is refused', () => {
    expect(() => after(submitted({ stages: [{ starts: [0, 9] }] }))).toThrow(/do not cut/);
  });
});
