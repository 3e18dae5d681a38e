import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Effect } from '../../coordinator/core/effects.js';
import { jobToRow } from '../../coordinator/core/snapshot.js';
import { emptyState } from '../../coordinator/core/state.js';
import { openJournal } from '../../coordinator/journal/sqlite-journal.js';
import { Loop } from '../../coordinator/loop.js';
import { Notices } from '../../coordinator/notices.js';
import { replay } from '../../coordinator/replay.js';
import { chunkDone, ended, failure, hello, jobOf, ref, submitted } from './core/fixtures.js';

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'windrow-loop-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

async function open(snapshotEvents: number, effects: Effect[] = [], nowMs = () => 1) {
  const journal = openJournal(directory);
  const epoch = await journal.acquire();
  const state = emptyState();
  const notices = new Notices();
  const loop = new Loop({
    state,
    journal,
    epoch,
    nowMs,
    held: new Set(),
    snapshotEvents,
    run: (effect) => effects.push(effect),
    number: (effect) => notices.number(effect),
    publish: () => undefined,
    fatal: (error) => {
      throw error;
    },
  });
  return { journal, loop, state, effects };
}

it.each([1, 3, 1_000_000])(
  'replays to the state it had, with a snapshot every %i events',
  async (snapshotEvents) => {
    const { journal, loop, state } = await open(snapshotEvents);
    await loop.post(submitted({ stages: [{ rows: 8 }] }));
    await loop.post(hello());
    for (const task of [0, 1, 2, 3]) {
      await loop.settled();
      expect(jobOf(state).stages[0]!.tasks.get(task)?.kind).toBe('running');
      await loop.post(chunkDone(ref(task), task), ended(ref(task)));
    }
    await loop.settled();
    const before = jobToRow(jobOf(state));
    const loaded = await journal.load();
    expect(loaded.snapshots.length).toBe(snapshotEvents > 1000 ? 0 : 1);
    expect(jobToRow(jobOf(replay(loaded)))).toBe(before);
    await loop.stop();
    await journal.close();
  },
);

it('runs an effect only after the events before it are durable', async () => {
  const effects: Effect[] = [];
  const { journal, loop } = await open(1000, effects);
  const posted = loop.post(submitted({ stages: [{ rows: 2 }] }), hello());
  await new Promise((resolve) => setImmediate(resolve));
  expect(effects).toEqual([]);
  await posted;
  expect(effects.map(({ type }) => type)).toContain('dispatch');
  const { events } = await journal.load();
  expect(events.map(({ type }) => type)).toEqual(
    expect.arrayContaining(['job.submitted', 'attempt.started']),
  );
  await loop.stop();
  await journal.close();
});

it('wakes up for a task whose time comes while it looks what to place', async () => {
  const stepMs = 1100;
  let now = 0;
  const effects: Effect[] = [];
  // Each look at the clock finds it later than any first wait.
  const { journal, loop } = await open(1000, effects, () => (now += stepMs));
  await loop.post(submitted({ stages: [{ rows: 1 }] }), hello());
  const dispatched = () => effects.filter(({ type }) => type === 'dispatch').length;
  await vi.waitFor(() => expect(dispatched()).toBe(1));
  await loop.settled();
  const lost = { failure: failure('fetchFailed'), nowMs: now + 2 * stepMs };
  await loop.post(ended(ref(0), lost));
  await vi.waitFor(() => expect(dispatched()).toBe(2), { timeout: 10_000 });
  await loop.stop();
  await journal.close();
});
