import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BlobStore } from '../../coordinator/blob-store.js';
import { sha256Hex } from '../../shared/chunk-identity.js';
import { SmallDisk, smallDisks } from '../small-disk.js';

const day = 24 * 3_600_000;
let directory: string;
let blobs: BlobStore;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'windrow-blobs-'));
  blobs = new BlobStore(directory);
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** Puts a blob there that was last named so many days ago. */
async function put(text: string, daysAgo: number): Promise<string> {
  const digest = sha256Hex(text);
  async function* parts() {
    yield { digest, name: '', data: Buffer.from(text) };
  }
  await blobs.put(parts());
  age(digest, daysAgo);
  return digest;
}

function age(name: string, daysAgo: number): void {
  const then = new Date(Date.now() - daysAgo * day);
  utimesSync(join(directory, name), then, then);
}

describe('uploaded blobs', () => {
  it('go a month after the last job that named them, unless a living one does', async () => {
    const old = await put('old', 31);
    const living = await put('living', 400);
    const recent = await put('recent', 29);
    writeFileSync(join(directory, '1.2.3.partial'), 'broke off');
    age('1.2.3.partial', 31);
    writeFileSync(join(directory, 'notes.txt'), 'somebody put this here');
    age('notes.txt', 400);
    expect(await blobs.sweep(Date.now(), () => new Set([living]))).toBe(2);
    expect(readdirSync(directory).sort()).toEqual([living, recent, 'notes.txt'].sort());
    expect(blobs.has(old)).toBe(false);
  });

  it('stay from the moment on in which a client was told that they are there', async () => {
    const digest = await put('asked for', 400);
    expect(blobs.missing([digest, sha256Hex('never seen')])).toEqual([sha256Hex('never seen')]);
    expect(await blobs.sweep(Date.now(), () => new Set())).toBe(0);
    expect(blobs.has(digest)).toBe(true);
  });

  it('under a name that is no digest are refused before a byte is looked at', async () => {
    let asked = 0;
    async function* parts() {
      yield { digest: '../notes', name: '', data: Buffer.alloc(0) };
      asked += 1;
      yield { digest: '', name: '', data: Buffer.from('anything') };
    }
    await expect(blobs.put(parts())).rejects.toMatchObject({ failure: { code: 'E_BLOB' } });
    expect([asked, readdirSync(directory)]).toEqual([0, []]);
  });

  if (smallDisks) {
    it.each([1, 3])(
      'are not there in part where the disk is full, in %i part(s)',
      async (count) => {
        const disk = await SmallDisk.open(join(directory, 'disk'), '1m');
        try {
          const full = join(disk.path, 'blobs');
          const data = Buffer.alloc(3 << 19, 7);
          const digest = sha256Hex(data);
          async function* parts() {
            for (let at = 0; at < count; at += 1) {
              const [from, to] = [at, at + 1].map((cut) => (cut * data.length) / count);
              yield { digest, name: '', data: data.subarray(from, to) };
            }
          }
          const failure = {
            code: 'E_DISK_FULL',
            message: expect.stringContaining(full) as string,
            hint: 'free space on that disk, or name another directory with --state',
          };
          await expect(new BlobStore(full).put(parts())).rejects.toMatchObject({ failure });
          expect(readdirSync(full)).toEqual([]);
        } finally {
          await disk.close();
        }
      },
    );
  }

  it('may be none at all', async () => {
    rmSync(directory, { recursive: true });
    expect(await blobs.sweep(Date.now(), () => new Set())).toBe(0);
  });
});
