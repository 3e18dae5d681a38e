/** The verbs of schedules and backfills over the core itself: what is refused before it is journaled. */
import { beforeEach, describe, expect, it } from 'vitest';
import { scheduleView } from '../../../coordinator/core/schedule-views.js';
import type { State } from '../../../coordinator/core/state.js';
import { transition } from '../../../coordinator/core/transition.js';
import { Backfills, type BackfillRequest } from '../../../coordinator/schedules/backfills.js';
import { Schedules } from '../../../coordinator/schedules/schedules.js';
import { scheduleId } from '../../../shared/ids.js';
import { after, defined, hour, name, scheduleOf } from '../core/schedule-fixtures.js';

const beyond = 8.7e15;
const year9999 = Date.parse('9999-12-31T00:00:00Z');
const year0000 = Date.parse('0000-12-31T00:00:00Z');

let state: State;
let nowMs: number;
let schedules: Schedules;
let backfills: Backfills;
beforeEach(() => {
  const spec = '{"params":{}}';
  state = after(
    defined({ spec, maxActiveRuns: 9 }),
    defined({ spec }, { scheduleId: scheduleId('s2'), name: 'other' }),
  );
  nowMs = 100 * hour;
  const deps = {
    state,
    // As a journal does: others are heard before what was posted has happened.
    post: async (...events: Parameters<typeof transition>[1][]) => {
      await new Promise(setImmediate);
      for (const event of events) transition(state, event);
    },
    nowMs: () => (nowMs += 1),
  };
  schedules = new Schedules({
    ...deps,
    admit: () => undefined,
    versions: async () => ({}),
    checkWebhook: () => undefined,
    fires: true,
  });
  backfills = new Backfills({ ...deps, schedules });
});

describe('a run by hand', () => {
  it.each([
    [beyond, beyond],
    [-9e15, 0],
    [year0000, 0],
    [0, year9999 + 24 * hour],
    [2 * hour, hour],
    [0.5, hour],
    [NaN, NaN],
  ])('does not cover %d to %d, and leaves nothing behind', async (startMs, endMs) => {
    await expect(schedules.trigger(name, 'r', { startMs, endMs })).rejects.toMatchObject({
      failure: { code: 'E_SPEC_INVALID' },
    });
    expect(scheduleOf(state).runs.size).toBe(0);
    expect(() => scheduleView(scheduleOf(state), nowMs)).not.toThrow();
  });

  it('is the same one for two calls of one request at the same time', async () => {
    const ask = () => schedules.trigger(name, 'r', undefined);
    const [one, two] = await Promise.all([ask(), ask()]);
    expect(two.run).toBe(one.run);
    const at = { startMs: year9999, endMs: year9999 };
    expect(await schedules.trigger(name, 'far', at)).toMatchObject({
      logicalDate: '9999-12-31T00:00:00.000Z',
    });
  });
});

describe('a backfill', () => {
  const request = (requestId: string, more: Partial<BackfillRequest> = {}): BackfillRequest => ({
    schedule: name,
    fromMs: 0,
    toMs: hour,
    reprocess: 'none',
    reverse: false,
    many: false,
    requestId,
    ...more,
  });

  it.each([
    [-9e15, hour],
    [0, beyond],
    [year0000, hour],
    [NaN, hour],
  ])('is not made of %d to %d, nor looked at', async (fromMs, toMs) => {
    const refused = { failure: { code: 'E_BACKFILL_INVALID' } };
    const asked = request('b', { fromMs, toMs });
    await expect(backfills.create(asked)).rejects.toMatchObject(refused);
    await expect(backfills.preview(asked)).rejects.toMatchObject(refused);
    expect(scheduleOf(state).backfills.size).toBe(0);
  });

  it('is listed before older ones, whichever schedules those are of', async () => {
    const made: string[] = [];
    for (const [id, schedule] of [
      ['1', name],
      ['2', 'other'],
      ['3', name],
    ] as const) {
      made.push((await backfills.create(request(id, { schedule }))).backfill);
    }
    expect(backfills.list(undefined).map(({ backfill }) => backfill)).toEqual(made.reverse());
  });
});
