/** Backfills: which intervals of a range are run, in which order, and never two runs of one. */
import { describe, expect, it } from 'vitest';
import { dueBackfill } from '../../../coordinator/core/backfill.js';
import type { BackfillCreated } from '../../../coordinator/core/schedule-events.js';
import { backfillView } from '../../../coordinator/core/schedule-views.js';
import type { State } from '../../../coordinator/core/state.js';
import {
  after,
  backfill,
  defined,
  ended,
  hour,
  hourly,
  interval,
  made,
  pass,
  phases,
  plain,
  S,
  scheduleOf,
  tell,
} from './schedule-fixtures.js';

/** A schedule that has nothing of its own to do before the tenth hour. */
const later = defined({ timetable: { ...hourly, startDateMs: 10 * hour } });
const cancel = {
  type: 'backfill.cancelled',
  scheduleId: S,
  backfillId: 'b1',
  nowMs: 10 * hour,
} as const;

const viewOf = (state: State, id = 'b1') => {
  const schedule = scheduleOf(state);
  return backfillView(schedule, schedule.backfills.get(id)!);
};

/** Ends whatever runs, each as told, until nothing is due any more; hours in the order of starting. */
function runAll(state: State, outcome: (at: number) => 'succeeded' | 'failed'): number[] {
  const order: number[] = [];
  for (let round = 0; round < 100; round += 1) {
    pass(state, 10 * hour);
    const running = [...scheduleOf(state).runs.values()].filter(
      ({ phase }) => phase.kind === 'running',
    );
    if (running.length === 0) return order;
    for (const {
      interval: { startMs },
      tries,
    } of running) {
      const at = startMs / hour;
      order.push(at);
      tell(state, ended(at, outcome(at), tries));
    }
  }
  throw new Error('it never ends');
}

describe('a backfill', () => {
  it('runs each interval of its range, oldest first, and then has succeeded', () => {
    const state = after(later, backfill(1, 4));
    expect(runAll(state, () => 'succeeded')).toEqual([1, 2, 3, 4]);
    expect(viewOf(state)).toMatchObject({
      state: 'succeeded',
      runs: { total: 4, passed: 0, unfinished: 0, succeeded: 4, failed: 0, cancelled: 0 },
    });
  });

  it('runs newest first in reverse', () => {
    const state = after(later, backfill(1, 4, { reverse: true }));
    expect(runAll(state, () => 'succeeded')).toEqual([4, 3, 2, 1]);
    expect(viewOf(state).state).toBe('succeeded');
  });

  it('has as many runs under way as it was told, whatever the schedule says', () => {
    const state = after(later, backfill(0, 9, { maxActiveRuns: 3 }));
    pass(state, 10 * hour);
    expect(phases(state)).toEqual(['0: running', '1: running', '2: running']);
  });

  it('leaves the schedule its own place', () => {
    const state = after(defined(), backfill(5, 9));
    pass(state, hour);
    expect(phases(state).sort()).toEqual(['0: running', '5: running']);
  });

  it('goes on after a failure, and has failed in the end', () => {
    const state = after(later, backfill(1, 3));
    expect(runAll(state, (at) => (at === 2 ? 'failed' : 'succeeded'))).toEqual([1, 2, 3]);
    expect(viewOf(state)).toMatchObject({ state: 'failed', runs: { succeeded: 2, failed: 1 } });
  });

  it('starts nothing while its schedule is paused', () => {
    const state = after(later, backfill(1, 3), plain('schedule.paused'));
    expect(pass(state, 10 * hour)).toEqual([]);
    tell(state, plain('schedule.resumed', 10 * hour));
    expect(runAll(state, () => 'succeeded')).toEqual([1, 2, 3]);
  });

  it('is one however often it is asked for', () => {
    const state = after(later, backfill(1, 3));
    pass(state, 10 * hour);
    tell(state, backfill(1, 3));
    expect(runAll(state, () => 'succeeded')).toEqual([1, 2, 3]);
  });
});

describe('intervals that were run before', () => {
  const history = (): State => {
    const state = after(later, backfill(1, 3, { backfillId: 'b0' }));
    runAll(state, (at) => (at === 2 ? 'failed' : 'succeeded'));
    tell(state, made(4, { skipped: 'late' }));
    return state;
  };
  const again = (more: Partial<BackfillCreated>) => backfill(0, 4, more);

  it.each([
    ['none', [0, 4]],
    ['failed', [0, 2, 4]],
    ['completed', [0, 1, 2, 3, 4]],
  ] as const)('run again as asked: %s', (reprocess, order) => {
    const state = history();
    tell(state, again({ reprocess }));
    expect(runAll(state, () => 'succeeded')).toEqual(order);
    expect(viewOf(state)).toMatchObject({
      state: 'succeeded',
      runs: { total: 5, passed: 5 - order.length, succeeded: order.length },
    });
  });

  it('are not run while another run of theirs is unfinished', () => {
    const state = after(defined({ maxActiveRuns: 2 }), made(1), made(2));
    tell(state, backfill(0, 3, { reprocess: 'completed' }));
    pass(state, 3 * hour);
    tell(state, ended(0, 'succeeded'));
    pass(state, 3 * hour);
    expect(phases(state)).toEqual(['1: running', '2: running', '0: succeeded', '3: running']);
    expect(viewOf(state).runs).toMatchObject({ passed: 2, succeeded: 1, unfinished: 1 });
  });

  it('are not made again by the schedule itself', () => {
    const state = after(defined(), backfill(0, 1, { maxActiveRuns: 2 }));
    tell(state, ...dueBackfill(scheduleOf(state), scheduleOf(state).backfills.get('b1')!, 0));
    expect(phases(state)).toEqual(['0: running', '1: running']);
    pass(state, 3 * hour);
    expect(phases(state)).toEqual(['0: running', '1: running', '2: running']);
  });
});

describe('a long range', () => {
  it('that was run before is looked through in portions', () => {
    const state = after(later, backfill(0, 2999, { total: 3000, reprocess: 'failed' }));
    const schedule = scheduleOf(state);
    for (let at = 0; at < 3000; at += 1) {
      const phase = { kind: 'succeeded' } as const;
      const run = made(at, { kind: 'manual' });
      const { runId: id, order, kind } = run;
      const times = { tries: 1, startedMs: 1, endedMs: 1 };
      schedule.runs.set(id, { id, interval: interval(at), kind, order, phase, ...times });
    }
    const own = schedule.backfills.get('b1')!;
    const looks: number[] = [];
    while (own.phase === 'running') {
      const due = dueBackfill(schedule, own, 0);
      looks.push(due.length);
      tell(state, ...due);
    }
    expect(looks).toEqual([1, 1, 1]);
    expect(viewOf(state)).toMatchObject({ state: 'succeeded', runs: { passed: 3000 } });
  });
});

describe('a cancelled backfill', () => {
  it('makes no more runs, stops what runs, and is cancelled once that has ended', () => {
    const state = after(later, backfill(1, 9, { maxActiveRuns: 2 }));
    pass(state, 10 * hour);
    expect(tell(state, cancel)).toMatchObject([{ type: 'cancelRun' }, { type: 'cancelRun' }]);
    expect(viewOf(state).state).toBe('cancelling');
    expect(pass(state, 10 * hour)).toEqual([]);
    tell(state, ended(1, 'cancelled'), ended(2, 'succeeded'));
    expect(viewOf(state)).toMatchObject({
      state: 'cancelled',
      runs: { succeeded: 1, cancelled: 1, unfinished: 0 },
    });
  });

  it('is cancelled at once where nothing runs', () => {
    const state = after(later, plain('schedule.paused'), backfill(1, 9));
    tell(state, cancel);
    expect(viewOf(state).state).toBe('cancelled');
  });
});

it('a schedule keeps its last twenty ended backfills', () => {
  const state = after(later, plain('schedule.paused'));
  for (let k = 0; k < 25; k += 1) {
    tell(state, backfill(1, 2, { backfillId: `b${k}` }), { ...cancel, backfillId: `b${k}` });
  }
  expect([...scheduleOf(state).backfills.keys()]).toHaveLength(20);
  expect(scheduleOf(state).backfills.has('b24')).toBe(true);
});
