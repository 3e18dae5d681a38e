/** Who is told of the end of a run: owed until answered, tried again after pauses, given up in the end. */
import { describe, expect, it } from 'vitest';
import { checkInvariants } from '../../../coordinator/core/invariants.js';
import { reconcile } from '../../../coordinator/core/reconcile.js';
import { scheduleFromRow, scheduleToRow } from '../../../coordinator/core/schedule-snapshot.js';
import type { RunEnded, ScheduleEvent } from '../../../coordinator/core/schedule-events.js';
import { scheduleView } from '../../../coordinator/core/schedule-views.js';
import { emptyState, type State } from '../../../coordinator/core/state.js';
import { transition } from '../../../coordinator/core/transition.js';
import {
  after,
  backfill,
  callId,
  defined,
  ended,
  hour,
  made,
  pass,
  runId,
  S,
  scheduleOf,
  started,
  tell,
  told,
  webhook,
} from './schedule-fixtures.js';

/** `spec` is what people see of a schedule: here nothing. */
const both = { onSuccess: webhook, onFailure: { ...webhook, tries: 20 }, spec: '{"params":{}}' };
const endedAs = (outcome: RunEnded['outcome'], change = {}): State =>
  after(defined({ ...both, ...change }), made(0), started(0), ended(0, outcome));
const call = (state: State) => scheduleOf(state).calls.get(callId(0));
const shown = (state: State) => scheduleView(scheduleOf(state), 0).runs.at(-1)?.webhook;

describe('of a run that ends', () => {
  it.each([
    ['succeeded', 'success'],
    ['failed', 'failure'],
    ['cancelled', undefined],
  ] as const)('%s, whoever is to be told is', (outcome, on) => {
    expect(call(endedAs(outcome))?.on).toBe(on);
  });

  it('all that users see of it is told, under an id of its own', () => {
    const body = JSON.parse(call(endedAs('failed'))!.body) as unknown;
    expect(body).toEqual({
      id: callId(0),
      schedule: 'hourly',
      run: 'hourly-19700101T000000',
      kind: 'scheduled',
      state: 'failed',
      logicalDate: '1970-01-01T00:00:00.000Z',
      dataIntervalStart: '1970-01-01T00:00:00.000Z',
      dataIntervalEnd: '1970-01-01T01:00:00.000Z',
      runAt: '1970-01-01T01:00:00.000Z',
      tries: 1,
      job: 'j0',
      startedAt: '1970-01-01T01:00:00.000Z',
      endedAt: '1970-01-01T01:00:00.001Z',
      failure: { kind: 'io', code: 'E_IO', message: 'no disk' },
    });
  });

  it('nobody is told before its last try', () => {
    const state = endedAs('failed', { retries: 1 });
    expect(scheduleOf(state).calls.size).toBe(0);
    pass(state, 2 * hour - 1);
    tell(state, ended(0, 'failed', 2));
    expect(scheduleOf(state).calls.size).toBe(1);
  });

  it('somebody is told although it is run once more, or forgotten, before', () => {
    const again = made(0, { kind: 'backfill', order: 'b1', backfill: { id: 'b1', passed: 0 } });
    const state = endedAs('failed');
    tell(state, backfill(0, 0, { reprocess: 'failed' }), again);
    expect(call(state)).toMatchObject({ on: 'failure' });
    expect(shown(state)).toBeUndefined();
    tell(state, told(1));
    expect(call(state)).toBeUndefined();
    expect(shown(state)).toBeUndefined();
  });
});

describe('a webhook', () => {
  it('is tried again after pauses that double, ten minutes at most, and is given up in the end', () => {
    const state = endedAs('failed');
    const pauses: number[] = [];
    for (let number = 1; number <= 20; number += 1) {
      expect(shown(state)).toMatchObject({ state: 'owed', tries: number - 1 });
      tell(state, told(number, true));
      const atMs = call(state)?.atMs;
      if (atMs === undefined) continue;
      pauses.push((atMs - 3 * hour) / 1000);
      expect(pass(state, atMs - 1).filter(({ type }) => type === 'callWebhook')).toEqual([]);
      expect(pass(state, atMs).map(({ type }) => type)).toContain('callWebhook');
    }
    expect(pauses.slice(0, 8)).toEqual([10, 20, 40, 80, 160, 320, 600, 600]);
    expect(pauses).toHaveLength(19);
    expect(call(state)).toBeUndefined();
    expect(shown(state)).toMatchObject({
      state: 'givenUp',
      tries: 20,
      failure: { code: 'E_IO' },
    });
  });

  it('is given up uncalled, the oldest, where more than 500 are owed, and its run says so', () => {
    const state = endedAs('failed');
    for (let at = 1; at <= 500; at += 1) {
      expect(call(state)).toBeDefined();
      for (const event of [made(at), started(at), ended(at, 'failed')]) transition(state, event);
    }
    checkInvariants(state);
    expect(scheduleOf(state).runs.get(runId(0))?.webhook).toMatchObject({
      state: 'givenUp',
      tries: 0,
      failure: { code: 'E_WEBHOOK', message: expect.stringContaining('500 calls') as string },
    });
    expect(scheduleOf(state).calls.size).toBe(500);
    expect(call(state)).toBeUndefined();
  });

  it('that may not be called is given up at once', () => {
    const state = endedAs('failed');
    const denied = { kind: 'invalidSpec', code: 'E_WEBHOOK_DENIED', message: 'no' } as const;
    tell(state, { ...told(1), failure: denied });
    expect(shown(state)).toMatchObject({ state: 'givenUp', tries: 1 });
  });

  it('is called again after a crash until its answer is known, and its answer counts once', () => {
    const state = endedAs('succeeded');
    const asked = { type: 'callWebhook', scheduleId: S, callId: callId(0) };
    expect(reconcile(state)).toEqual([asked]);
    const back = emptyState();
    back.schedules.set(S, scheduleFromRow(scheduleToRow(scheduleOf(state))));
    expect(reconcile(back)).toEqual([asked]);
    tell(back, told(1, true), told(1, true));
    expect(call(back)?.tries).toBe(1);
    expect(reconcile(back)).toEqual([]);
    const due: ScheduleEvent = { ...asked, type: 'webhook.due', scheduleId: S, nowMs: 4 * hour };
    expect(tell(back, due, due)).toEqual([asked]);
    tell(back, told(1), told(3));
    expect(shown(back)).toMatchObject({ state: 'owed', tries: 1 });
    tell(back, told(2), told(2));
    expect(shown(back)).toEqual({ on: 'success', state: 'delivered', tries: 2 });
    expect(reconcile(back)).toEqual([]);
  });
});
