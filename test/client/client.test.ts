import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Deadline, status } from '@grpc/grpc-js';
import { RecordBatchStreamWriter, tableFromArrays } from 'apache-arrow';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { connect } from '../../client/client.js';
import type { Client, ConnectOptions, LoadedJob, LocalFile } from '../../client/types.js';
import { sha256Hex } from '../../shared/chunk-identity.js';
import { WindrowError, type Failure } from '../../shared/failure.js';
import type {
  JobEvent,
  JobServiceServer,
  ScheduleServiceServer,
} from '../../shared/gen/windrow.js';
import { limits } from '../../shared/limits.js';
import { failureToStatus } from '../../shared/rpc.js';
import {
  BlobShelf,
  failureOf,
  newDirectory,
  startServer,
  type RunningServer,
} from './job-server.js';

let directory: string;
let socket: string;
const servers: RunningServer[] = [];
const clients: Client[] = [];

beforeEach(() => {
  directory = newDirectory();
  socket = join(directory, 'windrow.sock');
});

afterEach(() => {
  for (const client of clients.splice(0)) client.close();
  for (const server of servers.splice(0)) server.kill();
  rmSync(directory, { recursive: true, force: true });
});

async function serve(
  methods: Partial<JobServiceServer>,
  schedules: Partial<ScheduleServiceServer> = {},
): Promise<RunningServer> {
  const server = await startServer(socket, methods, schedules);
  servers.push(server);
  return server;
}

function open(options: ConnectOptions = {}): Client {
  const client = connect(`unix:${socket}`, options);
  clients.push(client);
  return client;
}

const event = (seq: number, kind = 'started'): JobEvent => ({
  seq,
  timeMs: 1_000 + seq,
  kind,
  dataJson: JSON.stringify({ rowsDone: seq }),
});

function localFile(name: string, bytes: Buffer, external: LocalFile[] = []): LocalFile {
  const path = join(directory, name);
  writeFileSync(path, bytes);
  return { digest: sha256Hex(bytes), bytes: bytes.length, name, path, external };
}

function jobWith(files: ReadonlyMap<string, LocalFile>): LoadedJob {
  return { name: 'score', specJson: '{}', files, directory };
}

const secondsTo = (deadline: Deadline): number => (Number(deadline) - Date.now()) / 1000;

test('submit uploads what is missing once, in parts, and names all of it', async () => {
  const shelf = new BlobShelf();
  const requests: string[] = [];
  await serve({
    ...shelf.methods,
    submit: (call, callback) => {
      requests.push(JSON.stringify(call.request.files));
      callback(null, { jobId: `j-${call.request.requestId}`, existing: requests.length > 1 });
    },
  });
  const weights = localFile('w.bin', Buffer.alloc(3 * limits.blobPartBytes + 1, 7));
  const model = localFile('m.onnx', Buffer.from('model'), [weights]);
  const empty = localFile('empty.mjs', Buffer.alloc(0));
  const job = jobWith(
    new Map([
      ['/m.onnx', model],
      ['/same.onnx', model],
      ['/e.ts', empty],
    ]),
  );
  const client = open();
  expect(await client.submit(job, { requestId: 'r1' })).toEqual({ jobId: 'j-r1', existing: false });
  expect(await client.submit(job, { requestId: 'r1' })).toEqual({ jobId: 'j-r1', existing: true });
  expect(shelf.puts.sort((a, b) => a.name.localeCompare(b.name))).toEqual([
    { name: 'empty.mjs', parts: 1 },
    { name: 'm.onnx', parts: 1 },
    { name: 'w.bin', parts: 4 },
  ]);
  expect(JSON.parse(requests[0] ?? '')).toMatchObject({
    '/m.onnx': { digest: model.digest, external: [{ name: 'w.bin', digest: weights.digest }] },
  });
});

test('an upload that the coordinator refuses half-way ends with its reason', async () => {
  const failure: Failure = { kind: 'invalidSpec', code: 'E_BLOB_TOO_LARGE', message: 'too much' };
  await serve({
    missingBlobs: (call, callback) => callback(null, call.request),
    putBlob: (call, callback) => {
      call.once('data', () => callback(failureToStatus(failure)));
    },
  });
  const big = localFile('big.bin', Buffer.alloc(32 * limits.blobPartBytes));
  const submitted = open().submit(jobWith(new Map([['/big', big]])));
  expect(await failureOf(submitted)).toEqual(failure);
});

test('an upload that nobody takes has a deadline, and ends when the client is closed', async () => {
  let cancelled: Promise<unknown> | undefined;
  const begun = new Promise<Deadline>((resolve) => {
    void serve({
      missingBlobs: (call, callback) => callback(null, call.request),
      putBlob: (call) => {
        cancelled = once(call, 'cancelled');
        resolve(call.getDeadline());
      },
    });
  });
  const big = localFile('big.bin', Buffer.alloc(8 * limits.blobPartBytes));
  const client = open();
  const submitted = failureOf(client.submit(jobWith(new Map([['/big', big]]))));
  expect(secondsTo(await begun)).toSatisfy((left: number) => left > 100 && left <= 309);
  client.close();
  expect(await submitted).toMatchObject({ code: 'E_CANCELLED' });
  await cancelled;
});

test('a schedule may take as long to make as a job to submit', async () => {
  let left = 0;
  await serve(
    {},
    {
      putSchedule: (call, callback) => {
        left = secondsTo(call.getDeadline());
        callback(null, { scheduleJson: '{"name":"s"}' });
      },
    },
  );
  const schedule = { name: 's', specJson: '{}', job: jobWith(new Map()) };
  expect(await open().schedules.create(schedule)).toEqual({ name: 's' });
  expect(left).toSatisfy((seconds: number) => seconds > 100 && seconds <= 300);
});

test('a file that vanished before its upload is a failure, not a crash', async () => {
  await serve(new BlobShelf().methods);
  const file = localFile('gone.bin', Buffer.from('x'));
  rmSync(file.path);
  const submitted = open().submit(jobWith(new Map([['/gone', file]])));
  expect(await failureOf(submitted)).toMatchObject({ code: 'E_IO_ENOENT' });
});

test('events go on after the last one seen when the coordinator comes back', async () => {
  const asked: number[] = [];
  const first = await serve({
    watchJob: (call) => {
      asked.push(call.request.afterSeq);
      for (const one of [event(1), event(0, 'progress'), event(2)]) call.write(one);
    },
  });
  const seen: [number, string][] = [];
  for await (const { seq, event: kind, job, time, rowsDone } of open().events('j1')) {
    seen.push([seq, kind]);
    expect([job, rowsDone, time]).toEqual(['j1', seq, new Date(1_000 + seq).toISOString()]);
    if (seq !== 2) continue;
    first.kill();
    await serve({
      watchJob: (call) => {
        asked.push(call.request.afterSeq);
        // One that was seen already, as a server that rounds down would send.
        for (const one of [event(2), event(3), event(4, 'result')]) call.write(one);
        call.end();
      },
    });
  }
  expect(seen).toEqual([
    [1, 'started'],
    [0, 'progress'],
    [2, 'started'],
    [3, 'started'],
    [4, 'result'],
  ]);
  expect(asked).toEqual([0, 2]);
});

test('events give up when the coordinator stays away', async () => {
  const read = async (): Promise<void> => {
    for await (const _ of open({ reconnectMs: 200 }).events('j1')) expect.unreachable();
  };
  expect(await failureOf(read())).toMatchObject({ kind: 'io', code: 'E_UNREACHABLE' });
});

test('events give up on a coordinator that answers each time but never lasts', async () => {
  let calls = 0;
  await serve({
    watchJob: (call) => {
      calls += 1;
      call.emit('error', { code: status.UNAVAILABLE, details: 'starting' });
    },
  });
  const read = async (): Promise<void> => {
    for await (const _ of open({ reconnectMs: 400 }).events('j1')) expect.unreachable();
  };
  expect(await failureOf(read())).toMatchObject({ code: 'E_UNREACHABLE' });
  expect(calls).toBeGreaterThan(1);
});

test('a signal ends the wait for a coordinator that is away', async () => {
  const stop = AbortSignal.timeout(50);
  for await (const _ of open().events('j1', { signal: stop })) expect.unreachable();
  expect(stop.aborted).toBe(true);
});

test('events do not reconnect after an answer that is a refusal', async () => {
  let calls = 0;
  const failure: Failure = { kind: 'io', code: 'E_SLOW_READER', message: 'too slow' };
  await serve({
    watchJob: (call) => {
      calls += 1;
      call.emit('error', failureToStatus(failure));
    },
  });
  const read = async (): Promise<void> => {
    for await (const _ of open().events('j1')) expect.unreachable();
  };
  expect(await failureOf(read())).toEqual(failure);
  expect(calls).toBe(1);
});

test('leaving the loop cancels the call on the other side', async () => {
  let cancelled: Promise<unknown> | undefined;
  await serve({
    watchJob: (call) => {
      cancelled = once(call, 'cancelled');
      call.write(event(1));
    },
  });
  for await (const _ of open().events('j1')) break;
  await cancelled;
  expect(cancelled).toBeDefined();
});

test('a signal ends the events without an error', async () => {
  await serve({ watchJob: (call) => void call.write(event(1)) });
  const stop = new AbortController();
  let count = 0;
  for await (const _ of open().events('j1', { signal: stop.signal })) {
    count += 1;
    stop.abort();
  }
  expect(count).toBe(1);
});

test('a failure arrives as it was sent, with all problems', async () => {
  const failure: Failure = {
    kind: 'invalidSpec',
    code: 'E_SPEC_UNKNOWN_FIELD',
    message: "unknown field 'wher' → naïve",
    at: { file: '/specs/ü.yaml', line: 3, col: 7 },
    hint: "did you mean 'where'",
  };
  const other: Failure = { ...failure, code: 'E_SPEC_INVALID', at: { line: 9 } };
  await serve({
    getJob: (_call, callback) => callback(failureToStatus(failure, [failure, other])),
  });
  const error: unknown = await open()
    .get('j1')
    .catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(WindrowError);
  expect((error as WindrowError).failure).toEqual(failure);
  expect((error as WindrowError).problems).toEqual([failure, other]);
});

test('a failure too long for a trailer arrives shortened', async () => {
  const long: Failure = { kind: 'badData', code: 'E_LONG', message: 'é'.repeat(100_000) };
  await serve({
    getJob: (_call, callback) => callback(failureToStatus(long, Array<Failure>(100).fill(long))),
  });
  const failure = await failureOf(open().get('j1'));
  expect(failure.code).toBe('E_LONG');
  expect(failure.message.length).toBeGreaterThan(900);
});

test('nobody listening is E_UNREACHABLE', async () => {
  const asked = open({ retryMs: 100 }).get('j1');
  expect(await failureOf(asked)).toMatchObject({ kind: 'io', code: 'E_UNREACHABLE' });
});

test('an answer that does not come in time is E_DEADLINE, asked for once', async () => {
  let calls = 0;
  await serve({ getJob: () => void (calls += 1) });
  expect(await failureOf(open({ timeoutMs: 100 }).get('j1'))).toMatchObject({
    kind: 'io',
    code: 'E_DEADLINE',
  });
  expect(calls).toBe(1);
});

test('what may be asked twice is asked again until a coordinator answers, in the name of one request', async () => {
  const asked: string[] = [];
  const away = { code: status.UNAVAILABLE, details: 'starting' };
  await serve({
    submit: ({ request }, callback) => {
      asked.push(request.requestId);
      if (asked.length < 3) callback(away);
      else callback(null, { jobId: 'j1', existing: true });
    },
    drainWorker: (_call, callback) => {
      asked.push('drain');
      callback(away);
    },
  });
  const client = open();
  expect(await client.submit(jobWith(new Map()))).toEqual({ jobId: 'j1', existing: true });
  expect(asked).toHaveLength(3);
  expect(new Set(asked).size).toBe(1);
  expect(await failureOf(client.drain('w1'))).toMatchObject({ code: 'E_UNREACHABLE' });
  expect(asked.filter((name) => name === 'drain')).toHaveLength(1);
});

test('a call is answered although its coordinator starts only now', async () => {
  const asked = open().get('j1');
  await serve({ getJob: (_call, callback) => callback(null, { jobJson: '{"job":"j1"}' }) });
  expect(await asked).toEqual({ job: 'j1' });
});

test('a method that the coordinator lacks is a version mismatch', async () => {
  await serve({});
  expect(await failureOf(open().workers())).toMatchObject({ code: 'E_VERSION_MISMATCH' });
});

test('the token travels with each call', async () => {
  const seen: unknown[] = [];
  await serve({
    listJobs: (call, callback) => {
      seen.push(...call.metadata.get('authorization'));
      callback(null, { jobsJson: ['{"job":"j1"}'] });
    },
    watchJob: (call) => {
      seen.push(...call.metadata.get('authorization'));
      call.end();
    },
  });
  const client = open({ token: 'secret' });
  expect(await client.list()).toEqual([{ job: 'j1' }]);
  for await (const _ of client.events('j1')) expect.unreachable();
  expect(seen).toEqual(['Bearer secret', 'Bearer secret']);
});

test('results are record batches, however the stream was cut', async () => {
  const table = tableFromArrays({ id: Int32Array.from([1, 2, 3]), name: ['a', null, 'ü'] });
  const bytes = RecordBatchStreamWriter.writeAll(table).toUint8Array(true);
  await serve({
    fetchResult: (call) => {
      expect(call.request).toEqual({ jobId: 'j1', output: 'scored', maxRows: 3 });
      for (let at = 0; at < bytes.length; at += 7) {
        call.write({ data: Buffer.from(bytes.subarray(at, at + 7)) });
      }
      call.end();
    },
  });
  const rows: unknown[] = [];
  for await (const batch of open().result('j1', 'scored', { maxRows: 3 })) {
    for (const row of batch) rows.push(row?.toJSON());
  }
  expect(rows).toEqual([
    { id: 1, name: 'a' },
    { id: 2, name: null },
    { id: 3, name: 'ü' },
  ]);
});

test('a result that fails after its first batch fails in the loop', async () => {
  const failure: Failure = { kind: 'io', code: 'E_RESULT_GONE', message: 'removed' };
  const bytes = RecordBatchStreamWriter.writeAll(tableFromArrays({ a: [1] })).toUint8Array(true);
  await serve({
    fetchResult: (call) => {
      call.write({ data: Buffer.from(bytes.subarray(0, bytes.length - 8)) }, () => {
        call.emit('error', failureToStatus(failure));
      });
    },
  });
  const read = async (): Promise<void> => {
    for await (const batch of open().result('j1')) expect(batch.numRows).toBe(1);
  };
  expect(await failureOf(read())).toEqual(failure);
});

test('wait resolves with the job as it ended', async () => {
  let state = 'running';
  await serve({
    watchJob: (call) => {
      state = 'succeeded';
      call.write(event(1, 'result'));
      call.end();
    },
    getJob: (call, callback) =>
      callback(null, { jobJson: JSON.stringify({ job: call.request.jobId, state }) }),
  });
  expect(await open().wait('j1')).toEqual({ job: 'j1', state: 'succeeded' });
});

test('wait says so when its time is over, and the job goes on', async () => {
  await serve({
    watchJob: (call) => void call.write(event(1)),
    getJob: (_call, callback) => callback(null, { jobJson: '{"state":"running"}' }),
  });
  for (const timeoutMs of [100, 50.25]) {
    const waited = open().wait('j1', { timeoutMs });
    expect(await failureOf(waited)).toMatchObject({ code: 'E_WAIT_TIMEOUT' });
  }
});

test('wait takes times that no timer does, and none that are no numbers', async () => {
  let asked = (): void => undefined;
  const looking = new Promise<void>((resolve) => (asked = resolve));
  await serve({
    watchJob: (call) => {
      call.write(event(1));
      asked();
    },
  });
  const client = open({ timeoutMs: Number.MAX_SAFE_INTEGER });
  const stop = new AbortController();
  const waits = [2 ** 31, 2 ** 33, Infinity].map((timeoutMs) =>
    failureOf(client.wait('j1', { timeoutMs, signal: stop.signal })),
  );
  await looking;
  // A timer that cannot take its time is over at once.
  const pause = new Promise((resolve) => setTimeout(() => resolve('waiting'), 100));
  expect(await Promise.race([...waits, pause])).toBe('waiting');
  stop.abort();
  for (const ended of waits) expect(await ended).toMatchObject({ code: 'E_CANCELLED' });
  for (const timeoutMs of [NaN, -1]) {
    expect(await failureOf(client.wait('j1', { timeoutMs }))).toMatchObject({ code: 'E_USAGE' });
    expect(() => open({ timeoutMs })).toThrow('E_USAGE');
  }
});

test('wait keeps its time although nobody answers', async () => {
  await serve({ watchJob: () => undefined, getJob: () => undefined });
  const waited = open().wait('j1', { timeoutMs: 50 });
  expect(await failureOf(waited)).toMatchObject({ code: 'E_WAIT_TIMEOUT' });
});

test('rows that are not read to their end do not look as if they were', async () => {
  const bytes = RecordBatchStreamWriter.writeAll(tableFromArrays({ a: [1] })).toUint8Array(true);
  const asked = new Promise<void>((resolve) => {
    void serve({
      fetchResult: (call) => {
        call.write({ data: Buffer.from(bytes.subarray(0, -8)) });
        resolve();
      },
    });
  });
  const client = open();
  const read = async (): Promise<void> => {
    for await (const batch of client.result('j1')) expect(batch.numRows).toBe(1);
  };
  const reading = failureOf(read());
  await asked;
  client.close();
  expect(await reading).toMatchObject({ code: 'E_CANCELLED' });
});

test.each(['10.0.0.5:7070', 'coordinator:7070', 'localhost.example.com:7070'])(
  'plaintext to %s is refused',
  (target) => {
    expect(() => connect(target)).toThrow(/E_INSECURE_TARGET/);
  },
);

test.each(['localhost:7070', '127.0.0.1:7070', '[::1]:7070', 'unix:/tmp/w.sock'])(
  'plaintext to %s stays on the machine',
  (target) => {
    connect(target).close();
  },
);

test('a certificate that cannot be read is named', () => {
  expect(() => connect('far:1', { tls: { ca: join(directory, 'ca.pem') } })).toThrow(
    /E_TLS_FILE.*ca\.pem/,
  );
});
