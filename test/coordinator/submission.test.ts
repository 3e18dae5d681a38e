/** Jobs handed to a real coordinator over its socket, with workers that can be frozen. */
import { type ChildProcess, spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { connect } from '../../client/client.js';
import { loadJob } from '../../client/load.js';
import type { Client } from '../../client/types.js';
import type { WindrowError } from '../../shared/failure.js';
import { type RunningCoordinator, startCoordinator } from '../../coordinator/main.js';
import { scoringJob, Workplace } from '../e2e/workplace.js';

let place: Workplace;
let coordinator: RunningCoordinator;
let client: Client;
let children: ChildProcess[];
let stopped: Promise<void> | undefined;
let specs = 0;

beforeEach(async () => {
  place = new Workplace();
  children = [];
  stopped = undefined;
  await place.numbers(20_480);
  place.model();
  const started = await startCoordinator({
    stateDirectory: place.path('state'),
    embedded: false,
    allowRoots: [place.directory],
    // A frozen worker stays trusted for the whole test.
    leaseMs: 600_000,
  });
  if ('busy' in started) throw new Error('the state directory is busy');
  coordinator = started;
  client = connect(coordinator.endpoint);
});

afterEach(async () => {
  client.close();
  for (const child of children) await killed(child);
  await (stopped ?? coordinator.stop());
  await place.close();
});

async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((done) => child.once('exit', done));
  child.kill('SIGKILL');
  await gone;
}

function startWorker(): ChildProcess {
  const main = resolve('dist/worker/main.js');
  const args = [main, '--coordinator', coordinator.endpoint, '--slots', '1', '--pool', 'cpu'];
  const env = { ...process.env, UV_THREADPOOL_SIZE: '12' };
  const child = spawn(process.execPath, args, { stdio: 'inherit', env });
  children.push(child);
  return child;
}

async function submit(
  name: string,
  change: { output?: string; where?: string } = {},
  requestId?: string,
): Promise<string> {
  specs += 1;
  const spec = place.write(
    `${name}-${specs}.yaml`,
    scoringJob(name, { output: `out-${name}`, ...change }),
  );
  const job = await loadJob(spec, {});
  return (await client.submit(job, requestId === undefined ? {} : { requestId })).jobId;
}

async function untilEvent(job: string, wanted: string): Promise<void> {
  const watch = new AbortController();
  for await (const { event } of client.events(job, { signal: watch.signal })) {
    if (event === wanted) break;
  }
  watch.abort();
}

/** A job whose one attempt can neither go on nor be cancelled, as its worker is frozen. */
async function frozenJob(name: string): Promise<{ job: string; letGo: () => Promise<void> }> {
  const worker = startWorker();
  // Frozen before it gets anything to do; the attempt is on its way from then on.
  while ((await client.workers()).length === 0) await new Promise((go) => setTimeout(go, 20));
  worker.kill('SIGSTOP');
  const job = await submit(name);
  await untilEvent(job, 'started');
  const letGo = async (): Promise<void> => {
    await killed(worker);
    coordinator.workerExited(worker.pid!, false);
  };
  return { job, letGo };
}

it('a predecessor that does not stop holds up its own name, and no other', async () => {
  const { job, letGo } = await frozenJob('slow');
  let superseded = false;
  const successor = submit('slow', { where: 'i > 5' }).finally(() => (superseded = true));
  while ((await client.get(job)).state !== 'stopping')
    await new Promise((go) => setTimeout(go, 20));

  startWorker();
  const other = await submit('other');
  expect(await client.wait(other)).toMatchObject({ state: 'succeeded' });
  expect(superseded).toBe(false);

  await letGo();
  expect(await client.wait(await successor)).toMatchObject({ state: 'succeeded' });
  expect(await client.get(job)).toMatchObject({ state: 'superseded' });
});

it('of many submissions of one name at once, one job stays and all others are superseded', async () => {
  startWorker();
  const jobs = await Promise.all(
    Array.from({ length: 4 }, (_, k) => submit('busy', { where: `i >= ${k}` })),
  );
  const views = await Promise.all(jobs.map((job) => client.wait(job)));
  expect(new Set(jobs).size).toBe(4);
  expect(views.filter(({ state }) => state === 'succeeded').length).toBeGreaterThan(0);
  expect(views.map(({ state }) => state)).not.toContain('failed');
});

it('two names that write one output do not both get it', async () => {
  const { letGo } = await frozenJob('one');
  const both = await Promise.allSettled([
    submit('two', { output: 'shared' }),
    submit('three', { output: 'shared' }),
  ]);
  const refused = both.filter((each) => each.status === 'rejected');
  expect(
    refused.map(({ reason }) => (reason as { failure: { code: string } }).failure.code),
  ).toEqual(['E_OUTPUT_BUSY']);
  await letGo();
});

it('a submission that nobody waits for any more starts nothing', async () => {
  const { job, letGo } = await frozenJob('slow');
  const impatient = connect(coordinator.endpoint);
  const spec = place.write('slow.yaml', scoringJob('slow', { output: 'out-slow', where: 'i > 5' }));
  const gaveUp = impatient.submit(await loadJob(spec, {})).catch(() => 'gave up');
  while ((await client.get(job)).state !== 'stopping')
    await new Promise((go) => setTimeout(go, 20));
  impatient.close();
  expect(await gaveUp).toBe('gave up');
  await letGo();
  startWorker();
  // Behind the one that was given up, as it has the same name.
  const next = await submit('slow', { where: 'i > 6' });
  await client.wait(next);
  expect((await client.list()).map(({ job: id }) => id).sort()).toEqual([job, next].sort());
});

it('a coordinator that ends does not wait for a submission that waits', async () => {
  const { job, letGo } = await frozenJob('slow');
  const waiting = submit('slow', { where: 'i > 5' }).catch(
    (error: { failure: { code: string } }) => error.failure.code,
  );
  while ((await client.get(job)).state !== 'stopping')
    await new Promise((go) => setTimeout(go, 20));
  await (stopped = coordinator.stop());
  expect(await waiting).toBe('E_UNREACHABLE');
  await letGo();
});

it('the same request asked twice at once is one job', async () => {
  startWorker();
  const jobs = await Promise.all([submit('twin', {}, 'r-1'), submit('twin', {}, 'r-1')]);
  expect(jobs[1]).toBe(jobs[0]);
  expect((await client.list()).length).toBe(1);
});

it('other files are only taken for dead letters, and only for those that the job has', async () => {
  const job = await submit('mended');
  await client.cancel(job);
  await client.wait(job);
  const { files } = await loadJob(place.write('other.yaml', scoringJob('other')), {});
  const strange = new Map([['/elsewhere.onnx', [...files.values()][0]!]]);
  for (const options of [{ files }, { files: strange, onlyDeadLetters: true }]) {
    const refused = await client.retry(job, options).catch((error: WindrowError) => error.failure);
    expect(refused).toMatchObject({ code: 'E_RETRY_FILES' });
  }
  expect((await client.list()).map(({ job: id }) => id)).toEqual([job]);
});
