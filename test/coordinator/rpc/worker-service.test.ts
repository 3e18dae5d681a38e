/** The worker's wire spoken wrongly to a real coordinator, which must survive and finish the job. */
import { type ChildProcess, spawn } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Client as RawClient, credentials, Metadata, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { connect } from '../../../client/client.js';
import { loadJob } from '../../../client/load.js';
import type { Client } from '../../../client/types.js';
import { type RunningCoordinator, startCoordinator } from '../../../coordinator/main.js';
import { sha256Hex } from '../../../shared/chunk-identity.js';
import type { Assignment, ChunkDone } from '../../../shared/gen/windrow.js';
import { duckdb, published } from '../../chaos/engine.js';
import { RawWorker } from './raw-worker.js';

const rows = 40_960;

let directory: string;
let coordinator: RunningCoordinator;
let client: Client;
let worker: ChildProcess | undefined;
let workers = 0;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'windrow-wire-'));
  await duckdb(`copy (select i as id from range(${rows}) t(i))
    to '${join(directory, 'ids.parquet')}' (format parquet, row_group_size 10240)`);
  const started = await startCoordinator({
    stateDirectory: join(directory, 'state'),
    embedded: false,
    allowRoots: [directory],
  });
  if ('busy' in started) throw new Error('the state directory is busy');
  coordinator = started;
  client = connect(coordinator.endpoint);
});

afterAll(async () => {
  client.close();
  await coordinator.stop();
  worker?.kill('SIGKILL');
  rmSync(directory, { recursive: true, force: true });
});

async function submit(name: string): Promise<string> {
  const spec = join(directory, `${name}.yaml`);
  writeFileSync(
    spec,
    `apiVersion: windrow/v1
kind: Job
metadata: { name: ${name} }
sources: { ids: { parquet: ids.parquet } }
steps: [{ id: even, filter: { from: ids, where: "id % 2 = 0" } }]
outputs: [{ from: even, parquet: out/${name} }]
`,
  );
  return (await client.submit(await loadJob(spec, {}))).jobId;
}

function rawWorker(): RawWorker {
  workers += 1;
  return new RawWorker(coordinator.endpoint, `w${workers}`);
}

type Spoil = (truth: ChunkDone, assigned: Assignment) => Partial<ChunkDone>;

const elsewhere = (path: string): Partial<ChunkDone> => ({
  files: [{ path, rows: 1, bytes: 1, sha256: 'a'.repeat(64), partition: [] }],
});

const lies: [string, Spoil][] = [
  ['another identity', () => ({ identity: sha256Hex('another') })],
  ['no identity', () => ({ identity: '' })],
  ['a file of the system', () => elsewhere('/etc/passwd')],
  ['a relative file', () => elsewhere('ids.parquet')],
  ['an input of the job', () => elsewhere(join(directory, 'ids.parquet'))],
  [
    'a file that another attempt wrote',
    ({ files }) => elsewhere(files[0]!.path.replace('of-w', 'of-v')),
  ],
  [
    'a way out of the chunk directory',
    ({ files }) => elsewhere(files[0]!.path.replace(/[^/]+$/, '../../../$&')),
  ],
  ['dead letters elsewhere', (truth) => ({ deadLetters: { ...truth.files[0]!, path: '/tmp/d' } })],
  ['a huge chunk number', () => ({ chunk: 2 ** 31 - 1 })],
  ['a chunk number below zero', () => ({ chunk: -1 })],
  ['a chunk of another task', ({ chunk }) => ({ chunk: chunk === 0 ? 3 : 0 })],
  ['less than no rows', ({ counts }) => ({ counts: { ...counts!, rowsOut: -5 } })],
  [
    'a divided file that is longer than its blocks',
    ({ files }) => {
      const [file] = files;
      const parts = [{ partition: 0, rows: file!.rows }];
      const blocks = [{ offset: 0, bytes: file!.bytes - 1, rows: file!.rows, crc32: 0 }];
      return { files: [{ ...file!, divided: { parts, blocks } }] };
    },
  ],
  [
    'a divided file where none is wanted',
    ({ files }) => {
      const [file] = files;
      const parts = [{ partition: 0, rows: file!.rows }];
      const blocks = [{ offset: 0, bytes: file!.bytes, rows: file!.rows, crc32: 0 }];
      return { files: [{ ...file!, divided: { parts, blocks } }] };
    },
  ],
  ['no attempt', () => ({ attempt: undefined })],
  ['a stage that is not there', ({ attempt }) => ({ attempt: { ...attempt!, stageId: 's9' } })],
  ['a task that is not there', ({ attempt }) => ({ attempt: { ...attempt!, task: 77 } })],
  ['a task below zero', ({ attempt }) => ({ attempt: { ...attempt!, task: -1 } })],
  ['an attempt still to come', ({ attempt }) => ({ attempt: { ...attempt!, attempt: 1_000 } })],
  ['attempt zero', ({ attempt }) => ({ attempt: { ...attempt!, attempt: 0 } })],
];

describe('a worker that reports what is not so', () => {
  let job: string;
  beforeAll(async () => {
    job = await submit('lied-to');
  });

  it.each(lies)('loses its stream over %s', async (_, spoil) => {
    const liar = rawWorker();
    liar.hello();
    const assigned = await liar.assignment();
    const truth = liar.truth(assigned);
    liar.report({ ...truth, ...spoil(truth, assigned) });
    const { code, details } = await liar.refusal;
    expect(details).toMatch(/^E_WORKER_PROTOCOL: worker w\d+ reports /);
    expect(code).toBe(status.INVALID_ARGUMENT);
    await liar.leave();
    expect((await client.get(job)).progress.chunksDone).toBe(0);
  });

  it('loses its stream over the attempt of another worker', async () => {
    const [honest, liar] = [rawWorker(), rawWorker()];
    honest.hello();
    const { attempt } = await honest.assignment();
    liar.hello();
    await liar.next('welcome');
    const report = { $case: 'attemptEnded' as const, value: { attempt, workerExiting: false } };
    liar.say({ $case: 'reports', value: { reports: [{ seq: 1, report }] } });
    expect((await liar.refusal).details).toMatch(/which runs on worker w\d+/);
    expect((await client.get(job)).progress.tasksRunning).toBeGreaterThan(0);
    await liar.leave();
    await honest.leave();
  });

  it('is not heard about a job that is gone, and its record does not enter the index', async () => {
    const late = rawWorker();
    late.hello();
    const assigned = await late.assignment();
    const truth = late.truth(assigned);
    late.report({ ...truth, attempt: { ...truth.attempt!, jobId: 'jgone' } });
    expect((await late.next('ack')).value.seq).toBe(1);
    await late.leave();
    // Were the record in the index, the job's own chunk would be found done there and lost.
    expect((await client.get(job)).progress.chunksDone).toBe(0);
  });

  it('is named in the log of the job', async () => {
    const lines: string[] = [];
    for await (const { text } of client.logs(job)) lines.push(text);
    expect(lines.filter((line) => line.includes('E_WORKER_PROTOCOL')).length).toBeGreaterThan(10);
  });
});

describe('a worker that speaks out of turn', () => {
  it('loses its stream over a second hello', async () => {
    const twice = rawWorker();
    twice.hello();
    await twice.next('welcome');
    twice.hello({ workerId: 'somebody-else' });
    expect((await twice.refusal).details).toContain('says hello twice');
    await twice.leave();
    expect((await client.workers()).map((each) => each.worker)).not.toContain('somebody-else');
  });

  it.each([
    ['no name', { workerId: '' }],
    ['a name with control characters', { workerId: 'a\nb' }],
    ['an incarnation that is a path', { incarnation: '../../etc' }],
    ['slots below zero', { slots: -1 }],
    ['an address without end', { shuffleAddress: `h${'o'.repeat(300)}:1` }],
    ['an address with control characters', { shuffleAddress: 'h:1\n' }],
    ['a shuffle directory that is not absolute', { shuffleDirectory: 'shuffle' }],
    ['a shuffle directory without end', { shuffleDirectory: `/${'s'.repeat(2000)}` }],
  ])('loses its stream over a hello with %s', async (_, change) => {
    const stranger = rawWorker();
    stranger.hello(change);
    expect((await stranger.refusal).details).toContain('E_WORKER_PROTOCOL');
    stranger.client.close();
  });

  it('does not take the place of another one of its name, which works on', async () => {
    const first = rawWorker();
    first.hello();
    await first.next('welcome');
    const second = new RawWorker(coordinator.endpoint, first.id, 'another');
    second.hello({ pid: 2 });
    expect((await second.refusal).details).toMatch(/E_WORKER_ID: .*process 1; .*--id/);
    second.client.close();
    const state = async () =>
      (await client.workers()).find(({ worker }) => worker === first.id)?.state;
    expect(await state()).toBe('connected');
    await first.leave();
    // Its name is free again.
    await expect.poll(state).not.toBe('connected');
    const third = new RawWorker(coordinator.endpoint, first.id, 'third');
    third.hello();
    await third.next('welcome');
    await third.leave();
  });

  it('loses its stream over a report before its hello', async () => {
    const hasty = rawWorker();
    hasty.say({ $case: 'reports', value: { reports: [] } });
    expect((await hasty.refusal).details).toContain('before its hello');
    hasty.client.close();
  });

  it.each([
    ['bytes that are no message', Buffer.from([0xff, 0xff, 0xff])],
    ['a number no integer can hold', Buffer.from('1a0c0a0a08ffffffffffffffff7f', 'hex')],
  ])('loses its stream over %s', async (_, bytes) => {
    const raw = new RawClient(coordinator.endpoint, credentials.createInsecure());
    const same = (data: Buffer): Buffer => data;
    const path = '/windrow.v1.WorkerService/Session';
    const stream = raw.makeBidiStreamRequest(path, same, same, new Metadata());
    const ended = new Promise<{ code: number }>((done) => stream.on('status', done));
    stream.on('error', () => undefined);
    stream.on('data', () => undefined);
    stream.write(bytes);
    expect((await ended).code).not.toBe(status.OK);
    raw.close();
  });

  it('is welcome with an epoch of long ago', async () => {
    const old = rawWorker();
    old.hello({ epoch: -3 });
    expect((await old.next('welcome')).value.epoch).toBeGreaterThan(0);
    await old.leave();
  });
});

it.each(['null', '7', '{"kind":"banana","code":"E_X","message":"m"}', '{', '{"kind":"io"}'])(
  'a failure that is none, %s, fails its job and not the coordinator',
  async (failureJson) => {
    const job = await submit(`failing-${sha256Hex(failureJson).slice(0, 8)}`);
    const failing = rawWorker();
    failing.hello({ slots: 16 });
    const { attempt } = await failing.assignment(job);
    const value = { attempt, failureJson, workerExiting: false };
    const report = { $case: 'attemptEnded' as const, value };
    failing.say({ $case: 'reports', value: { reports: [{ seq: 1, report }] } });
    await failing.next('ack');
    await failing.leave();
    const view = await client.wait(job, { timeoutMs: 20_000 });
    expect(view.failure).toMatchObject({ kind: 'broken', code: 'E_INTERNAL' });
  },
);

it('closes the file of a blob whose reader has gone', async () => {
  // A hole of 64 GiB: reading it to its end would take longer than anybody waits here.
  const digest = sha256Hex('a large model');
  const path = join(directory, 'state', 'blobs', digest);
  mkdirSync(join(directory, 'state', 'blobs'), { recursive: true });
  writeFileSync(path, '');
  truncateSync(path, 2 ** 36);
  const isOpen = (): boolean =>
    readdirSync('/proc/self/fd').some((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`) === path;
      } catch {
        return false;
      }
    });
  const reader = rawWorker();
  const call = reader.client.fetchBlob({ digest });
  call.on('error', () => undefined);
  await new Promise((heard) => call.once('data', heard));
  call.pause();
  expect(isOpen()).toBe(true);
  call.cancel();
  await vi.waitUntil(() => !isOpen(), { timeout: 10_000 });
  reader.client.close();
});

it('a proper worker then finishes the job that was lied about', async () => {
  const job = (await client.list({})).find(({ name }) => name === 'lied-to')!.job;
  const main = resolve('dist/worker/main.js');
  const args = [main, '--coordinator', coordinator.endpoint, '--slots', '1', '--pool', '*'];
  worker = spawn(process.execPath, args, { stdio: 'inherit' });
  const view = await client.wait(job, { timeoutMs: 60_000 });
  expect(view.failure).toBeUndefined();
  expect(view.state).toBe('succeeded');
  expect((await published(join(directory, 'out', 'lied-to'))).rows).toBe(rows / 2);
});
