/** Stages that a query adds to a running job: when they come, what they wait for, what they count. */
import { describe, expect, it } from 'vitest';
import type { Event, QueryPlanned } from '../../../coordinator/core/events.js';
import { checkInvariants } from '../../../coordinator/core/invariants.js';
import { reconcile } from '../../../coordinator/core/reconcile.js';
import { jobFromRow, jobToRow } from '../../../coordinator/core/snapshot.js';
import { mayRun } from '../../../coordinator/core/stage.js';
import { emptyState, type State } from '../../../coordinator/core/state.js';
import { transition } from '../../../coordinator/core/transition.js';
import { whyJob } from '../../../coordinator/scheduling/why.js';
import type { Failure } from '../../../shared/failure.js';
import { stageId, type AttemptRef, type StageId } from '../../../shared/ids.js';
import type { ExchangeInput } from '../../../shared/plan.js';
import {
  after,
  chunkDone,
  ended,
  failure,
  frozen,
  hello,
  J,
  jobOf,
  kinds,
  laidOut,
  notices,
  queryPlanned,
  ref,
  S0,
  S1,
  splitOver,
  started,
  submitted,
} from './fixtures.js';

const S1_1 = stageId('s1_1');
const S1_2 = stageId('s1_2');
const overSource = (units: number): ExchangeInput => ({
  kind: 'exchange',
  driving: {
    kind: 'split',
    leaf: 'l',
    table: { kind: 'source', source: 'orders' },
    units,
    starts: Array.from({ length: units }, (_, unit) => unit),
  },
  whole: [],
});

const begin = [
  hello({ slots: 8 }),
  submitted({ stages: [{ rows: [10, 10] }, { id: 's1', query: ['s0'] }] }),
];
const runs = (stage: StageId, tasks = 2, attempt = 1): Event[] =>
  Array.from({ length: tasks }, (_, task) => ref(task, attempt, stage)).flatMap((each) => [
    started(each),
    chunkDone(each, each.task),
    ended(each),
  ]);
const lost = (stage: StageId, chunk: number): Event => {
  return { type: 'chunk.lost', jobId: J, stageId: stage, chunk, nowMs: 5 };
};
const again = (attempt: AttemptRef): Event[] => [
  started(attempt),
  chunkDone(attempt, attempt.task),
  ended(attempt),
];

const first = queryPlanned([laidOut('s1_1', splitOver(['s0'], 2, [0, 1]), { of: 's1' })]);
const second = queryPlanned([laidOut('s1_2', splitOver(['s1_1'], 2, [0, 1]), { of: 's1' })]);
const last = queryPlanned([], laidOut('s1', splitOver(['s1_2'], 2, [0, 1])));
const whole: Event[] = [
  ...begin,
  ...runs(S0),
  first,
  ...runs(S1_1),
  second,
  ...runs(S1_2),
  last,
  ...runs(S1),
];

const phases = (state: State): string[] =>
  jobOf(state).stages.map(({ id, phase }) => `${id} ${phase}`);
const illegal = (state: State, event: Event, why: RegExp): void => {
  const before = jobToRow(jobOf(state));
  expect(() => transition(state, event)).toThrow(why);
  expect(jobToRow(jobOf(state))).toBe(before);
};

describe('a query', () => {
  it('is asked for again after each of its stages, and ends like any other stage', () => {
    const state = emptyState();
    const asked: string[] = [];
    for (const event of whole) {
      for (const effect of transition(state, event)) {
        if (effect.type !== 'planStage') continue;
        asked.push(`${effect.stageId} after ${phases(state).join(', ')}`);
      }
      checkInvariants(state);
    }
    expect(asked).toEqual([
      's1 after s0 done, s1 sizing',
      's1 after s0 done, s1_1 done, s1 sizing',
      's1 after s0 done, s1_1 done, s1_2 done, s1 sizing',
    ]);
    expect(jobOf(state).phase.kind).toBe('committing');
    expect(jobOf(state).counts).toMatchObject({ chunksTotal: 8, chunksDone: 8, out: 20 });
    expect(kinds(transition(state, frozen()))).toEqual(['publish']);
  });

  it('goes on at once where all chunks of what it adds are there already', () => {
    const state = after(...begin, ...runs(S0));
    const effects = transition(state, {
      ...first,
      reused: [{ stageId: S1_1, chunks: [0, 1] }],
    });
    expect(kinds(effects)).toEqual(['planStage']);
    expect(phases(state)).toEqual(['s0 done', 's1_1 done', 's1 sizing']);
    expect(jobOf(state).counts).toMatchObject({ chunksTotal: 4, chunksDone: 4 });
  });

  it('that was answered before does not get the same stages twice', () => {
    const reused = { ...first, reused: [{ stageId: S1_1, chunks: [0, 1] }], rowsReused: 20 };
    const state = after(...begin, ...runs(S0), reused);
    const before = jobToRow(jobOf(state));
    expect(transition(state, reused)).toEqual([]);
    expect(jobToRow(jobOf(state))).toBe(before);
    checkInvariants(state);
  });

  it('that is laid out already is not laid out again', () => {
    const state = after(...begin, ...runs(S0), last, started(ref(0, 1, S1)));
    const before = jobToRow(jobOf(state));
    expect(transition(state, last)).toEqual([]);
    expect(jobToRow(jobOf(state))).toBe(before);
  });

  it('without any chunk left to do ends the job', () => {
    const none = queryPlanned([], laidOut('s1', splitOver([], 0, [])));
    const state = after(...begin, ...runs(S0));
    expect(kinds(transition(state, none))).toEqual(['freezeCommit']);
  });

  it('tells what was decided', () => {
    const notes = [{ kind: 'exchange', step: 's1_1', text: 'partition 3 is large' }] as const;
    const effects = transition(after(...begin, ...runs(S0)), { ...first, notes });
    expect(notices(effects)).toEqual(['note', 'stage']);
    expect(effects[0]).toMatchObject({ data: notes[0] });
  });

  it('of a job that is stopping, or has ended, is of no account', () => {
    const cancel: Event = { type: 'job.cancel', jobId: J, reason: 'user', nowMs: 4 };
    const state = after(...begin, ...runs(S0), cancel);
    expect(transition(state, first)).toEqual([]);
    expect(phases(state)).toEqual(['s0 done', 's1 sizing']);
  });

  it('says that its sizes are what it waits for', () => {
    const state = after(...begin, ...runs(S0));
    const { detail } = whyJob(state, jobOf(state), 5);
    expect(detail).toEqual({ reason: 'sizing', stage: 's1' });
  });
});

describe('an answer that nobody can mean', () => {
  it('is one about groups for a query', () => {
    const groups = { type: 'stage.planned', groups: [], taskStarts: [], reused: [] } as const;
    const event = { ...groups, jobId: J, stageId: S1, nowMs: 4 };
    illegal(after(...begin, ...runs(S0)), event, /stage.planned.*s1.*it reads a query/);
  });

  it('is one about a query for a stage over a stage', () => {
    const stages = [{ rows: [10, 10] }, { id: 's1', over: 's0' }];
    const state = after(hello({ slots: 8 }), submitted({ stages }), ...runs(S0));
    illegal(state, first, /query.planned.*s1.*it reads a stage/);
  });

  it('is one that plans nothing', () => {
    illegal(after(...begin, ...runs(S0)), queryPlanned([]), /it plans nothing/);
  });

  it('is one about a stage that the job does not have', () => {
    const event = { ...first, stageId: stageId('s9') };
    illegal(after(...begin, ...runs(S0)), event, /nobody asked for it/);
  });

  it('is one whose tasks do not cut its chunks', () => {
    const [stage] = first.stages;
    const event = queryPlanned([{ ...stage!, taskStarts: [0, 7] }]);
    illegal(after(...begin, ...runs(S0)), event, /do not cut/);
  });
});

describe('a chunk that is lost', () => {
  it('below a query that is being planned has it asked for again, and the answer is void', () => {
    const state = after(...begin, ...runs(S0), lost(S0, 1));
    expect(phases(state)).toEqual(['s0 running', 's1 blocked']);
    expect(transition(state, first)).toEqual([]);
    const effects = again(ref(1, 2)).flatMap((event) => transition(state, event));
    expect(kinds(effects)).toEqual(['dispatch', 'planStage']);
    transition(state, first);
    expect(phases(state)).toEqual(['s0 done', 's1_1 running', 's1 blocked']);
  });

  it.each([S0, S1_1])('of %s, with added stages done, blocks the query until it is back', (id) => {
    const state = after(...begin, ...runs(S0), first, ...runs(S1_1));
    expect(phases(state).at(-1)).toBe('s1 sizing');
    transition(state, lost(id, 0));
    expect(phases(state).at(-1)).toBe('s1 blocked');
    checkInvariants(state);
    const effects = again(ref(0, 2, id)).flatMap((event) => transition(state, event));
    expect(kinds(effects)).toEqual(['dispatch', 'planStage']);
  });

  it.each([
    ['an added stage', [first], S0, S1_1],
    ["a query's own stage", [first, ...runs(S1_1), second, ...runs(S1_2), last], S1_2, S1],
  ] as const)('keeps tasks of %s that read it from being placed', (_, events, upstream, reader) => {
    const state = after(...begin, ...runs(S0), ...events, started(ref(0, 1, reader)));
    const index = jobOf(state).stages.findIndex(({ id }) => id === reader);
    expect(mayRun(jobOf(state), index)).toBe(true);
    transition(state, lost(upstream, 1));
    expect(mayRun(jobOf(state), index)).toBe(false);
    illegal(state, started(ref(1, 1, reader)), /it is not running/);
    // What runs goes on: it may have read the chunk already.
    transition(state, chunkDone(ref(0, 1, reader), 0));
    transition(state, ended(ref(0, 1, reader)));
    for (const event of again(ref(1, 2, upstream))) transition(state, event);
    expect(mayRun(jobOf(state), index)).toBe(true);
    checkInvariants(state);
  });

  it('of an added stage, with all stages done, takes the job back from its commit', () => {
    const state = after(...whole, lost(S1_1, 0));
    expect(jobOf(state).phase.kind).toBe('running');
    const effects = again(ref(0, 2, S1_1)).flatMap((event) => transition(state, event));
    expect(kinds(effects)).toEqual(['dispatch', 'freezeCommit']);
  });
});

describe('rows of a query', () => {
  /** What users see after each event: never past the total, never going back. */
  function progress(...events: readonly Event[]): [done: number, total: number][] {
    const state = emptyState();
    const seen: [number, number][] = [];
    for (const event of events) {
      transition(state, event);
      const counts = state.jobs.get(J)?.counts;
      if (!counts) continue;
      const { rowsDone, rowsTotal } = counts;
      expect(rowsDone).toBeLessThanOrEqual(rowsTotal);
      expect(rowsDone).toBeGreaterThanOrEqual(seen.at(-1)?.[0] ?? 0);
      if (String(seen.at(-1)) !== String([rowsDone, rowsTotal])) seen.push([rowsDone, rowsTotal]);
    }
    return seen;
  }
  const query = (rows: number): Event[] => {
    const event = submitted({ stages: [{ id: 's1', query: [] }] });
    const stages = event.plan.stages.map((stage) => ({ ...stage, rows }));
    const counts = { ...event.counts, rowsTotal: rows };
    return [hello({ slots: 8 }), { ...event, plan: { ...event.plan, stages }, counts }];
  };
  const part = (id: string, rows: number, more: Partial<QueryPlanned> = {}): QueryPlanned =>
    queryPlanned([laidOut(id, overSource(2), { of: 's1', rows })], undefined, more);
  const join = queryPlanned([], laidOut('s1', splitOver(['s1_1', 's1_2'], 4, [0, 2])));

  it('count chunk by chunk as they are read', () => {
    const end = queryPlanned([], laidOut('s1', splitOver(['s1_1'], 2, [0, 1])));
    expect(progress(...query(20), part('s1_1', 20), ...runs(S1_1), end, ...runs(S1))).toEqual([
      [0, 20],
      [10, 20],
      [20, 20],
    ]);
  });

  it('that are read twice are expected twice as soon as that is known', () => {
    const twice = [part('s1_1', 20), ...runs(S1_1), part('s1_2', 20), ...runs(S1_2), join];
    expect(progress(...query(20), ...twice, ...runs(S1))).toEqual([
      [0, 20],
      [10, 20],
      [20, 20],
      [20, 40],
      [30, 40],
      [40, 40],
    ]);
  });

  it('that every chunk reads for itself are not expected any more when that is known', () => {
    const end = queryPlanned([], laidOut('s1', overSource(2), { rows: 20 }));
    expect(progress(...query(25), end, ...runs(S1))).toEqual([
      [0, 25],
      [0, 20],
      [10, 20],
      [20, 20],
    ]);
  });

  it('that one chunk reads all at once count with it', () => {
    const once: ExchangeInput = { kind: 'exchange', driving: { kind: 'once' }, whole: [] };
    const end = queryPlanned([], laidOut('s1', once, { rows: 8 }));
    // It also took in two rows of a stage.
    expect(progress(...query(8), end, ...runs(S1, 1))).toEqual([
      [0, 8],
      [8, 8],
    ]);
  });

  it('in chunks that are found done count as reused, and only once', () => {
    const reused = [{ stageId: S1_1, chunks: [0] }];
    const events = [
      ...query(20),
      part('s1_1', 20, { reused, rowsReused: 10 }),
      lost(S1_1, 0),
      ...runs(S1_1),
      queryPlanned([], laidOut('s1', splitOver(['s1_1'], 2, [0, 1]))),
    ];
    expect(progress(...events)).toEqual([
      [0, 20],
      [10, 20],
      [20, 20],
    ]);
    expect(jobOf(after(...events)).counts.rowsReused).toBe(10);
  });
});

describe('after a restart', () => {
  it('a query that was being planned is planned again', () => {
    for (const events of [begin.concat(runs(S0)), whole.slice(0, whole.indexOf(second))]) {
      expect(reconcile(after(...events))).toEqual([{ type: 'planStage', jobId: J, stageId: S1 }]);
    }
  });

  it('events from any snapshot on give the state that all of them give', () => {
    const events = [
      ...whole.slice(0, whole.indexOf(second)),
      lost(S1_1, 0),
      ...again(ref(0, 2, S1_1)),
      second,
      started(ref(0, 1, S1_2)),
      ended(ref(0, 1, S1_2), { failure: failure('fetchFailed') }),
      started(ref(0, 2, S1_2)),
    ].filter(({ type }) => !type.startsWith('worker.'));
    const row = jobToRow(jobOf(after(...events)));
    for (let cut = 1; cut < events.length; cut += 1) {
      const state = emptyState();
      state.jobs.set(J, jobFromRow(jobToRow(jobOf(after(...events.slice(0, cut))))));
      for (const event of events.slice(cut)) transition(state, event);
      checkInvariants(state);
      expect(jobToRow(jobOf(state))).toBe(row);
    }
  });
});

describe('a failure in a stage of a query', () => {
  const failed = (standsFor: readonly string[], at?: Failure['at']) => {
    const stage = { ...laidOut('s1_1', splitOver(['s0'], 2, [0, 1]), { of: 's1' }), standsFor };
    const attempt = ref(0, 1, S1_1);
    const found = { ...failure('badData'), ...(at ? { at } : {}) };
    const state = after(
      ...begin,
      ...runs(S0),
      queryPlanned([stage]),
      started(attempt),
      ended(attempt, { failure: found }),
    );
    const { phase } = jobOf(state);
    return phase.kind === 'failed' ? phase.failure.at : phase.kind;
  };

  it('names the step that the query stands for, or all of them', () => {
    expect(failed(['joined'])).toEqual({ step: 'joined' });
    expect(failed(['joined', 'counted'], { file: '/a.parquet', row: 3 })).toEqual({
      step: 'joined, counted',
      file: '/a.parquet',
      row: 3,
    });
  });

  it('keeps the step that the worker knows, and has none where there is none', () => {
    expect(failed(['joined'], { step: 'narrow' })).toEqual({ step: 'narrow' });
    expect(failed([])).toBeUndefined();
  });
});
