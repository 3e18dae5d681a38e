/** The shuffle service as a caller sees it who does not keep to what workers do. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { Agent, get, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer, json } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { BlockPool } from '../../../worker/shuffle/block-pool.js';
import { shuffleLimits } from '../../../worker/shuffle/limits.js';
import { rangeHeader, targetOf } from '../../../worker/shuffle/parts-protocol.js';
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
let agent: Agent;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'windrow-service-'));
  path = writeChunk(directory, 32 * mebibyte);
  blocks = new CountedPool(2, shuffleLimits.blockBytes);
  machine = await OtherMachine.start(directory, { blocks });
  name = machine.nameOf(path);
  agent = new Agent({ keepAlive: true });
});
afterEach(() => {
  agent.destroy();
  machine.close();
  rmSync(directory, { recursive: true, force: true });
});

function asked(
  target: string,
  range: string | undefined,
  method = 'GET',
): Promise<IncomingMessage> {
  const [host, port] = machine.address.split(':');
  const headers = range === undefined ? {} : { range };
  return new Promise((resolve, reject) => {
    get({ host, port, method, agent, path: target, headers }, resolve).on('error', reject);
  });
}

function bytesOf(offset: number, bytes: number): Promise<IncomingMessage> {
  return asked(targetOf(name), rangeHeader({ offset, bytes }));
}

const whole = (): Promise<IncomingMessage> => bytesOf(0, 32 * mebibyte);

it.each([
  [5, 7],
  [1_000_000, 3 * mebibyte],
  [32 * mebibyte - 3, 3],
])('answers the range of bytes from %i on, %i of them', async (offset, bytes) => {
  const answer = await bytesOf(offset, bytes);
  expect(answer.statusCode).toBe(206);
  expect(answer.headers['content-range']).toBe(
    `bytes ${offset}-${offset + bytes - 1}/${32 * mebibyte}`,
  );
  const content = readFileSync(path).subarray(offset, offset + bytes);
  expect((await buffer(answer)).equals(content)).toBe(true);
});

it('reads no further than a caller takes, and serves others meanwhile', async () => {
  const slow = await whole();
  // It takes what came with the headers, and after that nothing.
  expect((await buffer(await whole())).length).toBe(32 * mebibyte);
  expect(blocks.used).toBeLessThan(32 + 24);
  expect(blocks.most).toBeLessThanOrEqual(2);

  expect((await buffer(slow)).length).toBe(32 * mebibyte);
  expect(blocks.used).toBe(64);
  await expect.poll(() => blocks.taken).toBe(0);
});

it('has callers wait for a block when all are in use, and gives back what a caller leaves', async () => {
  const slow = [await whole(), await whole()];
  const third = whole();
  slow[0]!.destroy();
  expect((await buffer(await third)).length).toBe(32 * mebibyte);
  expect(blocks.most).toBe(2);
  slow[1]!.destroy();
  // Nothing is held for callers that are gone.
  expect((await buffer(await whole())).length).toBe(32 * mebibyte);
  await expect.poll(() => blocks.taken).toBe(0);
});

it('says why it cannot read a range, and goes on answering', async () => {
  const some = rangeHeader({ offset: 0, bytes: 10 });
  for (const [answer, status, code] of [
    [await asked(targetOf('/etc/passwd'), some), 403, 'E_URI_DENIED'],
    [await asked(targetOf(name.replace('.a.chunk', '.b.chunk')), some), 404, 'E_CHUNK_LOST'],
    [await bytesOf(32 * mebibyte - 1, 2), 404, 'E_CHUNK_LOST'],
  ] as const) {
    expect(answer.statusCode).toBe(status);
    expect(await json(answer)).toMatchObject({ code });
  }
  expect((await buffer(await bytesOf(0, 10))).length).toBe(10);
});

it.each([
  ['no range', '/parts?path=/x', undefined, 'GET'],
  ['a range without an end', '/parts?path=/x', 'bytes=5-', 'GET'],
  ['a range that ends before it begins', '/parts?path=/x', 'bytes=5-4', 'GET'],
  ['several ranges', '/parts?path=/x', 'bytes=0-1,3-4', 'GET'],
  ['no path', '/parts', 'bytes=0-1', 'GET'],
  ['something else', '/', 'bytes=0-1', 'GET'],
  ['leave to write', '/parts?path=/x', 'bytes=0-1', 'PUT'],
])('refuses who asks for %s', async (_, target, range, method) => {
  const answer = await asked(target, range, method);
  expect(answer.statusCode).toBe(400);
  expect(await json(answer)).toMatchObject({ code: 'E_WORKER_PROTOCOL' });
});
