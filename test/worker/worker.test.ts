/** A real worker process and a coordinator that speaks by hand: how attempts end before they begin. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { get, type IncomingMessage } from 'node:http';
import { dirname, join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { sha256Hex } from '../../shared/chunk-identity.js';
import type { StageProgram } from '../../shared/plan.js';
import { chunkFilePath, deadLetterFilePath } from '../../shared/storage/paths.js';
import { rangeHeader, targetOf } from '../../worker/shuffle/parts-protocol.js';
import { epoch, RawCoordinator } from './raw-coordinator.js';
import { writeChunk } from './shuffle/machines.js';

const bundle = 'export const row = (row) => row;\n';

/** A stage that has to fetch a bundle of these bytes before it can begin. */
function program(bytes = bundle): StageProgram {
  const digest = sha256Hex(bytes);
  return {
    scan: { kind: 'source', columns: [{ name: 'i', type: 'BIGINT' }], hive: [] },
    steps: [
      {
        kind: 'map',
        id: 'mapped',
        bundle: { digest, bytes: bytes.length, name: 'rows.mjs' },
        export: 'row',
        style: 'row',
        rowwise: true,
        reads: [{ name: 'i', type: 'BIGINT' }],
        columns: [{ name: 'i', type: 'BIGINT' }],
        onError: 'fail',
      },
    ],
    sink: {
      columns: [{ name: 'i', type: 'BIGINT' }],
      compression: 'snappy',
      partitionBy: [],
    },
    rowwise: true,
  };
}

let coordinator: RawCoordinator;

beforeEach(async () => {
  coordinator = await RawCoordinator.start(2);
});
afterEach(() => coordinator.close());

async function fetching(count: number): Promise<void> {
  await coordinator.until(() => coordinator.fetches.length === count);
}

it('cancel ends an attempt that waits for its bundle, and the fetch with it', async () => {
  coordinator.assign(0, program());
  await fetching(1);
  coordinator.fetches[0]!.send(Buffer.from('export'), false);
  coordinator.cancel(0);
  expect(await coordinator.endOf(0)).toMatchObject({ kind: 'cancelled', code: 'E_CANCELLED' });
  await coordinator.fetches[0]!.cancelled;

  // The next one fetches anew, and gets as far as its input.
  coordinator.assign(1, program());
  await fetching(2);
  coordinator.fetches[1]!.send(Buffer.from(bundle));
  expect((await coordinator.endOf(1))?.code).toBe('E_INPUT_CHANGED');
});

it('one attempt that is cancelled leaves the fetch to another that waits for the same', async () => {
  coordinator.assign(0, program());
  coordinator.assign(1, program());
  await fetching(1);
  coordinator.cancel(0);
  expect((await coordinator.endOf(0))?.code).toBe('E_CANCELLED');
  expect(coordinator.fetches[0]!.isCancelled()).toBe(false);
  coordinator.fetches[0]!.send(Buffer.from(bundle));
  expect((await coordinator.endOf(1))?.code).toBe('E_INPUT_CHANGED');
  expect(coordinator.fetches).toHaveLength(1);
});

it('a worker that drains while it fetches hands the attempt back and leaves', async () => {
  coordinator.assign(0, program());
  await fetching(1);
  coordinator.say({ $case: 'drain', value: {} });
  expect(await coordinator.endOf(0)).toMatchObject({
    kind: 'workerLost',
    code: 'E_WORKER_DRAINED',
  });
  await coordinator.fetches[0]!.cancelled;
  expect(await coordinator.workerExit()).toBe(0);
});

it('a worker that is told to leave by a signal while it fetches leaves', async () => {
  coordinator.assign(0, program());
  await fetching(1);
  coordinator.worker.kill('SIGTERM');
  expect((await coordinator.endOf(0))?.code).toBe('E_WORKER_DRAINED');
  expect(await coordinator.workerExit()).toBe(0);
});

it('an assignment by a coordinator of the past is not heard', async () => {
  coordinator.assign(0, program('of the past'), epoch - 1);
  coordinator.assign(1, program());
  await fetching(1);
  expect(coordinator.fetches[0]!.digest).toBe(sha256Hex(bundle));
  coordinator.cancel(1);
  await coordinator.endOf(1);
  expect([...coordinator.ended.keys()]).toEqual([1]);
});

it('a worker says once that it lost its coordinator, however often it tries, and that it is back', async () => {
  coordinator.turnsAway = 3;
  coordinator.refuse('gone for a while', status.UNAVAILABLE);
  await coordinator.until(() => coordinator.stderr.split('joined').length === 3);
  const said = coordinator.stderr.trim().split('\n');
  expect(said).toEqual([
    expect.stringMatching(/^joined unix:\S+sock as \S+$/),
    expect.stringMatching(/^lost the coordinator at unix:\S+ \(gone for a while\): still trying$/),
    said[0],
  ]);
  expect(coordinator.turnsAway).toBe(0);
});

it('a worker that is refused says why and leaves, whatever it waits for', async () => {
  coordinator.assign(0, program());
  await fetching(1);
  coordinator.refuse('E_WORKER_PROTOCOL: it reports what is not so');
  expect(await coordinator.workerExit()).toBe(2);
  expect(coordinator.stderr).toContain('error E_WORKER_PROTOCOL: it reports what is not so');
});

it('a worker deletes only what it wrote itself, where it was told to write', async () => {
  coordinator.assign(0, program());
  await fetching(1);
  const chunks = join(coordinator.directory, 'chunks');
  const { incarnation } = coordinator.hello;
  const identity = sha256Hex('a chunk');
  const tag = `j1-s0-0-1-${incarnation}`;
  const ours = [chunkFilePath(chunks, identity, tag), deadLetterFilePath(chunks, identity, tag)];
  const others = [
    chunkFilePath(chunks, identity, 'j1-s0-0-1-of-another'),
    chunkFilePath(join(coordinator.directory, 'elsewhere'), identity, tag),
    join(chunks, `out-${incarnation}.parquet`),
    join(coordinator.directory, `data-${incarnation}.parquet`),
  ];
  for (const path of [...ours, ...others]) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, 'rows');
  }
  const sneaky = join(chunks, '..', 'elsewhere', others[1]!.slice(-100));
  coordinator.say({ $case: 'discard', value: { paths: [sneaky, ...others, ...ours] } });
  await coordinator.until(() => coordinator.stderr.includes(others[3]!));
  expect(ours.filter(existsSync)).toEqual([]);
  expect(others.filter(existsSync)).toEqual(others);
});

it('a worker says where others reach it, and serves what its attempts were told to write', async () => {
  const { shuffleAddress: address = '', incarnation } = coordinator.hello;
  const socket = join(coordinator.directory, 'spill', `windrow-${incarnation}.sock`);
  expect(address).toBe(`unix:${socket}`);
  const path = writeChunk(join(coordinator.directory, 'chunks'), 5000);
  const read = async (): Promise<{ status: number | undefined; body: Buffer }> => {
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const range = rangeHeader({ offset: 1000, bytes: 300 });
      const target = { socketPath: socket, path: targetOf(path), headers: { range }, agent: false };
      get(target, resolve).on('error', reject);
    });
    return { status: answer.statusCode, body: await buffer(answer) };
  };
  expect((await read()).body.toString()).toContain('E_URI_DENIED');
  coordinator.assign(0, program());
  await fetching(1);
  expect(await read()).toEqual({ status: 206, body: readFileSync(path).subarray(1000, 1300) });
});

it('a worker that cannot listen where it is told to says why and leaves', async () => {
  const raw = new RawCoordinator();
  try {
    for (const [listen, code] of [
      ['10.0.0.5:7500', 'E_INSECURE_BIND'],
      ['0.0.0.0:7500', 'E_LISTEN'],
    ] as const) {
      raw.stderr = '';
      raw.spawnWorker('unix:/nowhere', 1, '--shuffle-listen', listen);
      expect(await raw.workerExit()).toBe(1);
      await raw.until(() => raw.stderr.includes(`error ${code}: `));
    }
  } finally {
    await raw.close();
  }
});
