/** The built package, as a script uses it: real engines, real workers. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type * as Api from '../../client/index.js';
import { manifestHash } from '../../shared/manifest.js';
import { childrenOf } from '../chaos/engine.js';
import { Workplace } from '../e2e/workplace.js';

const built = pathToFileURL(resolve('dist/client/index.js')).href;
const { job, parquet, runEmbedded, WindrowError } = (await import(built)) as typeof Api;

const rows = 40_960;
const place = new Workplace();
beforeAll(() => place.numbers(rows));
afterAll(() => place.close());

const numbers = (name: string) => job(name).source('numbers', parquet('data/numbers.parquet'));

/** A job whose chunks, all but the first, are held until `open` is called. */
function gatedJob(name: string) {
  const gate = place.path(`${name}.go`);
  const module = place.write(
    `${name}.js`,
    `import { existsSync } from 'node:fs';
export async function batch(rows) {
  while (rows.getChild('i').get(0) > 0n && !existsSync(${JSON.stringify(gate)})) {
    await new Promise((go) => setTimeout(go, 20));
  }
  return { label: Array(rows.numRows).fill('${name}') };
}
`,
  );
  const columns = { label: 'VARCHAR' };
  const loaded = numbers(name)
    .map('held', { from: 'numbers', module, rowwise: true, reads: ['i'], columns })
    .output({ from: 'held', parquet: `out-${name}`, mode: 'overwrite' })
    .load(place.directory);
  return { loaded, open: () => place.write(`${name}.go`, '') };
}

/** Events as they are told, and a promise of the first for which `found` is true. */
function listener(found: (event: Api.EventView) => boolean) {
  const events: Api.EventView[] = [];
  let come = (_: Api.EventView): void => undefined;
  const first = new Promise<Api.EventView>((resolveFirst) => (come = resolveFirst));
  const onEvent = (event: Api.EventView): void => {
    events.push(event);
    if (found(event)) come(event);
  };
  return { events, first, onEvent };
}

const firstChunkDone = (event: Api.EventView): boolean =>
  event.event === 'progress' && Number(event['rowsDone']) > 0;

const numbered = (events: readonly Api.EventView[]): number[] =>
  events.flatMap(({ seq }) => (seq > 0 ? [seq] : []));

async function codeOf(running: Promise<unknown>): Promise<string> {
  const error = await running.then(
    () => new Error('it succeeded'),
    (reason: unknown) => reason,
  );
  if (!(error instanceof WindrowError)) throw error;
  return error.failure.code;
}

/** Engines that this process has started and that have not ended. */
function engines(): number[] {
  return childrenOf(process.pid).filter((pid) =>
    readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('cli/engine.js'),
  );
}

test('a job of a script runs to its end and brings its rows along; again it is up to date', async () => {
  const loaded = await numbers('kept')
    .filter('few', { from: 'numbers', where: 'i < 3000' })
    .output({ from: 'few', parquet: 'out-kept' })
    .load(place.directory);
  const { events, onEvent } = listener(() => false);
  const done = await runEmbedded(loaded, { workers: 1, onEvent, collect: ['few'] });
  expect(done).toMatchObject({
    state: 'succeeded',
    upToDate: false,
    rows: { in: rows, out: 3000, filtered: rows - 3000, deadLettered: 0 },
  });
  expect(manifestHash(done.manifests['few']!)).toBe(done.outputs[0]!.manifestHash);
  const ids = done.batches['few']!.flatMap((batch) => [...batch.getChild('i')!].map(Number));
  expect(ids).toEqual(Array.from({ length: 3000 }, (_, i) => i));
  expect(numbered(events)).toEqual(numbered(events).map((_, index) => index + 1));
  expect(events.at(-1)).toMatchObject({ event: 'result', job: done.job });
  expect(engines()).toEqual([]);

  const again = await runEmbedded(loaded, { workers: 1 });
  expect([again.upToDate, again.manifests]).toEqual([true, done.manifests]);
});

test('a run that its caller ends leaves nothing running, and the next one goes on with it', async () => {
  const { loaded, open } = gatedJob('left');
  const stop = new AbortController();
  const { first, onEvent } = listener(firstChunkDone);
  const running = runEmbedded(await loaded, { workers: 1, onEvent, signal: stop.signal });
  await first;
  stop.abort();
  expect(await codeOf(running)).toBe('E_SUSPENDED');
  expect(engines()).toEqual([]);

  open();
  const done = await runEmbedded(await loaded, { workers: 1 });
  expect(done).toMatchObject({ state: 'succeeded', rows: { out: rows }, rowsReused: 10_240 });
});

test('when an engine is killed its run fails, and a run that was its guest goes on', async () => {
  const [owners, guests] = [gatedJob('owner'), gatedJob('guest')];
  const state = place.path('shared-state');
  const atWork = listener(firstChunkDone);
  const owner = runEmbedded(await owners.loaded, { state, workers: 1, onEvent: atWork.onEvent });
  await atWork.first;
  const heard = listener(({ event }) => event === 'submitted');
  const guest = runEmbedded(await guests.loaded, { state, workers: 1, onEvent: heard.onEvent });
  await heard.first;

  const [engine, ...others] = engines();
  expect(others).toEqual([]);
  process.kill(engine!, 'SIGKILL');
  expect(await codeOf(owner)).toBe('E_ENGINE_LOST');
  guests.open();
  expect(await guest).toMatchObject({ state: 'succeeded', rows: { out: rows } });
  const seqs = numbered(heard.events);
  expect(seqs).toEqual(seqs.map((_, index) => index + 1));
  expect(engines()).toEqual([]);
});

test('what cannot be run fails with the code of its failure', async () => {
  const failing = (where: string) =>
    numbers('fails')
      .filter('bad', { from: 'numbers', where })
      .output({ from: 'bad', parquet: 'out-fails' })
      .load(place.directory);
  const refused = runEmbedded(await failing('missing > 1'), { workers: 1 });
  expect(await codeOf(refused)).toBe('E_UNKNOWN_COLUMN');
  const failed = runEmbedded(await failing(`cast('row ' || i as integer) > 0`), { workers: 1 });
  expect(await codeOf(failed)).toMatch(/^E_(EXPRESSION|CAST|SQL|BAD)/);
  const state = place.write('a-file', '');
  const nowhere = runEmbedded(await failing('true'), { state, workers: 1 });
  expect(await codeOf(nowhere)).toBe('E_PATH');
});
