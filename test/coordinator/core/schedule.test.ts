/** Runs of schedules: which are made, when they start, and how they end. */
import { describe, expect, it } from 'vitest';
import { checkInvariants } from '../../../coordinator/core/invariants.js';
import { dueRuns } from '../../../coordinator/core/schedule-due.js';
import { reconcile } from '../../../coordinator/core/reconcile.js';
import {
  isScheduleRow,
  scheduleFromRow,
  scheduleToRow,
} from '../../../coordinator/core/schedule-snapshot.js';
import { requestIdOf, successBefore } from '../../../coordinator/core/schedule-state.js';
import { forgetSchedule } from '../../../coordinator/core/schedule.js';
import { emptyState } from '../../../coordinator/core/state.js';
import { transition } from '../../../coordinator/core/transition.js';
import { whyRun } from '../../../coordinator/core/run-why.js';
import {
  after,
  backfill,
  defined,
  ended,
  failure,
  hour,
  hourly,
  interval,
  made,
  pass,
  phases,
  plain,
  runId,
  S,
  scheduleOf,
  started,
  tell,
} from './schedule-fixtures.js';

const runOf = (state: ReturnType<typeof after>, at: number) => {
  const run = scheduleOf(state).runs.get(runId(at));
  if (!run) throw new Error(`there is no run of hour ${at}`);
  return run;
};

describe('with catchup', () => {
  it('one run after the other makes up for the past, and none is made too early', () => {
    const state = after(defined());
    expect(pass(state, 2.5 * hour).map(({ type }) => type)).toEqual(['startRun']);
    tell(state, started(0), ended(0, 'succeeded'));
    pass(state, 2.5 * hour);
    tell(state, started(1), ended(1, 'succeeded'));
    pass(state, 2.5 * hour);
    expect(phases(state)).toEqual(['0: succeeded', '1: succeeded']);
    expect(dueRuns(state, 3 * hour - 1)).toEqual([]);
    pass(state, 3 * hour);
    expect(phases(state).at(-1)).toBe('2: running');
  });

  it('as many runs as allowed are under way at a time', () => {
    const state = after(defined({ maxActiveRuns: 3 }));
    pass(state, 9 * hour);
    expect(phases(state)).toEqual(['0: running', '1: running', '2: running']);
    tell(state, started(1), ended(1, 'failed'));
    pass(state, 9 * hour);
    expect(phases(state).at(-1)).toBe('3: running');
  });
});

describe('without catchup', () => {
  const latest = { timetable: { ...hourly, catchup: false } };

  it('a schedule starts with the latest interval that is complete', () => {
    const state = after(defined(latest, { nowMs: 5.5 * hour }));
    pass(state, 5.5 * hour);
    expect(phases(state)).toEqual(['4: running']);
  });

  it('of what came due during a long run, the latest is run', () => {
    const state = after(defined(latest));
    pass(state, hour);
    pass(state, 4.5 * hour);
    tell(state, started(0), { ...ended(0, 'succeeded'), nowMs: 4.6 * hour });
    pass(state, 4.6 * hour);
    expect(phases(state)).toEqual(['0: succeeded', '3: running']);
  });
});

describe('a run that overlaps', () => {
  it('is skipped where the schedule says so, and the next one is not', () => {
    const state = after(defined({ overlap: 'skip' }));
    pass(state, hour);
    pass(state, 2 * hour);
    expect(phases(state)).toEqual(['0: running', '1: skipped']);
    tell(state, started(0), ended(0, 'succeeded'));
    pass(state, 3 * hour);
    expect(phases(state).at(-1)).toBe('2: running');
  });

  it('takes the place of the oldest where the schedule says so', () => {
    const state = after(defined({ overlap: 'replace' }));
    pass(state, hour);
    tell(state, started(0));
    expect(pass(state, 2 * hour)).toEqual([{ type: 'cancelRun', scheduleId: S, runId: runId(0) }]);
    expect(phases(state)).toEqual(['0: stopping', '1: queued']);
    expect(tell(state, ended(0, 'cancelled'))).toMatchObject([{ type: 'startRun' }]);
    expect(phases(state)).toEqual(['0: cancelled', '1: running']);
  });

  it('finds the older one succeeded where its output was being published already', () => {
    const state = after(defined({ overlap: 'replace' }), made(0), started(0), made(1));
    tell(state, ended(0, 'succeeded'));
    expect(phases(state)).toEqual(['0: succeeded', '1: running']);
  });
});

describe('a run that is late', () => {
  it('is skipped once its time was too long ago', () => {
    const state = after(defined({ startWithinMs: hour / 2 }));
    pass(state, 3.4 * hour);
    expect(phases(state)).toEqual(['0: skipped', '1: skipped', '2: running']);
    expect(whyRun(state, runId(0))?.answer).toContain('startWithin');
  });

  it('is skipped in portions where the past is long', () => {
    const state = after(defined({ startWithinMs: hour }));
    expect(dueRuns(state, 1000 * hour)).toHaveLength(100);
  });
});

describe('a run that depends on the past', () => {
  const strict = { dependsOnPast: true, maxActiveRuns: 2 };

  it('waits until the one before has succeeded, and says so', () => {
    const state = after(defined(strict));
    pass(state, 2 * hour);
    expect(phases(state)).toEqual(['0: running', '1: queued']);
    expect(whyRun(state, runId(1))).toMatchObject({
      answer: expect.stringContaining(`${runId(0)}, is running`) as string,
      detail: { reason: 'queued' },
    });
    tell(state, started(0), ended(0, 'succeeded'));
    expect(phases(state)).toEqual(['0: succeeded', '1: running']);
  });

  it('waits on after a failure, until that interval was run again', () => {
    const state = after(defined(strict));
    pass(state, 2 * hour);
    tell(state, started(0), ended(0, 'failed'));
    expect(phases(state)).toEqual(['0: failed', '1: queued']);
    tell(state, backfill(0, 0, { reprocess: 'failed' }));
    pass(state, 2 * hour);
    tell(state, started(0), ended(0, 'succeeded'));
    expect(phases(state)).toEqual(['1: running', '0: succeeded']);
  });
});

describe('a run that fails', () => {
  const twice = { retries: 1, retryDelayMs: 1000 };

  it('is tried again after the delay, as another request', () => {
    const state = after(defined(twice), made(0), started(0));
    const first = requestIdOf(scheduleOf(state), runOf(state, 0));
    tell(state, ended(0, 'failed'));
    const atMs = hour + 1 + 1000;
    expect(runOf(state, 0).phase).toEqual({ kind: 'retrying', atMs, failure });
    expect(dueRuns(state, atMs - 1)).toEqual([]);
    expect(pass(state, atMs)).toMatchObject([{ type: 'startRun' }]);
    expect(requestIdOf(scheduleOf(state), runOf(state, 0))).not.toBe(first);
    tell(state, ended(0, 'failed', 2));
    expect(runOf(state, 0)).toMatchObject({ phase: { kind: 'failed', failure }, tries: 2 });
  });

  it('keeps its place while it waits', () => {
    const state = after(defined(twice), made(0), started(0), ended(0, 'failed'));
    expect(pass(state, 1.0001 * hour)).toEqual([]);
    expect(phases(state)).toEqual(['0: retrying']);
  });

  it('says why, where it never had a job', () => {
    const state = after(defined(), made(0), ended(0, 'failed'));
    expect(whyRun(state, runId(0))?.answer).toBe(`run ${runId(0)} is failed: E_IO: no disk`);
  });

  it('is not tried again once somebody cancelled its job', () => {
    const state = after(defined(twice), made(0), started(0), ended(0, 'cancelled'));
    expect(phases(state)).toEqual(['0: cancelled']);
  });

  it('is not ended by what is said of an earlier try', () => {
    const state = after(defined(twice), made(0), started(0), ended(0, 'failed'));
    pass(state, 2 * hour - 1);
    tell(state, started(0, 1), ended(0, 'succeeded', 1));
    expect(runOf(state, 0)).toMatchObject({ phase: { kind: 'running' }, tries: 2 });
    expect(runOf(state, 0).jobId).toBeUndefined();
  });
});

describe('a run whose time is up', () => {
  it('stops its job and fails, and is not tried again', () => {
    const state = after(defined({ timeoutMs: 1000, retries: 3 }), made(0), started(0));
    expect(pass(state, hour + 999)).toEqual([]);
    expect(pass(state, hour + 1000)).toMatchObject([{ type: 'cancelRun', runId: runId(0) }]);
    tell(state, ended(0, 'cancelled'));
    expect(runOf(state, 0).phase).toMatchObject({
      kind: 'failed',
      failure: { code: 'E_RUN_TIMEOUT' },
    });
  });

  it('fails at once while it waits to be tried again', () => {
    const state = after(defined({ timeoutMs: 2000, retries: 3, retryDelayMs: 5000 }));
    tell(state, made(0), started(0), ended(0, 'failed'));
    pass(state, hour + 2000);
    expect(phases(state)[0]).toBe('0: failed');
  });
});

describe('a paused schedule', () => {
  it('makes no run and starts none, but lets go on what runs', () => {
    const state = after(defined({ maxActiveRuns: 2, dependsOnPast: true }));
    pass(state, 2 * hour);
    tell(state, plain('schedule.paused'), started(0), ended(0, 'succeeded'));
    expect(pass(state, 9 * hour)).toEqual([]);
    expect(phases(state)).toEqual(['0: succeeded', '1: queued']);
    expect(whyRun(state, runId(1))?.answer).toContain('is paused');
    expect(tell(state, plain('schedule.resumed', 9 * hour))).toMatchObject([{ type: 'startRun' }]);
    pass(state, 9 * hour);
    expect(phases(state).at(-1)).toBe('2: queued');
  });

  it('stays paused when its spec is given anew, unless that says otherwise', () => {
    const state = after(defined(), plain('schedule.paused'), defined());
    expect(scheduleOf(state).paused).toBe(true);
    tell(state, defined({}, { paused: false }));
    expect(scheduleOf(state).paused).toBe(false);
  });
});

describe('a run by hand', () => {
  const manual = made(0, { runId: 'by-hand', kind: 'manual', order: 'r1' });

  it('does not stand in the way of the schedule’s own run of that interval', () => {
    const state = after(defined({ maxActiveRuns: 2 }), manual);
    pass(state, hour);
    expect(phases(state)).toEqual(['0: running', '0: running']);
  });

  it('waits for its place', () => {
    const state = after(defined(), made(0), manual);
    expect(phases(state)).toEqual(['0: running', '0: queued']);
    tell(state, ended(0, 'succeeded'));
    expect(phases(state)).toEqual(['0: succeeded', '0: running']);
  });
});

describe('a schedule', () => {
  it('is not deleted while a job of it runs', () => {
    const state = after(defined(), made(0), started(0));
    expect(tell(state, plain('schedule.deleted'))).toEqual([]);
    tell(state, ended(0, 'succeeded'));
    expect(tell(state, plain('schedule.deleted'))).toEqual([
      { type: 'scheduleDeleted', scheduleId: S },
    ]);
    expect(dueRuns(state, 9 * hour)).toEqual([]);
    expect(reconcile(state)).toEqual([{ type: 'scheduleDeleted', scheduleId: S }]);
    forgetSchedule(state, S);
    expect(state.schedules.size).toBe(0);
  });

  it('is never forgotten before it was deleted', () => {
    expect(() => forgetSchedule(after(defined()), S)).toThrow(/was not deleted/);
  });

  it('goes on from its last run when its spec changes, and runs no logical date twice', () => {
    const state = after(defined());
    pass(state, hour);
    const twoHourly = { ...hourly, cron: '0 */2 * * *' };
    tell(state, started(0), ended(0, 'succeeded'), defined({ timetable: twoHourly }));
    pass(state, 4 * hour);
    expect(phases(state)).toEqual(['0: succeeded', '2: running']);
    expect(scheduleOf(state).last).toEqual({ startMs: 2 * hour, endMs: 4 * hour });
  });

  it('keeps a thousand ended runs and every unfinished one', () => {
    const state = after(defined(), made(0));
    for (let at = 1; at <= 1100; at += 1) transition(state, made(at, { skipped: 'late' }));
    checkInvariants(state);
    expect(scheduleOf(state).runs.size).toBe(1000);
    expect(phases(state)[0]).toBe('0: running');
  });

  it('knows the latest success before a run', () => {
    const state = after(defined(), made(0), started(0), ended(0, 'succeeded'));
    tell(state, made(1), started(1), ended(1, 'failed'), made(2));
    expect(successBefore(scheduleOf(state), runOf(state, 2))?.interval).toEqual(interval(0));
  });
});

describe('after a crash', () => {
  it('what was under way is asked for again', () => {
    const state = after(defined({ overlap: 'replace' }), made(0), started(0), made(1));
    expect(reconcile(state)).toEqual([
      { type: 'startRun', scheduleId: S, runId: runId(0) },
      { type: 'cancelRun', scheduleId: S, runId: runId(0) },
    ]);
  });

  it('a schedule comes back from its row as it was', () => {
    const state = after(defined({ retries: 1 }), made(0), started(0), ended(0, 'failed'));
    const row = scheduleToRow(scheduleOf(state));
    expect(isScheduleRow(row)).toBe(true);
    const back = emptyState();
    back.schedules.set(S, scheduleFromRow(row));
    expect(scheduleToRow(scheduleOf(back))).toBe(row);
    expect(dueRuns(back, 9 * hour)).toEqual(dueRuns(state, 9 * hour));
  });

  it('a row of a newer version is refused', () => {
    const row = scheduleToRow(scheduleOf(after(defined()))).replace(':1,', ':9,');
    expect(() => scheduleFromRow(row)).toThrow(/this version reads 1/);
  });

  it('an event of a schedule that is gone changes nothing', () => {
    const state = emptyState();
    expect(transition(state, made(0))).toEqual([]);
    expect(state.schedules.size).toBe(0);
  });
});
