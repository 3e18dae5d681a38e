import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { sha256Hex } from '../../shared/chunk-identity.js';
import type { BlobPart } from '../../shared/gen/windrow.js';
import { SmallDisk, smallDisks } from '../small-disk.js';
import { BlobCache } from '../../worker/blob-cache.js';

const bytes = Buffer.from('a model');
const blob = { digest: sha256Hex(bytes), bytes: bytes.length, name: 'model.onnx' };

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'windrow-blobs-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** A source whose every fetch gives one byte, then waits to be let go or given up. */
class Held {
  fetches = 0;
  givenUp = 0;
  /** May come before a fetch has got so far as to wait for it. */
  letGo: () => void = () => undefined;
  private readonly released = new Promise<void>((resolve) => (this.letGo = resolve));

  readonly fetch = async function* (
    this: Held,
    digest: string,
    signal: AbortSignal,
  ): AsyncGenerator<BlobPart> {
    this.fetches += 1;
    yield { digest, name: '', data: bytes.subarray(0, 1) };
    await new Promise<void>((resolve, reject) => {
      void this.released.then(resolve);
      signal.addEventListener('abort', () => {
        this.givenUp += 1;
        reject(new Error('given up'));
      });
    });
    yield { digest, name: '', data: bytes.subarray(1) };
  }.bind(this);

  cache(): BlobCache {
    return new BlobCache(join(directory, 'cache'), this.fetch);
  }
}

const never = new AbortController().signal;

if (smallDisks) {
  it('says which disk has no room for a blob, and keeps no part of it', async () => {
    const disk = await SmallDisk.open(join(directory, 'disk'), '1m');
    try {
      const full = join(disk.path, 'blobs');
      const large = Buffer.alloc(3 << 19, 7);
      const digest = sha256Hex(large);
      const cache = new BlobCache(full, async function* () {
        yield { digest, name: '', data: large };
      });
      const failure = {
        code: 'E_DISK_FULL',
        message: expect.stringContaining(full) as string,
        hint: expect.stringContaining('--spill') as string,
      };
      const asked = cache.path({ ...blob, digest, bytes: large.length }, never);
      await expect(asked).rejects.toMatchObject({ failure });
      expect(readdirSync(full)).toEqual([]);
    } finally {
      await disk.close();
    }
  });
}

it('fetches a blob once for all who ask, then keeps it', async () => {
  const held = new Held();
  const cache = held.cache();
  const asked = [cache.path(blob, never), cache.path(blob, never)];
  await vi.waitUntil(() => held.fetches === 1);
  held.letGo();
  const [first, second] = await Promise.all(asked);
  expect(second).toBe(first);
  expect(await cache.path(blob, never)).toBe(first);
  expect(readFileSync(first!)).toEqual(bytes);
  expect(held.fetches).toBe(1);
});

it('who stops waiting takes nothing from who still waits', async () => {
  const held = new Held();
  const cache = held.cache();
  const impatient = new AbortController();
  const gone = cache.path(blob, impatient.signal);
  const patient = cache.path(blob, never);
  await vi.waitUntil(() => held.fetches === 1);
  impatient.abort(new Error('told to stop'));
  await expect(gone).rejects.toThrow('told to stop');
  held.letGo();
  expect(readFileSync(await patient)).toEqual(bytes);
  expect(held).toMatchObject({ fetches: 1, givenUp: 0 });
});

it('gives the fetch up when the last has stopped waiting, and begins anew when asked again', async () => {
  const held = new Held();
  const cache = held.cache();
  const [one, two] = [new AbortController(), new AbortController()];
  const asked = [cache.path(blob, one.signal), cache.path(blob, two.signal)];
  await vi.waitUntil(() => held.fetches === 1);
  one.abort(new Error('one'));
  two.abort(new Error('two'));
  await expect(asked[0]).rejects.toThrow('one');
  await expect(asked[1]).rejects.toThrow('two');
  const again = cache.path(blob, never);
  await vi.waitUntil(() => held.fetches === 2);
  expect(held.givenUp).toBe(1);
  held.letGo();
  expect(readFileSync(await again)).toEqual(bytes);
  expect(readdirSync(join(directory, 'cache'))).toEqual([blob.digest]);
});

it('asks nobody on behalf of one who has stopped waiting already', async () => {
  const held = new Held();
  await expect(held.cache().path(blob, AbortSignal.abort(new Error('late')))).rejects.toThrow(
    'late',
  );
  expect(held.fetches).toBe(0);
});

it('takes the file that is named only if its digest is right', async () => {
  const held = new Held();
  const path = join(directory, 'model.onnx');
  writeFileSync(path, bytes);
  expect(await held.cache().path({ ...blob, path }, never)).toBe(path);
  expect(held.fetches).toBe(0);
  writeFileSync(path, 'another one');
  const fetched = held.cache().path({ ...blob, path }, never);
  await vi.waitUntil(() => held.fetches === 1);
  held.letGo();
  expect(await fetched).toBe(join(directory, 'cache', blob.digest));
});

it('refuses bytes of another digest, and asks again the next time', async () => {
  let sent = Buffer.from('not the model');
  const cache = new BlobCache(join(directory, 'cache'), async function* (digest) {
    await Promise.resolve();
    yield { digest, name: '', data: sent };
  });
  await expect(cache.path(blob, never)).rejects.toMatchObject({
    failure: { kind: 'io', code: 'E_BLOB' },
  });
  sent = bytes;
  expect(readFileSync(await cache.path(blob, never))).toEqual(bytes);
});
