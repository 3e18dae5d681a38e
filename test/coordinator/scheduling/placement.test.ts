/** Who gets which slot: shares, priorities, pools, devices, suspects, waits. */
import { describe, expect, it } from 'vitest';
import type { AttemptStarted, Event } from '../../../coordinator/core/events.js';
import type { StageState, State } from '../../../coordinator/core/state.js';
import { transition } from '../../../coordinator/core/transition.js';
import { Turns } from '../../../coordinator/scheduling/fair-share.js';
import {
  nextEligible,
  place,
  type PlacementOptions,
} from '../../../coordinator/scheduling/placement.js';
import { jobId } from '../../../shared/ids.js';
import {
  after,
  chunkDone,
  ended,
  failure,
  hello,
  jobOf,
  ref,
  S0,
  started,
  submitted,
} from '../core/fixtures.js';

const wide = { rows: 1000 };

/** Applies what is placed and returns `job/task@worker` for each. */
function run(state: State, nowMs = 1, options: PlacementOptions = {}): string[] {
  return place(state, nowMs, options).map((start) => {
    transition(state, start);
    return `${start.attempt.jobId}/${start.attempt.task}@${start.workerId}`;
  });
}

function perJob(placed: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const each of placed) {
    const job = each.split('/')[0] as string;
    counts[job] = (counts[job] ?? 0) + 1;
  }
  return counts;
}

describe('shares', () => {
  it('two jobs share the slots by weight', () => {
    const state = after(
      submitted({ id: 'a', stages: [wide], run: { weight: 3 } }),
      submitted({ id: 'b', stages: [wide], run: { weight: 1 } }),
      hello({ slots: 40 }),
    );
    expect(perJob(run(state))).toEqual({ a: 30, b: 10 });
  });

  it('a job that comes later gets every free slot until it has its share', () => {
    const state = after(submitted({ id: 'a', stages: [wide] }), hello({ slots: 10 }));
    run(state);
    transition(state, submitted({ id: 'b', stages: [wide], nowMs: 5 }));
    transition(state, hello({ worker: 'w2', slots: 10 }));
    expect(perJob(run(state))).toEqual({ b: 10 });
  });

  /** Attempts of each job where slots are free one at a time, as each ends after the same time. */
  function over(rounds: number, slots: number, weights: readonly number[], turns = new Turns()) {
    const ids = weights.map((_, k) => `j${k}`);
    const state = after(
      ...weights.map((weight, k) => submitted({ id: ids[k]!, stages: [wide], run: { weight } })),
      hello({ slots }),
    );
    const begun: AttemptStarted['attempt'][] = [];
    for (let round = 0; round < rounds; round++) {
      for (const start of place(state, round, { turns })) {
        transition(state, start);
        begun.push(start.attempt);
      }
      // A task of this stage is one chunk of the same number.
      const attempt = begun[round]!;
      transition(state, chunkDone(attempt, attempt.task, { nowMs: round }));
      transition(state, ended(attempt, { nowMs: round }));
    }
    return ids.map((id) => begun.filter(({ jobId: job }) => job === id).length);
  }

  it.each([
    [1, [1, 1]],
    [1, [1, 3]],
    [1, [3, 1]],
    [2, [1, 3]],
    [2, [1, 1, 1]],
    [3, [1, 2, 5, 0.5]],
    [16, [1, 3]],
  ])('%i slots go round by weight %j', (slots, weights) => {
    const rounds = 240;
    const sum = weights.reduce((total, weight) => total + weight, 0);
    over(rounds, slots, weights).forEach((count, k) => {
      expect(Math.abs(count - (rounds * weights[k]!) / sum)).toBeLessThanOrEqual(slots + 1);
    });
  });

  it('who comes later is next, and makes up for nothing', () => {
    const state = after(submitted({ id: 'a', stages: [wide] }), hello({ slots: 1 }));
    const turns = new Turns();
    turns.enter([state.jobs.get(jobId('a'))!]);
    for (let turn = 0; turn < 100; turn++) turns.had(state.jobs.get(jobId('a'))!);
    transition(state, submitted({ id: 'b', stages: [wide], nowMs: 5 }));
    const [a, b] = [state.jobs.get(jobId('a'))!, state.jobs.get(jobId('b'))!];
    turns.enter([a, b]);
    expect(turns.of(b)).toBe(turns.of(a) - 1);
    turns.enter([b]);
    turns.enter([a, b]);
    expect(turns.of(b)).toBe(turns.of(a) - 1);
  });

  it('a higher priority comes first, whatever the weights', () => {
    const state = after(
      submitted({ id: 'a', stages: [wide], run: { weight: 100 } }),
      submitted({ id: 'b', stages: [{ rows: 3 }], run: { priority: 1 } }),
      hello({ slots: 5 }),
    );
    expect(run(state).map((each) => each[0])).toEqual(['b', 'b', 'b', 'a', 'a']);
  });

  it('a job that is held gets nothing', () => {
    const state = after(submitted({ id: 'a', stages: [wide] }), hello());
    expect(run(state, 1, { held: new Set([jobId('a')]) })).toEqual([]);
  });

  it('ten jobs of random weights get slots within one of their shares', () => {
    const weights = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
    const state = after(
      ...weights.map((weight, k) => submitted({ id: `j${k}`, stages: [wide], run: { weight } })),
      hello({ slots: 110 }),
    );
    const counts = perJob(run(state));
    weights.forEach((weight, k) => {
      expect(Math.abs((counts[`j${k}`] ?? 0) - 2 * weight)).toBeLessThanOrEqual(1);
    });
  });
});

describe('workers', () => {
  it('tasks are dealt out evenly', () => {
    const state = after(
      submitted({ stages: [{ rows: 4 }] }),
      hello({ slots: 4 }),
      hello({ worker: 'w2', slots: 4 }),
    );
    expect(run(state)).toEqual(['j1/0@w1', 'j1/1@w2', 'j1/2@w1', 'j1/3@w2']);
  });

  it('never more than their slots, or the queue asked for', () => {
    const state = after(submitted({ stages: [wide] }), hello({ slots: 2 }));
    expect(run(state)).toHaveLength(2);
    expect(run(state)).toHaveLength(0);
    expect(run(state, 1, { ahead: 1 })).toHaveLength(2);
  });

  it('idle slots are filled before queues', () => {
    const state = after(submitted({ stages: [wide] }), hello({ slots: 1 }));
    run(state);
    transition(state, hello({ worker: 'w2', slots: 1 }));
    expect(run(state, 1, { ahead: 1 })[0]).toBe('j1/1@w2');
  });

  it('no task queues where one whose turn came first found no place', () => {
    const state = after(submitted({ id: 'a', stages: [wide] }), hello({ slots: 2 }));
    const ahead = {
      most: 4,
      of: (stage: StageState) => (stage === jobOf(state, jobId('a')).stages[0] ? 4 : 0),
    };
    expect(run(state, 1, { ahead })).toHaveLength(10);
    transition(state, submitted({ id: 'b', stages: [wide], nowMs: 5 }));
    const placed: string[] = [];
    for (let task = 0; task < 9; task += 1) {
      expect(placed).toEqual([]);
      transition(state, chunkDone(ref(task, 1, S0, jobId('a')), task));
      transition(state, ended(ref(task, 1, S0, jobId('a'))));
      placed.push(...run(state, 6, { ahead }));
    }
    expect(placed[0]).toBe('b/0@w1');
  });

  it.each([
    ['of another pool', { pools: ['gpu'] }],
    ['without the device', { devices: ['webgpu'] }],
  ])('%s get nothing', (_, worker) => {
    const state = after(submitted({ stages: [{ pool: 'cpu', devices: ['cpu'] }] }), hello(worker));
    expect(run(state)).toEqual([]);
  });

  it('with pool * serve every pool', () => {
    const state = after(submitted({ stages: [{ pool: 'gpu' }] }), hello({ pools: ['*'] }));
    expect(run(state)).toHaveLength(1);
  });

  it.each(['worker.disconnected', 'worker.drain'] as const)('after %s get nothing', (type) => {
    const away = { type, workerId: 'w1', incarnation: 'i1', nowMs: 1 } as Event;
    expect(run(after(submitted(), hello(), away))).toEqual([]);
  });
});

describe('retries', () => {
  const failedOnce = () =>
    after(
      hello({ slots: 1 }),
      submitted(),
      started(ref(0)),
      ended(ref(0), { failure: failure('io'), nowMs: 0 }),
    );

  it('wait for their time, and then come before tasks never tried', () => {
    const state = failedOnce();
    const at = nextEligible(state) as number;
    expect(place(state, at - 1)[0]?.attempt).toEqual(ref(1));
    expect(place(state, at)[0]?.attempt).toEqual(ref(0, 2));
    expect(nextEligible(state, at)).toBeUndefined();
  });

  it('a stage whose input lost a chunk is not placed', () => {
    const state = after(
      hello({ slots: 9 }),
      submitted({
        stages: [{ rows: [10] }, { id: 's1', over: 's0' }],
        reused: [{ stageId: S0, chunks: [0] }],
      }),
      {
        type: 'stage.planned',
        jobId: ref().jobId,
        stageId: 's1' as never,
        groups: [{ from: 0, to: 1 }],
        taskStarts: [0],
        reused: [],
        nowMs: 1,
      },
      { type: 'chunk.lost', jobId: ref().jobId, stageId: S0, chunk: 0, nowMs: 2 },
    );
    expect(place(state, 3).map((start) => start.attempt.stageId)).toEqual(['s0']);
  });
});

describe('suspects', () => {
  const crash = (worker: string): Event =>
    ({
      type: 'worker.exited',
      workerId: worker,
      incarnation: 'i1',
      crashed: true,
      nowMs: 1,
    }) as Event;

  it('run alone, one worker each', () => {
    const state = after(hello({ slots: 2 }), submitted({ stages: [{ rows: 2 }] }));
    run(state);
    transition(state, crash('w1'));
    transition(state, hello({ worker: 'w2', slots: 4 }));
    expect(run(state)).toEqual(['j1/0@w2']);
    expect(run(state)).toEqual([]);
    transition(state, hello({ worker: 'w3', slots: 1 }));
    expect(run(state)).toEqual(['j1/1@w3']);
  });

  it('are not starved: the emptiest worker is kept free until it is idle', () => {
    const state = after(
      hello({ slots: 1 }),
      submitted({ stages: [{ rows: 50 }] }),
      started(ref(0)),
      hello({ worker: 'w2', slots: 2 }),
    );
    expect(run(state)).toEqual(['j1/1@w2', 'j1/2@w2']);
    transition(state, crash('w1'));
    transition(state, ended(ref(1), { worker: 'w2', failure: failure('workerLost') }));
    expect(run(state)).toEqual([]);
    transition(state, ended(ref(2), { worker: 'w2', failure: failure('workerLost') }));
    expect(run(state)).toEqual(['j1/0@w2']);
    expect(jobOf(state).stages[0]?.tasks.get(0)).toMatchObject({ alone: true });
  });
});
