/** Runs that changes of data sets lead to: when, of which changes, and never twice. */
import { describe, expect, it } from 'vitest';
import { assetKey } from '../../../shared/asset-condition.js';
import { newsOf, type AssetLook } from '../../../coordinator/core/schedule-assets.js';
import { dueRuns } from '../../../coordinator/core/schedule-due.js';
import { scheduleFromRow, scheduleToRow } from '../../../coordinator/core/schedule-snapshot.js';
import { runView, scheduleView } from '../../../coordinator/core/schedule-views.js';
import { emptyState, type State } from '../../../coordinator/core/state.js';
import { whySchedule } from '../../../coordinator/core/run-why.js';
import {
  after,
  asset,
  awaiting,
  defined,
  ended,
  failure,
  hour,
  keyOf,
  minutes,
  pass,
  plain,
  S,
  scheduleOf,
  seen,
  tell,
  unseen,
} from './schedule-fixtures.js';

const both = { all: [asset('orders'), asset('users')] };
const kindOfRuns = (state: State): string[] =>
  [...scheduleOf(state).runs.values()].map(
    ({ kind, changes = [], phase }) =>
      `${kind} ${phase.kind}: ${changes.map(({ name, version }) => `${name} ${version}`).join()}`,
  );
/** In minute 4. */
function finishRuns(state: State): void {
  for (const { id, tries } of [...scheduleOf(state).runs.values()]) {
    tell(state, { ...ended(0, 'succeeded', tries), runId: id, nowMs: minutes(4) });
  }
}

describe('a schedule of data sets', () => {
  it('needs a change of each since the last run, and takes all changes there were', () => {
    const state = after(awaiting(both));
    tell(state, seen('orders', 'o1', 1), seen('orders', 'o2', 2));
    expect(pass(state, minutes(3))).toEqual([]);
    expect(scheduleView(scheduleOf(state), 0).awaits).toBe('users');
    tell(state, seen('users', 'u1', 4));
    expect(pass(state, minutes(5))).toMatchObject([{ type: 'startRun' }]);
    expect(kindOfRuns(state)).toEqual(['asset running: orders o1,orders o2,users u1']);
    const [run] = scheduleOf(state).runs.values();
    expect(run).toMatchObject({
      id: 'hourly-19700101T000400-asset',
      interval: { startMs: minutes(4), endMs: minutes(4) },
    });
    expect(runView(scheduleOf(state), run!).triggeringAssetEvents?.['users']).toEqual([
      {
        uri: '/data/users',
        timestamp: '1970-01-01T00:04:00.000Z',
        extra: { version: 'u1', files: 1 },
      },
    ]);
    finishRuns(state);
    tell(state, seen('users', 'u2', 6));
    expect(pass(state, minutes(7))).toEqual([]);
    expect(whySchedule(state, 'hourly', 0)?.answer).toBe(
      'schedule hourly waits for changes of orders',
    );
  });

  it('needs of alternatives one, and of nested conditions what they say', () => {
    const condition = { all: [asset('orders'), { any: [asset('users'), asset('prices')] }] };
    const state = after(awaiting(condition));
    expect(scheduleView(scheduleOf(state), 0).awaits).toBe('orders and (users or prices)');
    tell(state, seen('prices', 'p1', 1));
    expect(scheduleView(scheduleOf(state), 0).awaits).toBe('orders');
    tell(state, seen('orders', 'o1', 2));
    pass(state, minutes(3));
    expect(kindOfRuns(state)).toEqual(['asset running: prices p1,orders o1']);
  });

  it('takes what was there when it was made for no change, nor a version that it has seen', () => {
    const state = after(awaiting(asset('orders'), {}, { seen: { [keyOf('orders')]: 'o1' } }));
    tell(state, seen('orders', 'o1', 1));
    expect(pass(state, minutes(2))).toEqual([]);
    tell(state, seen('orders', 'o2', 3), seen('orders', 'o2', 4));
    pass(state, minutes(5));
    expect(kindOfRuns(state)).toEqual(['asset running: orders o2']);
  });

  it('gathers what changes while as many runs as allowed are under way, for one run', () => {
    const state = after(awaiting(asset('orders')), seen('orders', 'o1', 1));
    pass(state, minutes(1));
    tell(state, seen('orders', 'o2', 2), seen('orders', 'o3', 3));
    expect(pass(state, minutes(4))).toEqual([]);
    finishRuns(state);
    pass(state, minutes(5));
    expect(kindOfRuns(state)).toEqual([
      'asset succeeded: orders o1',
      'asset running: orders o2,orders o3',
    ]);
  });

  it('skips a run that overlaps, or has it take a place, where it says so', () => {
    const state = after(awaiting(asset('orders'), { overlap: 'skip' }), seen('orders', 'o1', 1));
    pass(state, minutes(1));
    tell(state, seen('orders', 'o2', 2));
    pass(state, minutes(2));
    expect(kindOfRuns(state)).toEqual(['asset running: orders o1', 'asset skipped: orders o2']);
    const other = after(awaiting(asset('orders'), { overlap: 'replace' }), seen('orders', 'o1', 1));
    pass(other, minutes(1));
    tell(other, seen('orders', 'o2', 2));
    expect(pass(other, minutes(2))).toMatchObject([{ type: 'cancelRun' }]);
  });

  it('makes each run once, whoever says twice that it is due, and none of what is out of date', () => {
    const state = after(awaiting(asset('orders')), seen('orders', 'o1', 1));
    const due = dueRuns(state, minutes(1));
    expect(due).toHaveLength(1);
    tell(state, ...due, ...due);
    expect(kindOfRuns(state)).toEqual(['asset running: orders o1']);
    const late = after(awaiting(asset('orders')), seen('orders', 'o1', 1));
    const early = dueRuns(late, minutes(1));
    tell(late, seen('orders', 'o2', 2), ...early);
    expect(kindOfRuns(late)).toEqual([]);
    pass(late, minutes(2));
    expect(kindOfRuns(late)).toEqual(['asset running: orders o1,orders o2']);
  });

  it('gives two runs two moments, even where changes were seen in the same one', () => {
    const state = after(awaiting(asset('orders'), { maxActiveRuns: 2 }), seen('orders', 'o1', 1));
    pass(state, minutes(1));
    tell(state, seen('orders', 'o2', 1));
    pass(state, minutes(1));
    const moments = [...scheduleOf(state).runs.values()].map(({ interval }) => interval.startMs);
    expect(moments).toEqual([minutes(1), minutes(1) + 1]);
  });

  it('keeps what it saw when its spec is given anew, but of data sets that it waits for no more', () => {
    const state = after(awaiting(both), seen('orders', 'o1', 1), seen('users', 'u1', 1));
    tell(state, awaiting({ all: [asset('orders'), asset('prices')] }));
    expect(Object.keys(scheduleOf(state).assets!.seen)).toEqual([keyOf('orders'), keyOf('prices')]);
    tell(state, seen('users', 'u2', 2), seen('prices', 'p1', 3));
    pass(state, minutes(3));
    expect(kindOfRuns(state)).toEqual(['asset running: orders o1,prices p1']);
    tell(state, defined());
    expect(scheduleOf(state).assets).toBeUndefined();
    tell(state, awaiting(asset('prices')), seen('prices', 'p2', 3));
    finishRuns(state);
    pass(state, minutes(4));
    expect(kindOfRuns(state)).toEqual([
      'asset succeeded: orders o1,prices p1',
      'asset running: prices p2',
    ]);
  });

  it('makes no run while it is paused, and comes back from its row as it was', () => {
    const state = after(awaiting(asset('orders')), plain('schedule.paused'));
    tell(state, seen('orders', 'o1', 1));
    expect(pass(state, minutes(2))).toEqual([]);
    const back = emptyState();
    back.schedules.set(S, scheduleFromRow(scheduleToRow(scheduleOf(state))));
    expect(scheduleToRow(scheduleOf(back))).toBe(scheduleToRow(scheduleOf(state)));
    tell(back, plain('schedule.resumed', minutes(3)));
    pass(back, minutes(3));
    expect(kindOfRuns(back)).toEqual(['asset running: orders o1']);
  });

  it('tells a run of the latest hundred changes, and of every data set at least one', () => {
    const state = after(awaiting(both), seen('users', 'u1', 1));
    tell(state, ...Array.from({ length: 150 }, (_, k) => seen('orders', `o${k}`, 2 + k)));
    const { changes } = scheduleOf(state).assets!;
    expect(changes).toHaveLength(100);
    expect(changes[0]?.version).toBe('u1');
    expect(changes.at(-1)?.version).toBe('o149');
  });
});

describe('a schedule of data sets or time', () => {
  it('has the runs of both, and neither changes when the other’s are', () => {
    const assets = { condition: asset('orders'), checkEveryMs: 1000 };
    const state = after(defined({ assets, maxActiveRuns: 9 }));
    pass(state, hour);
    tell(state, seen('orders', 'o1', 90));
    pass(state, minutes(90));
    pass(state, 2 * hour);
    expect(kindOfRuns(state)).toEqual([
      'scheduled running: ',
      'asset running: orders o1',
      'scheduled running: ',
    ]);
    expect(scheduleOf(state).last).toEqual({ startMs: hour, endMs: 2 * hour });
  });
});

describe('a look at a data set', () => {
  const files = { name: 'orders', kind: 'files', path: '/data/orders' } as const;
  const v = (version: string): AssetLook => ({ version, facts: { files: 1 } });
  const state = after(awaiting(asset('orders'), {}, { seen: { [keyOf('orders')]: 'o1' } }));
  const news = (look: AssetLook, before?: AssetLook) =>
    newsOf(scheduleOf(state), files, look, before, 7)?.type;

  it('says that files have changed once two looks have found the same', () => {
    expect(news(v('o2'))).toBeUndefined();
    expect(news(v('o3'), v('o2'))).toBeUndefined();
    expect(news(v('o3'), v('o3'))).toBe('asset.seen');
    expect(news(v('o1'), v('o1'))).toBeUndefined();
  });

  it('says that the last file went, once two looks have found none, and only of what was there', () => {
    expect(news({}, v('o1'))).toBeUndefined();
    expect(news({}, { failure })).toBeUndefined();
    const none = newsOf(scheduleOf(state), files, {}, {}, 7);
    expect(none).toMatchObject({ news: { version: 'none', facts: { files: 0, bytes: 0 } } });
    const empty = after(awaiting(asset('orders')));
    expect(newsOf(scheduleOf(empty), files, {}, {}, 7)).toBeUndefined();
    const went = after(awaiting(asset('orders'), {}, { seen: { [keyOf('orders')]: 'o1' } }));
    tell(went, none!);
    expect(newsOf(scheduleOf(went), files, {}, {}, 7)).toBeUndefined();
    const output = { ...files, kind: 'output' } as const;
    const published = after(
      awaiting({ asset: output }, {}, { seen: { [assetKey(output)]: 'm1' } }),
    );
    expect(newsOf(scheduleOf(published), output, {}, {}, 7)).toBeUndefined();
  });

  it('says that a job has published at once', () => {
    const published = { name: 'out', kind: 'output', path: '/out' } as const;
    const waiting = after(awaiting({ asset: published }));
    expect(newsOf(scheduleOf(waiting), published, v('m1'), undefined, 7)).toMatchObject({
      news: { version: 'm1' },
    });
  });

  it('tells a failure once, and when it is over', () => {
    expect(news({ failure })).toBe('asset.unseen');
    tell(state, unseen('orders', 1));
    expect(news({ failure })).toBeUndefined();
    expect(whySchedule(state, 'hourly', 0)?.answer).toContain(
      'orders cannot be looked at: no disk',
    );
    expect(news(v('o2'), { failure })).toBe('asset.seen');
    tell(state, newsOf(scheduleOf(state), files, v('o2'), { failure }, 7)!);
    expect(scheduleOf(state).assets).toEqual({
      seen: { [keyOf('orders')]: { version: 'o1' } },
      changes: [],
    });
  });
});
