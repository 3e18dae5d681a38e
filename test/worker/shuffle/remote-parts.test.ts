/** Fetching from workers on other machines: over real sockets, with everything that happens to them. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sha256Hex } from '../../../shared/chunk-identity.js';
import { WindrowError } from '../../../shared/failure.js';
import { setTimeout as delay } from 'node:timers/promises';
import { Arrival, type FileRange } from '../../../worker/shuffle/arrival.js';
import { BlockPool } from '../../../worker/shuffle/block-pool.js';
import { fetchFiles } from '../../../worker/shuffle/fetch.js';
import { shuffleLimits, type ShuffleLimits } from '../../../worker/shuffle/limits.js';
import { type PartRange, readRange } from '../../../worker/shuffle/parts-protocol.js';
import type { PeerAccess } from '../../../worker/shuffle/peers.js';
import { fetchRemote } from '../../../worker/shuffle/remote-parts.js';
import { OtherMachine, rangesOf, type Spoil, wantedOf, Wire, writeChunk } from './machines.js';

const mebibyte = 1024 * 1024;
let directory: string;
let chunks: string;
const closing: { close(): void }[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'windrow-remote-'));
  chunks = join(directory, 'chunks');
});
afterEach(() => {
  for (const each of closing.splice(0)) each.close();
  rmSync(directory, { recursive: true, force: true });
});

function opened<Thing extends { close(): void }>(thing: Thing): Thing {
  closing.push(thing);
  return thing;
}

interface Options {
  readonly access?: PeerAccess;
  readonly limits?: Partial<ShuffleLimits>;
  readonly throwIfCancelled?: () => void;
}

let fetches = 0;

/** The digest of what came, or the failure. */
async function fetched(
  ranges: readonly FileRange[],
  { access, limits = {}, throwIfCancelled = () => undefined }: Options = {},
): Promise<string | WindrowError> {
  fetches += 1;
  const target = join(directory, `fetched-${fetches}`);
  mkdirSync(target);
  const all = { ...shuffleLimits, reconnectMs: 1, ...limits };
  try {
    const paths = await fetchFiles(wantedOf(ranges), target, {
      throwIfCancelled,
      access,
      limits: all,
    });
    return sha256Hex(Buffer.concat(paths.map((path) => readFileSync(path))));
  } catch (error) {
    if (error instanceof WindrowError) return error;
    throw error;
  }
}

/** A file on another machine, and its ranges by way of a wire. */
async function wired(bytes: number, rangeBytes: number, spoil: Spoil) {
  const path = writeChunk(chunks, bytes);
  const machine = opened(await OtherMachine.start(chunks));
  const wire = opened(await Wire.to(machine.address, spoil));
  const content = readFileSync(path);
  const ranges = rangesOf(machine.nameOf(path), content, rangeBytes, wire.address);
  return { content, ranges, wire, path: machine.nameOf(path) };
}

describe('fetching from another machine', () => {
  it.each(['127.0.0.1:0', '[::1]:0', 'unix'])('brings the bytes over %s', async (listen) => {
    const path = writeChunk(chunks, 3 * mebibyte + 17);
    const socket = `unix:${join(directory, 'shuffle.sock')}`;
    const machine = opened(
      await OtherMachine.start(chunks, { listen: listen === 'unix' ? socket : listen }),
    );
    const content = readFileSync(path);
    const name = machine.nameOf(path);
    const ranges = rangesOf(name, content, 700_001, machine.address);
    expect(await fetched(ranges)).toBe(sha256Hex(content));
    const whole = { path: name, offset: 0, bytes: content.length, servedBy: machine.address };
    expect(await fetched([{ ...whole, checksum: sha256Hex(content) }])).toBe(sha256Hex(content));
  });

  it('brings small ranges of many files from several machines, each where it belongs', async () => {
    const machines = await Promise.all(
      Array.from({ length: 6 }, (_, at) => OtherMachine.start(join(chunks, String(at)))),
    );
    machines.forEach(opened);
    const ranges: FileRange[] = [];
    const expected: Buffer[] = [];
    for (let file = 0; file < 60; file += 1) {
      const machine = machines[file % machines.length]!;
      const path = writeChunk(join(chunks, String(file % 6)), 5000 + file, `f${file}`);
      const content = readFileSync(path);
      ranges.push(...rangesOf(machine.nameOf(path), content, 1000, machine.address));
      expected.push(content);
    }
    expect(await fetched(ranges)).toBe(sha256Hex(Buffer.concat(expected)));
  });

  it('leaves no connection behind, as nobody would look after it', async () => {
    const { content, ranges, wire } = await wired(mebibyte, 100_000, (data) => data);
    expect(await fetched(ranges)).toBe(sha256Hex(content));
    await wire.idle();
    expect(wire.connections).toBe(1);
  });

  it('reads a path that can be read here, and asks nobody', async () => {
    const path = writeChunk(chunks, mebibyte);
    const content = readFileSync(path);
    expect(await fetched(rangesOf(path, content, 300_000, '127.0.0.1:1'))).toBe(sha256Hex(content));
  });

  it('asks the worker where the file here is short, altered or not to be read', async () => {
    const path = writeChunk(chunks, mebibyte);
    const content = readFileSync(path);
    const machine = opened(await OtherMachine.start(chunks, { root: join(directory, 'here') }));
    const here = machine.nameOf(path);
    const ranges = rangesOf(here, content, 300_000, machine.address);
    const altered = Buffer.from(content);
    altered[700_000]! ^= 1;
    mkdirSync(dirname(here), { recursive: true });
    for (const stale of [content.subarray(0, 500_000), altered]) {
      writeFileSync(here, stale);
      expect(await fetched(ranges)).toBe(sha256Hex(content));
    }
    rmSync(here);
    mkdirSync(here);
    expect(await fetched(ranges)).toBe(sha256Hex(content));
  });
});

describe('a stream that breaks', () => {
  it('goes on where it was when the connection is cut, and fetches nothing twice', async () => {
    const { content, ranges, wire } = await wired(24 * mebibyte, 5_000_000, (data, connection) => {
      if (connection.number < 4 && connection.bytesBefore > 6 * mebibyte) connection.cut();
      return data;
    });
    expect(await fetched(ranges)).toBe(sha256Hex(content));
    expect(wire.connections).toBe(4);
    // What sockets held when they were cut comes again.
    expect(wire.bytes).toBeLessThan(content.length * 1.02 + 4 * mebibyte * (wire.connections - 1));
  });

  it('is not believed when bytes were altered on the way', async () => {
    const { content, ranges, wire } = await wired(8 * mebibyte, mebibyte, (data, connection) => {
      if (connection.number === 1 && connection.bytesBefore > 3 * mebibyte) data[100]! ^= 1;
      return data;
    });
    expect(await fetched(ranges)).toBe(sha256Hex(content));
    expect(wire.connections).toBe(2);
    expect(wire.bytes).toBeLessThan(2 * content.length);
  });

  it('leaves a worker that says nothing, and names what it would have sent', async () => {
    const { ranges, wire, path } = await wired(8 * mebibyte, mebibyte, (data, connection) =>
      connection.number === 1 && connection.bytesBefore < 200_000 ? data : undefined,
    );
    const here = writeChunk(chunks, 10, 'here');
    const near = rangesOf(here, readFileSync(here), 10, wire.address);
    const limits = { blockTimeoutMs: 150, reconnects: 2 };
    const failed = await fetched([...near, ...ranges], { limits });
    expect(failed).toMatchObject({
      failure: { kind: 'fetchFailed', code: 'E_CHUNK_LOST', lost: [path] },
    });
    expect((failed as WindrowError).failure.message).toContain('no answer for 150 ms');
    expect(wire.connections).toBe(4);
  });

  it('waits again and again for a worker that is slow but answers', async () => {
    const { content, ranges, wire } = await wired(6 * mebibyte, mebibyte, (data, connection) =>
      connection.bytesBefore < 1.5 * mebibyte ? data : undefined,
    );
    const limits = { blockTimeoutMs: 300, reconnects: 9 };
    expect(await fetched(ranges, { limits })).toBe(sha256Hex(content));
    expect(wire.connections).toBeGreaterThan(3);
  });

  it('is let go after the last byte, whether or not the worker ends it', async () => {
    const { content, ranges } = await wired(mebibyte, mebibyte, (data, connection) =>
      connection.bytesBefore < mebibyte ? data : undefined,
    );
    expect(await fetched(ranges)).toBe(sha256Hex(content));
  });

  it('does not keep a cancelled attempt waiting', async () => {
    const { ranges } = await wired(4 * mebibyte, mebibyte, () => undefined);
    const cancelled = new WindrowError({ kind: 'cancelled', code: 'E_CANCELLED', message: 'stop' });
    let asked = 0;
    const failed = await fetched(ranges, {
      throwIfCancelled: () => {
        asked += 1;
        if (asked > 20) throw cancelled;
      },
    });
    expect(failed).toBe(cancelled);
  });
});

describe('a worker that is killed', () => {
  const script = fileURLToPath(new URL('./serving-process.ts', import.meta.url));
  let child: ChildProcess;
  afterEach(() => child.kill('SIGKILL'));

  async function serve(listen: string): Promise<string> {
    child = spawn(process.execPath, ['--import', 'tsx', script, chunks, listen], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [address] = (await once(child.stdout!, 'data')) as [Buffer];
    return address.toString().trim();
  }

  it('in the middle has all named that had not come from it', async () => {
    const [one, two] = [
      writeChunk(chunks, 4 * mebibyte, 'one'),
      writeChunk(chunks, 8 * mebibyte, 'two'),
    ];
    const here = writeChunk(chunks, 1000, 'here');
    const address = await serve('127.0.0.1:0');
    const wire = opened(
      await Wire.to(address, (data, { bytesBefore }) => {
        if (bytesBefore > 6 * mebibyte) child.kill('SIGKILL');
        return data;
      }),
    );
    const names = [one, two].map((path) => `/another machine${path.slice(chunks.length)}`);
    const failed = await fetched([
      ...rangesOf(names[0]!, readFileSync(one), mebibyte, wire.address),
      ...rangesOf(here, readFileSync(here), mebibyte, wire.address),
      ...rangesOf(names[1]!, readFileSync(two), mebibyte, wire.address),
    ]);
    expect(failed).toMatchObject({
      failure: { kind: 'fetchFailed', code: 'E_CHUNK_LOST', lost: [names[1]] },
    });
  });

  it('and started again at its address goes on serving', async () => {
    const path = writeChunk(chunks, 32 * mebibyte);
    const address = await serve('127.0.0.1:0');
    let again: Promise<string> | undefined;
    const wire = opened(
      await Wire.to(address, (data, { bytesBefore }) => {
        if (!again && bytesBefore > 6 * mebibyte) {
          child.kill('SIGKILL');
          again = once(child, 'exit').then(() => serve(address));
        }
        return data;
      }),
    );
    const content = readFileSync(path);
    const name = `/another machine${path.slice(chunks.length)}`;
    const ranges = rangesOf(name, content, mebibyte, wire.address);
    expect(await fetched(ranges, { limits: { reconnectMs: 50, reconnects: 9 } })).toBe(
      sha256Hex(content),
    );
    expect(await again).toBe(address);
  });
});

describe('what the worker has', () => {
  it('is named when a byte of it was altered on its disk', async () => {
    const path = writeChunk(chunks, 3 * mebibyte);
    const content = readFileSync(path);
    const altered = Buffer.from(content);
    altered[2 * mebibyte + 5]! ^= 1;
    writeFileSync(path, altered);
    const machine = opened(await OtherMachine.start(chunks));
    const name = machine.nameOf(path);
    for (const ranges of [
      rangesOf(name, content, 100_000, machine.address),
      [
        {
          ...rangesOf(name, content, content.length, machine.address)[0]!,
          checksum: sha256Hex(content),
        },
      ],
    ]) {
      expect(await fetched(ranges)).toMatchObject({
        failure: {
          kind: 'fetchFailed',
          message: 'a shuffle file has another checksum',
          lost: [name],
        },
      });
    }
  });

  it('is named when it is gone or ends early, all of it at once', async () => {
    const paths = ['gone', 'short', 'whole'].map((tag) => writeChunk(chunks, mebibyte, tag));
    const machine = opened(await OtherMachine.start(chunks));
    const ranges = paths.flatMap((path) =>
      rangesOf(machine.nameOf(path), readFileSync(path), 200_000, machine.address),
    );
    rmSync(paths[0]!);
    writeFileSync(paths[1]!, Buffer.alloc(statSync(paths[1]!).size - 1));
    const failed = await fetched(ranges);
    const lost = paths.slice(0, 2).map((path) => machine.nameOf(path));
    expect(failed).toMatchObject({ failure: { kind: 'fetchFailed', lost } });
    expect((failed as WindrowError).failure.message).toContain('and so are 1 more');
  });

  it('is not given to who brings no token or another, which is no loss of files', async () => {
    const path = writeChunk(chunks, 1000);
    const machine = opened(await OtherMachine.start(chunks, { token: 'ours' }));
    const ranges = rangesOf(machine.nameOf(path), readFileSync(path), 1000, machine.address);
    for (const access of [{}, { token: 'theirs' }]) {
      expect(await fetched(ranges, { access })).toMatchObject({
        failure: { kind: 'invalidSpec', code: 'E_UNAUTHENTICATED' },
      });
    }
    expect(await fetched(ranges, { access: { token: 'ours' } })).toBe(
      sha256Hex(readFileSync(path)),
    );
  });
});

describe('how much is asked for', () => {
  /** A worker that answers when the test says so. */
  async function byHand() {
    const asked: PartRange[] = [];
    const answers: ServerResponse[] = [];
    const wakers: (() => void)[] = [];
    const server = createServer((request, response) => {
      const path = new URL(request.url!, 'http://worker').searchParams.get('path')!;
      asked.push({ path, ...readRange(request.headers.range!)! });
      answers.push(response);
      for (const wake of wakers.splice(0)) wake();
    });
    await new Promise<void>((up) => server.listen(0, '127.0.0.1', up));
    opened({
      close: () => {
        server.close();
        server.closeAllConnections();
      },
    });
    return {
      address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
      asked,
      reply: (data: Buffer, status = 206) =>
        answers.shift()!.writeHead(status, { 'content-length': data.length }).end(data),
      until: async (count: number) => {
        while (asked.length < count) await new Promise<void>((wake) => wakers.push(wake));
      },
    };
  }

  it('is what follows one another in a file at once, and other files after it', async () => {
    const worker = await byHand();
    const content = Buffer.alloc(3000, 7);
    const ranges = ['/a', '/b'].flatMap((path) => rangesOf(path, content, 100, worker.address));
    const apart = ranges.filter(({ path, offset }) => path === '/a' || offset !== 1000);
    const done = fetched(apart);
    for (const [at, bytes] of [3000, 1000, 1900].entries()) {
      await worker.until(at + 1);
      expect(worker.asked).toHaveLength(at + 1);
      worker.reply(Buffer.alloc(bytes, 7));
    }
    const holed = Buffer.from(content).fill(0, 1000, 1100);
    expect(await done).toBe(sha256Hex(Buffer.concat([content, holed])));
    expect(worker.asked).toEqual([
      { path: '/a', offset: 0, bytes: 3000 },
      { path: '/b', offset: 0, bytes: 1000 },
      { path: '/b', offset: 1100, bytes: 1900 },
    ]);
  });

  it('is no more than is written down: a worker reads no further while the disk is busy', async () => {
    let served = 0;
    const blocks = new (class extends BlockPool {
      override with<Result>(use: (block: Buffer) => Promise<Result>): Promise<Result> {
        served += mebibyte;
        return super.with(use);
      }
    })(2, mebibyte);
    const path = writeChunk(chunks, 64 * mebibyte);
    const machine = opened(await OtherMachine.start(chunks, { blocks }));
    const content = readFileSync(path);
    const [range] = rangesOf(machine.nameOf(path), content, content.length, machine.address);
    let ahead = 0;
    const slow = new (class extends Arrival {
      override async take(bytes: Uint8Array): Promise<void> {
        if (this.arrived % (8 * mebibyte) < bytes.length) await delay(20);
        ahead = Math.max(ahead, served - this.arrived);
        return super.take(bytes);
      }
    })(range!, join(directory, 'slow'));
    await fetchRemote([slow], {}, shuffleLimits, () => undefined);
    expect(readFileSync(slow.target).equals(content)).toBe(true);
    // What both sockets hold.
    expect(ahead).toBeLessThan(16 * mebibyte);
  });

  it('is asked of so many workers at a time', async () => {
    const workers = await Promise.all(Array.from({ length: 6 }, byHand));
    const content = Buffer.alloc(100);
    const ranges = workers.flatMap(({ address }, at) =>
      rangesOf(`/nowhere/${at}`, content, 100, address),
    );
    const done = fetched(ranges, { limits: { streams: 4 } });
    for (const [at, worker] of workers.entries()) {
      await worker.until(1);
      const asked = workers.filter((each) => each.asked.length > 0).length;
      expect(asked).toBeLessThanOrEqual(at + 4);
      worker.reply(content);
    }
    expect(await done).toBe(sha256Hex(Buffer.concat(workers.map(() => content))));
  });

  it('is lost where the worker refuses at greater length than a failure has', async () => {
    const worker = await byHand();
    const ranges = rangesOf('/nowhere', Buffer.alloc(100), 100, worker.address);
    const done = fetched(ranges, { limits: { reconnects: 0 } });
    await worker.until(1);
    worker.reply(Buffer.from(JSON.stringify({ code: 'E_X', message: 'x'.repeat(70_000) })), 403);
    const failed = (await done) as WindrowError;
    expect(failed.failure).toMatchObject({ kind: 'fetchFailed', lost: ['/nowhere'] });
    expect(failed.failure.message).toMatch(
      /cannot be fetched from .*: it answers with 70\d{3} bytes/,
    );
  });

  it('is asked again when a worker answers something else, and lost when it does so again', async () => {
    for (const answers of [
      [Buffer.alloc(99), Buffer.alloc(98)],
      [Buffer.alloc(100, 1), Buffer.alloc(100, 2)],
    ]) {
      const worker = await byHand();
      const ranges = rangesOf('/nowhere', Buffer.alloc(100), 100, worker.address);
      const done = fetched(ranges, { limits: { reconnects: 1 } });
      for (const [at, answer] of answers.entries()) {
        await worker.until(at + 1);
        worker.reply(answer);
      }
      expect(await done).toMatchObject({ failure: { kind: 'fetchFailed', lost: ['/nowhere'] } });
    }
  });
});
