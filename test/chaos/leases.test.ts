/** A coordinator as a server: workers that freeze, streams that break, the coordinator itself restarted. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { connect } from '../../client/client.js';
import { loadJob } from '../../client/load.js';
import type { Client } from '../../client/types.js';
import { type RunningCoordinator, startCoordinator } from '../../coordinator/main.js';
import type { EventView } from '../../shared/views.js';
import { copyInput, makeInput, published, sampleRows, writeSpec } from './engine.js';

/** What every case gets a copy of. */
const input = mkdtempSync(join(tmpdir(), 'windrow-leases-input-'));
let directory: string;
let children: ChildProcess[];
let coordinator: RunningCoordinator;
let client: Client;

const leaseMs = 1_000;

async function start(): Promise<RunningCoordinator> {
  const started = await startCoordinator({
    stateDirectory: join(directory, 'state'),
    embedded: false,
    allowRoots: [directory],
    leaseMs,
  });
  if ('busy' in started) throw new Error('the state directory is busy');
  return started;
}

function startWorker(endpoint: string): ChildProcess {
  const main = resolve('dist/worker/main.js');
  const args = [main, '--coordinator', endpoint, '--slots', '1', '--pool', 'cpu'];
  const child = spawn(process.execPath, args, { stdio: 'inherit' });
  children.push(child);
  return child;
}

beforeAll(() => makeInput(input));
afterAll(() => rmSync(input, { recursive: true, force: true }));

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'windrow-leases-'));
  children = [];
  copyInput(input, directory);
  coordinator = await start();
  client = connect(coordinator.endpoint);
});

afterEach(async () => {
  client.close();
  await coordinator.stop();
  for (const child of children) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const gone = new Promise((done) => child.once('exit', done));
    child.kill('SIGKILL');
    await gone;
  }
  rmSync(directory, { recursive: true, force: true });
});

async function submit(): Promise<string> {
  const job = await loadJob(writeSpec(directory), {});
  return (await client.submit(job)).jobId;
}

async function untilRows(job: string, rows: number): Promise<void> {
  const watch = new AbortController();
  for await (const event of client.events(job, { follow: true, signal: watch.signal })) {
    if (event.event === 'progress' && Number(event['rowsDone']) >= rows) break;
  }
  watch.abort();
}

async function allEvents(job: string): Promise<EventView[]> {
  const events: EventView[] = [];
  for await (const event of client.events(job)) events.push(event);
  return events;
}

async function expectWhole(job: string): Promise<void> {
  const view = await client.wait(job, { timeoutMs: 60_000 });
  expect(view.failure).toBeUndefined();
  expect(view.state).toBe('succeeded');
  const { in: rowsIn, out, filtered, deadLettered } = view.rows;
  expect(rowsIn).toBe(sampleRows);
  expect(out + filtered + deadLettered).toBe(rowsIn);
  const found = await published(join(directory, 'out'));
  expect(found.rows).toBe(out);
  expect(found.distinct).toBe(out);
}

it('gives the work of a frozen worker to another, and ignores what it brings when it thaws', async () => {
  const workers = [startWorker(coordinator.endpoint), startWorker(coordinator.endpoint)];
  const job = await submit();
  await untilRows(job, sampleRows / 8);
  process.kill(workers[0]!.pid!, 'SIGSTOP');
  await untilRows(job, sampleRows / 2);
  const lost = new AbortController();
  for await (const event of client.events(job, { follow: true, signal: lost.signal })) {
    if (event.event === 'workerLost' || event.event === 'result') break;
  }
  lost.abort();
  process.kill(workers[0]!.pid!, 'SIGCONT');
  await expectWhole(job);
  expect((await allEvents(job)).map(({ event }) => event)).toContain('workerLost');
});

it('goes on with the same job and the same workers after the coordinator restarts', async () => {
  startWorker(coordinator.endpoint);
  startWorker(coordinator.endpoint);
  const job = await submit();
  await untilRows(job, sampleRows / 4);
  await coordinator.stop();
  coordinator = await start();
  await expectWhole(job);
});

it('loses no worker when it slept itself, as a laptop does', async () => {
  startWorker(coordinator.endpoint);
  startWorker(coordinator.endpoint);
  const job = await submit();
  await untilRows(job, sampleRows / 8);
  // Nothing of this process runs meanwhile, the coordinator's timers and sockets included.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3 * leaseMs);
  await expectWhole(job);
  const told = (await allEvents(job)).map(({ event }) => event);
  expect(told).not.toContain('workerLost');
  expect(told).not.toContain('retry');
});

it('lets a worker that is told to leave finish its chunk, and hands the rest to another', async () => {
  const leaving = startWorker(coordinator.endpoint);
  startWorker(coordinator.endpoint);
  const job = await submit();
  await untilRows(job, sampleRows / 8);
  const left = new Promise<number | null>((resolveLeft) => leaving.once('exit', resolveLeft));
  leaving.kill('SIGTERM');
  expect(await left).toBe(0);
  await expectWhole(job);
  const retries = (await allEvents(job)).filter(({ event }) => event === 'retry');
  expect(retries.map((event) => event['code'])).not.toContain('E_WORKER_CRASHED');
});

it('gives the same job for the same request id', async () => {
  startWorker(coordinator.endpoint);
  const job = await loadJob(writeSpec(directory), {});
  const first = await client.submit(job, { requestId: 'nightly-1' });
  const second = await client.submit(job, { requestId: 'nightly-1' });
  expect(second).toEqual({ jobId: first.jobId, existing: true });
  await expectWhole(first.jobId);
  const later = await client.submit(job, { requestId: 'nightly-1' });
  expect(later).toEqual({ jobId: first.jobId, existing: true });
});

it('publishes nothing of a cancelled job and says why a job waits', async () => {
  const job = await submit();
  const why = await client.why(job);
  expect(why.answer).toMatch(/no worker/);
  await client.cancel(job);
  const view = await client.wait(job, { timeoutMs: 10_000 });
  expect(view.state).toBe('cancelled');
  await expect(published(join(directory, 'out'))).rejects.toThrow(/No files found/);
});
