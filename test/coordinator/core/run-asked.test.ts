/** What somebody asks of a run: to end for good, or to be run once more. */
import { describe, expect, it } from 'vitest';
import { dueRuns } from '../../../coordinator/core/schedule-due.js';
import { runView } from '../../../coordinator/core/schedule-views.js';
import { requestIdOf, type RunState } from '../../../coordinator/core/schedule-state.js';
import type { State } from '../../../coordinator/core/state.js';
import { whyRun } from '../../../coordinator/core/run-why.js';
import {
  after,
  backfill,
  defined,
  ended,
  hour,
  made,
  pass,
  phases,
  plain,
  reopened,
  runCancelled,
  runId,
  S,
  scheduleOf,
  started,
  tell,
  told,
  webhook,
} from './schedule-fixtures.js';

const runOf = (state: State, at: number): RunState => scheduleOf(state).runs.get(runId(at))!;
const startOf = (at: number) => ({ type: 'startRun', scheduleId: S, runId: runId(at) });
const strict = { dependsOnPast: true, maxActiveRuns: 2 };
const patient = { retries: 2, retryDelayMs: 1000 };

describe('a run that is cancelled', () => {
  it('ends while it waits for its place, and leaves that to others', () => {
    const state = after(defined(), made(0), started(0));
    tell(state, made(1, { kind: 'manual', runId: runId(1), order: 'r' }), made(2));
    expect(tell(state, runCancelled(1))).toEqual([]);
    expect(tell(state, ended(0, 'succeeded'))).toEqual([startOf(2)]);
    expect(phases(state)).toEqual(['0: succeeded', '1: cancelled', '2: running']);
    expect(whyRun(state, runId(1))?.answer).toContain('ended before it had a job');
  });

  it('is not tried again, whether it waits for that or its job fails meanwhile', () => {
    const waits = after(defined(patient), made(0), started(0), ended(0, 'failed'));
    tell(waits, runCancelled(0));
    expect(phases(waits)).toEqual(['0: cancelled']);
    expect(dueRuns(waits, hour + 2000)).toEqual([]);
    const runs = after(defined(patient), made(0), started(0));
    expect(tell(runs, runCancelled(0))).toEqual([{ ...startOf(0), type: 'cancelRun' }]);
    tell(runs, ended(0, 'failed'));
    expect(phases(runs)).toEqual(['0: cancelled']);
  });

  it('keeps those waiting that depend on the past, and says how they come to run', () => {
    const state = after(defined(strict));
    pass(state, 2 * hour);
    tell(state, runCancelled(0), ended(0, 'cancelled'));
    expect(phases(state)).toEqual(['0: cancelled', '1: queued']);
    expect(whyRun(state, runId(1))?.answer).toMatch(/is cancelled; .* windrow retry hourly-\S+$/);
  });

  it('counts for its backfill as one that did not succeed', () => {
    const state = after(defined(), backfill(0, 0), plain('schedule.paused'));
    tell(state, made(0, { kind: 'backfill', backfill: { id: 'b1', passed: 0 } }), runCancelled(0));
    expect(scheduleOf(state).backfills.get('b1')?.counts).toMatchObject({
      unfinished: 0,
      cancelled: 1,
    });
  });
});

describe('a run that is reopened', () => {
  it('runs once more as itself, and those that depend on it go on', () => {
    const state = after(defined(strict));
    pass(state, 2 * hour);
    tell(state, started(0), ended(0, 'failed'));
    expect(tell(state, reopened(0))).toEqual([startOf(0)]);
    expect(runView(scheduleOf(state), runOf(state, 0))).toMatchObject({
      kind: 'scheduled',
      state: 'running',
      tries: 2,
      startedAt: '1970-01-01T03:00:00.000Z',
    });
    expect(tell(state, ended(0, 'succeeded', 2))).toEqual([startOf(1)]);
  });

  it('has all its retries and its whole time again, under ids that no try before had', () => {
    const change = { retries: 1, retryDelayMs: 1000, timeoutMs: 5000 };
    const state = after(defined(change), made(0));
    const ids = [requestIdOf(scheduleOf(state), runOf(state, 0))];
    tell(state, ended(0, 'failed'));
    pass(state, hour + 1001);
    ids.push(requestIdOf(scheduleOf(state), runOf(state, 0)));
    tell(state, ended(0, 'failed', 2), reopened(0));
    ids.push(requestIdOf(scheduleOf(state), runOf(state, 0)));
    expect(new Set(ids).size).toBe(3);
    const own = dueRuns(state, 3 * hour + 4999).filter(({ type }) => type === 'run.timedOut');
    expect(own).toEqual([]);
    tell(state, { ...ended(0, 'failed', 3), nowMs: 3 * hour + 1 });
    expect(phases(state)).toEqual(['0: retrying']);
    pass(state, 3 * hour + 1001);
    tell(state, ended(0, 'failed', 4));
    expect(phases(state)[0]).toBe('0: failed');
  });

  it('is so once a request, and never while it has not ended', () => {
    const state = after(defined(), made(0), started(0));
    expect(tell(state, reopened(0))).toEqual([]);
    tell(state, ended(0, 'failed'), reopened(0), ended(0, 'failed', 2));
    expect(tell(state, reopened(0))).toEqual([]);
    expect(tell(state, reopened(0, 'another'))).toEqual([startOf(0)]);
  });

  it('waits for its place, and is the schedule’s own where a backfill had counted it', () => {
    const state = after(defined(), backfill(0, 0));
    tell(state, made(0, { kind: 'backfill', backfill: { id: 'b1', passed: 0 } }), started(0));
    tell(state, ended(0, 'failed'), made(1), reopened(0));
    expect(phases(state)).toEqual(['1: running', '0: queued']);
    expect(tell(state, ended(1, 'succeeded'))).toEqual([startOf(0)]);
    tell(state, ended(0, 'succeeded', 2));
    expect(scheduleOf(state).backfills.get('b1')?.counts).toMatchObject({
      failed: 1,
      succeeded: 0,
    });
  });

  it('has its new end told, and not that of before', () => {
    const state = after(defined({ onFailure: webhook, onSuccess: webhook }), made(0), started(0));
    tell(state, ended(0, 'failed'), reopened(0));
    // The call about the end before is answered only now.
    tell(state, told(1));
    expect(runOf(state, 0).webhook).toBeUndefined();
    expect(tell(state, ended(0, 'succeeded', 2))).toMatchObject([{ type: 'callWebhook' }]);
    expect(runView(scheduleOf(state), runOf(state, 0)).webhook).toMatchObject({
      on: 'success',
      state: 'owed',
    });
  });
});
