/** The shuffle service as a caller sees it who does not keep to what workers do. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { type ClientDuplexStream, credentials, status } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Failure } from '../../../shared/failure.js';
import {
  type PartBytes,
  type PartRange,
  ShuffleServiceClient,
} from '../../../shared/gen/windrow.js';
import { BlockPool } from '../../../worker/shuffle/block-pool.js';
import { shuffleLimits } from '../../../worker/shuffle/limits.js';
import { OtherMachine, writeChunk } from './machines.js';

const mebibyte = 1024 * 1024;

/** Counts how often a block was wanted. */
class CountedPool extends BlockPool {
  used = 0;
  most = 0;

  override with<Result>(use: (block: Buffer) => Promise<Result>): Promise<Result> {
    return super.with((block) => {
      this.used += 1;
      this.most = Math.max(this.most, this.taken);
      return use(block);
    });
  }
}

let directory: string;
let path: string;
let name: string;
let blocks: CountedPool;
let machine: OtherMachine;
const clients: ShuffleServiceClient[] = [];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'windrow-service-'));
  path = writeChunk(directory, 32 * mebibyte);
  blocks = new CountedPool(2, shuffleLimits.blockBytes);
  machine = await OtherMachine.start(directory, { blocks });
  name = machine.nameOf(path);
});
afterEach(() => {
  for (const client of clients.splice(0)) client.close();
  machine.close();
  rmSync(directory, { recursive: true, force: true });
});

type Call = ClientDuplexStream<PartRange, PartBytes>;

function called(): Call {
  const client = new ShuffleServiceClient(machine.address, credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
  });
  clients.push(client);
  const call = client.readParts();
  call.on('error', () => undefined);
  return call;
}

/** Asks for the whole file, mebibyte by mebibyte, and says no more. */
function askAll(call: Call): Call {
  for (let offset = 0; offset < 32 * mebibyte; offset += mebibyte) {
    call.write({ path: name, offset, bytes: mebibyte });
  }
  call.end();
  return call;
}

async function repliesOf(call: Call): Promise<PartBytes[]> {
  const replies: PartBytes[] = [];
  for await (const reply of call) replies.push(reply as PartBytes);
  return replies;
}

it('answers ranges in the order they were asked for, each with its checksum', async () => {
  const call = called();
  const content = readFileSync(path);
  const asked = [
    [5, 7],
    [1_000_000, mebibyte],
    [0, 0],
    [content.length - 3, 3],
  ] as const;
  for (const [offset, bytes] of asked) call.write({ path: name, offset, bytes });
  call.end();
  const replies = await repliesOf(call);
  expect(replies.map(({ crc32: sum }) => sum)).toEqual(
    asked.map(([offset, bytes]) => crc32(content.subarray(offset, offset + bytes))),
  );
  expect(replies.every(({ data, crc32: sum }) => crc32(data) === sum)).toBe(true);
});

it('reads no further than a caller takes, and serves others meanwhile', async () => {
  const slow = askAll(called());
  // It takes the first reply, and after that nothing.
  await new Promise((taken) => slow.once('readable', taken));
  expect(await repliesOf(askAll(called()))).toHaveLength(32);
  expect(blocks.used).toBeLessThan(32 + 24);
  expect(blocks.most).toBeLessThanOrEqual(2);

  expect(await repliesOf(slow)).toHaveLength(32);
  expect(blocks.used).toBe(64);
  expect(blocks.taken).toBe(0);
});

it('has callers wait for a block when all are in use, and gives back what a caller leaves', async () => {
  const slow = [askAll(called()), askAll(called())];
  for (const call of slow) await new Promise((taken) => call.once('readable', taken));
  const third = repliesOf(askAll(called()));
  slow[0]!.cancel();
  expect(await third).toHaveLength(32);
  expect(blocks.most).toBe(2);
  slow[1]!.cancel();
  // Nothing is held for callers that are gone.
  expect(await repliesOf(askAll(called()))).toHaveLength(32);
  await expect.poll(() => blocks.taken).toBe(0);
});

it('goes on with the next range after one that it cannot read, and says why', async () => {
  const call = called();
  const wanted = [
    { path: '/etc/passwd', offset: 0, bytes: 10 },
    { path: name.replace('.a.chunk', '.b.chunk'), offset: 0, bytes: 10 },
    { path: name, offset: 32 * mebibyte - 1, bytes: 2 },
    { path: name, offset: 0, bytes: 10 },
  ];
  for (const range of wanted) call.write(range);
  call.end();
  const replies = await repliesOf(call);
  expect(replies.map(({ data }) => data.length)).toEqual([0, 0, 0, 10]);
  const failures = replies.map(({ failureJson }) =>
    failureJson === undefined ? undefined : (JSON.parse(failureJson) as Failure).code,
  );
  expect(failures).toEqual(['E_URI_DENIED', 'E_CHUNK_LOST', 'E_CHUNK_LOST', undefined]);
});

it.each([
  ['more than one reply holds', mebibyte + 1, 0],
  ['less than nothing', -1, 0],
  ['what lies before the file', 1, -1],
])('ends the call of who asks for %s', async (_, bytes, offset) => {
  const call = called();
  call.write({ path: name, offset, bytes });
  await expect(repliesOf(call)).rejects.toMatchObject({
    code: status.INVALID_ARGUMENT,
    details: expect.stringContaining('E_WORKER_PROTOCOL'),
  });
});
