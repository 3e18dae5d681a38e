/** What watchers of a job hear, with a real journal under it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Catalogue } from '../../coordinator/catalogue.js';
import type { State } from '../../coordinator/core/state.js';
import { type Journal, previewRequest } from '../../coordinator/journal/journal.js';
import { openJournal } from '../../coordinator/journal/sqlite-journal.js';
import { type Notice, Notices } from '../../coordinator/notices.js';
import { ProgressMeter } from '../../coordinator/progress-meter.js';
import { toFailure } from '../../shared/failure.js';
import { jobView } from '../../coordinator/core/views.js';
import { jobId } from '../../shared/ids.js';
import { after, J, submitted } from './core/fixtures.js';
import { asset, awaiting, tell } from './core/schedule-fixtures.js';

let directory: string;
let journal: Journal;
let notices: Notices;
let state: State;
let catalogue: Catalogue;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'windrow-catalogue-'));
  journal = openJournal(directory);
  notices = new Notices();
  state = after(submitted({ stages: [{ rows: 8 }] }));
  catalogue = new Catalogue({
    state,
    journal,
    notices,
    meter: new ProgressMeter(),
    held: new Set(),
    rssBytes: () => 0,
    nowMs: () => 1,
  });
});
afterEach(async () => {
  await journal.close();
  rmSync(directory, { recursive: true, force: true });
});

const notice = (seq: number, kind = 'warning', data = '{}'): Notice => ({
  jobId: J,
  seq,
  timeMs: 1,
  kind,
  data,
});

/** A watcher that has heard its first notice, and reads on only when asked. */
async function watcher(queueLimit: number): Promise<AsyncGenerator<Notice>> {
  const watch = catalogue.watch(J, 0, true, new AbortController().signal, queueLimit);
  const first = watch.next();
  // It subscribes before it looks into the journal, so this is the first thing it hears.
  while ([...notices.watched()].length === 0) await new Promise((go) => setImmediate(go));
  notices.publish(notice(1));
  expect((await first).value).toMatchObject({ seq: 1 });
  return watch;
}

function tellEnd(): void {
  state.jobs.delete(J);
  notices.publish(notice(0, 'end'));
}

it('a watcher that is too far behind is told from where to go on', async () => {
  const watch = await watcher(10);
  for (let seq = 2; seq <= 50; seq += 1) notices.publish(notice(seq));
  await expect(watch.next()).rejects.toMatchObject({
    failure: { code: 'E_SLOW_READER', hint: expect.stringContaining(`--after 1`) as string },
  });
  expect([...notices.watched()]).toEqual([]);
});

it('progress that a slow watcher has not read is not kept for it, only the newest is', async () => {
  const watch = await watcher(10);
  for (let k = 0; k < 1000; k += 1) notices.publish(notice(0, 'progress', String(k)));
  notices.publish(notice(2));
  notices.publish(notice(0, 'progress', 'last'));
  tellEnd();
  const heard: string[] = [];
  for await (const { kind, data } of watch) heard.push(kind === 'progress' ? data : kind);
  expect(heard).toEqual(['999', 'warning']);
});

it('a watcher hears the last news of a job that has ended, and then the end of them', async () => {
  const watch = await watcher(10);
  state.jobs.get(J)!.phase = { kind: 'cancelled', reason: 'user' };
  const news = watch.next();
  notices.publish(notice(2, 'cancelled'));
  expect((await news).value).toMatchObject({ kind: 'cancelled' });
  const end = watch.next();
  tellEnd();
  expect(await end).toEqual({ done: true, value: undefined });
});

it('why is answered for a schedule only where no job has its name, ended ones included', async () => {
  tell(state, awaiting({ all: [asset('orders')] }));
  expect((await catalogue.why('hourly')).answer).toContain('waits for changes of orders');
  const view = JSON.stringify({ job: J, state: 'failed' });
  const times = { submittedMs: 1, endedMs: 2 };
  const job = {
    jobId: J,
    requestId: 'r',
    name: 'hourly',
    state: 'failed',
    ...times,
    view,
    spec: '',
  };
  await journal.archive(await journal.acquire(), job);
  state.jobs.delete(J);
  expect((await catalogue.why('hourly')).answer).toBe(`job ${J} has ended: failed`);
});

it('a job that is not there is offered the one that is near, and no other', async () => {
  const { name } = [...state.jobs.values()][0]!;
  const hintOf = (asked: string) =>
    catalogue.get(asked).then(
      () => 'found',
      (error: unknown) => toFailure(error).hint,
    );
  expect(await hintOf(`${name}x`)).toBe(`did you mean '${name}'? windrow list shows all`);
  expect(await hintOf('nothing-of-the-kind')).toBe('windrow list shows all');
});

it('lists the newest jobs first, ended ones among those that live, and leaves previews out', async () => {
  const epoch = await journal.acquire();
  const live = state.jobs.get(J)!;
  const archive = (id: string, laterMs: number, requestId = id): Promise<void> => {
    const submittedMs = live.submittedMs + laterMs;
    const job = { ...live, id: jobId(id), requestId, submittedMs };
    const view = JSON.stringify({ ...jobView(job, 1), state: 'failed' });
    const { name, spec } = live;
    const state = 'failed';
    return journal.archive(epoch, {
      ...{ jobId: job.id, requestId, name, state, submittedMs, endedMs: submittedMs, view, spec },
    });
  };
  await archive('j-older', -1000);
  await archive('j-newer', 1000);
  await archive('j-preview', 2000, `${previewRequest}1`);
  const listed = async (limit: number, wanted?: string): Promise<string[]> =>
    (await catalogue.list(wanted, limit)).map(({ job }) => job);
  expect(await listed(10)).toEqual(['j-newer', J, 'j-older']);
  expect(await listed(2)).toEqual(['j-newer', J]);
  expect(await listed(1, 'failed')).toEqual(['j-newer']);
});
