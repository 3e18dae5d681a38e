/** Chunks and attempts: who wins, what is discarded, what is tried again and when. */
import { describe, expect, it } from 'vitest';
import type { Event } from '../../../coordinator/core/events.js';
import { checkInvariants } from '../../../coordinator/core/invariants.js';
import { backoffMs } from '../../../coordinator/core/retry.js';
import { transition } from '../../../coordinator/core/transition.js';
import { limits } from '../../../shared/limits.js';
import {
  after,
  chunkDone,
  ended,
  failure,
  hello,
  J,
  jobOf,
  kinds,
  notices,
  ref,
  S0,
  S1,
  started,
  submitted,
  W,
} from './fixtures.js';

const lost: Event = { type: 'chunk.lost', jobId: J, stageId: S0, chunk: 0, nowMs: 4 };
const twoTries = [
  hello({ slots: 4 }),
  submitted(),
  started(ref(0)),
  ended(ref(0), { failure: failure('workerLost') }),
  started(ref(0, 2)),
];

describe('chunks', () => {
  it('a redelivered report of the winner deletes nothing', () => {
    const state = after(...twoTries, chunkDone(ref(0, 2), 0));
    expect(kinds(transition(state, chunkDone(ref(0, 2), 0)))).toEqual([]);
  });

  it('a later reporter of the same chunk is told to delete its own file', () => {
    const state = after(...twoTries, chunkDone(ref(0, 1), 0));
    expect(transition(state, chunkDone(ref(0, 2), 0))).toEqual([
      { type: 'discardFiles', workerId: W, paths: ['/c/s0/0/0.2'] },
    ]);
  });

  it('a late report of a lost attempt wins, and the newer attempt is cancelled', () => {
    const state = after(...twoTries);
    const effects = transition(state, chunkDone(ref(0, 1), 0));
    expect(kinds(effects)).toEqual(['cancelAttempt']);
    expect(jobOf(state).stages[0]?.tasksDone).toBe(1);
  });

  it('a repeated report of a chunk that was lost since does not bring it back', () => {
    const state = after(...twoTries, chunkDone(ref(0, 2), 0), ended(ref(0, 2)), lost);
    expect(transition(state, chunkDone(ref(0, 2), 0))).toEqual([]);
    expect(jobOf(state).stages[0]?.tasksDone).toBe(0);
  });

  it('a chunk that was lost is done again under a new attempt number and counted once', () => {
    const state = after(...twoTries, chunkDone(ref(0, 2), 0), ended(ref(0, 2)), lost);
    transition(state, started(ref(0, 3)));
    transition(state, chunkDone(ref(0, 3), 0));
    expect(jobOf(state).counts).toMatchObject({ rowsDone: 10, out: 10, chunksDone: 1 });
  });

  it('a chunk that is lost again and again fails the job at a limit', () => {
    const state = after(hello(), submitted({ stages: [{ rows: [10, 10] }] }));
    for (let attempt = 1; attempt <= limits.lossesPerChunk + 1; attempt += 1) {
      expect(jobOf(state).phase.kind).toBe('running');
      transition(state, started(ref(0, attempt)));
      transition(state, chunkDone(ref(0, attempt), 0));
      transition(state, ended(ref(0, attempt)));
      transition(state, lost);
    }
    expect(jobOf(state).phase).toMatchObject({
      kind: 'failed',
      failure: { code: 'E_CHUNK_LOST', at: { file: '/out/_windrow/chunks' } },
    });
  });

  it('a stage that was about to be cut into tasks waits again where a chunk below is lost', () => {
    const state = after(
      hello({ slots: 4 }),
      submitted({ stages: [{ rows: [10] }, { id: 's1', over: 's0' }] }),
      started(ref(0)),
      chunkDone(ref(0), 0),
      ended(ref(0)),
    );
    const phase = () => jobOf(state).stages[1]?.phase;
    expect(phase()).toBe('sizing');
    transition(state, lost);
    expect(phase()).toBe('blocked');
    const groups = [{ from: 0, to: 1 }];
    const planned = { jobId: J, stageId: S1, groups, taskStarts: [0], reused: [], nowMs: 5 };
    expect(kinds(transition(state, { type: 'stage.planned', ...planned }))).toEqual([]);
    expect(phase()).toBe('blocked');
    transition(state, started(ref(0, 2)));
    expect(kinds(transition(state, chunkDone(ref(0, 2), 0)))).toEqual(['planStage']);
    transition(state, { type: 'stage.planned', ...planned });
    expect(phase()).toBe('running');
    checkInvariants(state);
  });

  describe('made from rows that may come out otherwise', () => {
    const stale: Event = { ...lost, stale: true } as Event;

    it('is done again, and what its attempts so far report is void', () => {
      const state = after(...twoTries, chunkDone(ref(0, 1), 0), stale);
      checkInvariants(state);
      expect(kinds(transition(state, chunkDone(ref(0, 2), 0)))).toEqual([]);
      expect(jobOf(state).stages[0]?.tasksDone).toBe(0);
      transition(state, ended(ref(0, 2)));
      transition(state, started(ref(0, 3)));
      transition(state, chunkDone(ref(0, 3), 0));
      expect(jobOf(state).counts).toMatchObject({ rowsDone: 10, chunksDone: 1 });
    });

    it('and under way, is not reported by that attempt, which nobody blames', () => {
      const state = after(hello(), submitted(), started(ref(0)), stale);
      transition(state, chunkDone(ref(0), 0));
      transition(state, ended(ref(0)));
      expect(jobOf(state).phase.kind).toBe('running');
      expect(jobOf(state).counts).toMatchObject({ rowsDone: 0, chunksDone: 0 });
      transition(state, started(ref(0, 2)));
      transition(state, chunkDone(ref(0, 2), 0));
      expect(jobOf(state).counts).toMatchObject({ rowsDone: 10, chunksDone: 1 });
      checkInvariants(state);
    });
  });

  it('a report about a job that is gone deletes nothing', () => {
    expect(transition(after(), chunkDone(ref(0), 0))).toEqual([]);
  });

  it('more dead letters than allowed fail the job', () => {
    const state = after(
      hello(),
      submitted({ deadLetters: { maxRows: 2 } }),
      started(ref(0)),
      chunkDone(ref(0), 0, { dead: 3 }),
    );
    expect(jobOf(state).phase).toMatchObject({
      kind: 'stopping',
      outcome: { failure: { code: 'E_TOO_MANY_DEAD_LETTERS' } },
    });
  });

  it('a fraction of dead letters is taken of all rows', () => {
    const run = (dead: number) =>
      jobOf(
        after(
          hello(),
          submitted({ deadLetters: { maxFraction: 0.05 } }),
          started(ref(0)),
          chunkDone(ref(0), 0, { dead }),
        ),
      ).phase.kind;
    expect([run(2), run(3)]).toEqual(['running', 'stopping']);
  });
});

describe('attempts', () => {
  it('an end without failure but with chunks missing fails the job as broken', () => {
    const state = after(hello(), submitted(), started(ref(0)), ended(ref(0)));
    expect(jobOf(state).phase).toMatchObject({
      kind: 'failed',
      failure: { kind: 'broken', code: 'E_CHUNKS_MISSING' },
    });
  });

  it.each(['userCode', 'badData', 'invalidSpec', 'broken'] as const)(
    'a failure of kind %s is never tried again',
    (kind) => {
      const state = after(hello(), submitted(), started(ref(0)));
      transition(state, ended(ref(0), { failure: failure(kind) }));
      expect(jobOf(state).phase).toMatchObject({ kind: 'failed', failure: { kind } });
    },
  );

  it('a failed read is tried again after a wait, until run.attempts failures are counted', () => {
    const state = after(hello(), submitted({ run: { attempts: 2 } }), started(ref(0)));
    const effects = transition(state, ended(ref(0), { failure: failure('io'), nowMs: 100 }));
    expect(notices(effects)).toEqual(['retry']);
    expect(jobOf(state).stages[0]?.tasks.get(0)).toMatchObject({
      kind: 'waiting',
      eligibleMs: 100 + backoffMs(ref(0), 1),
    });
    transition(state, started(ref(0, 2)));
    transition(state, ended(ref(0, 2), { failure: failure('io') }));
    expect(jobOf(state).phase).toMatchObject({ kind: 'failed', failure: { kind: 'io' } });
  });

  it('a lost worker costs neither a wait nor a counted failure', () => {
    const state = after(hello(), submitted({ run: { attempts: 1 } }), started(ref(0)));
    transition(state, ended(ref(0), { failure: failure('workerLost'), nowMs: 7 }));
    expect(jobOf(state).stages[0]?.tasks.get(0)).toMatchObject({
      eligibleMs: 7,
      history: { counted: 0, alone: false },
    });
  });

  it('a lost input is waited for without counting', () => {
    const state = after(hello(), submitted({ run: { attempts: 1 } }), started(ref(0)));
    for (let attempt = 1; attempt < 10; attempt += 1) {
      if (attempt > 1) transition(state, started(ref(0, attempt)));
      transition(state, ended(ref(0, attempt), { failure: failure('fetchFailed'), nowMs: 7 }));
      const task = jobOf(state).stages[0]?.tasks.get(0);
      expect(task).toMatchObject({ kind: 'waiting', history: { counted: 0 } });
      expect(task?.kind === 'waiting' && task.eligibleMs).toBeGreaterThan(7);
      expect(task?.kind === 'waiting' && task.eligibleMs).toBeLessThanOrEqual(1007);
    }
  });

  it('a task timeout counts, although the worker calls it cancelled', () => {
    const timedOut: Event = { type: 'attempt.timedOut', attempt: ref(0), nowMs: 5 };
    const state = after(hello(), submitted(), started(ref(0)), timedOut);
    transition(state, ended(ref(0), { failure: failure('cancelled') }));
    expect(jobOf(state).stages[0]?.tasks.get(0)?.history).toMatchObject({
      counted: 1,
      lastFailure: { code: 'E_TASK_TIMEOUT' },
    });
  });

  it('a task that only ever loses its workers is given up in the end', () => {
    const state = after(hello(), submitted());
    for (let attempt = 1; attempt <= 100; attempt += 1) {
      transition(state, started(ref(0, attempt)));
      transition(state, ended(ref(0, attempt), { failure: failure('workerLost') }));
    }
    expect(jobOf(state).phase).toMatchObject({ failure: { code: 'E_ATTEMPTS_EXHAUSTED' } });
  });
});

describe('the wait before another attempt', () => {
  it('doubles, is capped, and stays within half of itself', () => {
    for (let failures = 1; failures <= 12; failures += 1) {
      const full = Math.min(60_000, 1000 * 2 ** (failures - 1));
      for (let attempt = 1; attempt < 50; attempt += 1) {
        const wait = backoffMs(ref(0, attempt), failures);
        expect(wait).toBeGreaterThanOrEqual(full / 2);
        expect(wait).toBeLessThanOrEqual(full);
      }
    }
  });

  it('is the same at every replay, and differs between tasks', () => {
    const waits = Array.from({ length: 100 }, (_, task) => backoffMs(ref(task), 5));
    expect(waits).toEqual(Array.from({ length: 100 }, (_, task) => backoffMs(ref(task), 5)));
    expect(new Set(waits).size).toBeGreaterThan(90);
  });
});
