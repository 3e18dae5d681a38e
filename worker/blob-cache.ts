/**
 * Models and bundles on the worker's disk, by digest. Takes the coordinator's file where both see
 * the same disk, else fetches it once. Never hands out bytes whose digest was not checked.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { BlobPart } from '../shared/gen/windrow.js';
import { fail } from '../shared/failure.js';
import { inDirectory } from '../shared/full-disk.js';
import type { BlobRef } from '../shared/plan.js';
import { unlessAborted } from '../shared/unless-aborted.js';

export type FetchBlob = (digest: string, signal: AbortSignal) => AsyncIterable<BlobPart>;

/** A blob that is here or on its way. */
interface Known {
  readonly path: Promise<string>;
  readonly abort: AbortController;
  waiting: number;
  here: boolean;
}

export class BlobCache {
  private readonly known = new Map<string, Known>();
  private fetches = 0;

  constructor(
    private readonly directory: string,
    private readonly fetch: FetchBlob,
  ) {}

  /**
   * Local path of the blob. All who wait for one blob share its way here, which is given up when
   * the last of them stops waiting.
   * @throws WindrowError E_BLOB (kind io) when it cannot be had; the signal's reason if that is first
   */
  async path(blob: BlobRef, signal: AbortSignal): Promise<string> {
    signal.throwIfAborted();
    const known = this.known.get(blob.digest) ?? this.begin(blob);
    known.waiting += 1;
    try {
      return await unlessAborted(known.path, signal);
    } finally {
      known.waiting -= 1;
      if (known.waiting === 0 && !known.here) this.giveUp(blob.digest, known);
    }
  }

  private begin(blob: BlobRef): Known {
    const abort = new AbortController();
    const known: Known = {
      path: this.resolve(blob, abort.signal),
      abort,
      waiting: 0,
      here: false,
    };
    this.known.set(blob.digest, known);
    known.path.then(
      () => (known.here = true),
      () => this.giveUp(blob.digest, known),
    );
    return known;
  }

  /** Whoever asks next begins anew. */
  private giveUp(digest: string, known: Known): void {
    if (this.known.get(digest) === known) this.known.delete(digest);
    known.abort.abort();
  }

  private async resolve(blob: BlobRef, signal: AbortSignal): Promise<string> {
    const { digest: wanted } = blob;
    if (blob.path !== undefined && (await digestOf(blob.path, signal)) === wanted) return blob.path;
    const target = join(this.directory, wanted);
    if ((await digestOf(target, signal)) === wanted) return target;
    // A name of its own: a fetch that was given up may still be cleaning up after itself.
    const partial = `${target}.${process.pid}-${this.fetches++}.partial`;
    const hash = createHash('sha256');
    try {
      await mkdir(this.directory, { recursive: true });
      const file = await open(partial, 'wx');
      try {
        for await (const part of this.fetch(wanted, signal)) {
          hash.update(part.data);
          await file.writeFile(part.data);
        }
      } finally {
        await file.close();
      }
      const digest = hash.digest('hex');
      if (digest !== wanted) {
        fail('io', 'E_BLOB', `${blob.name} arrived with digest ${digest}, not ${wanted}`, {
          hint: 'submit the job again',
        });
      }
      await rename(partial, target);
    } catch (error) {
      throw inDirectory(error, this.directory, 'spill');
    } finally {
      await rm(partial, { force: true });
    }
    return target;
  }
}

async function digestOf(path: string, signal: AbortSignal): Promise<string | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isFile()) return undefined;
  const hash = createHash('sha256');
  for await (const part of createReadStream(path, { highWaterMark: 1 << 20, signal })) {
    hash.update(part as Buffer);
  }
  return hash.digest('hex');
}
