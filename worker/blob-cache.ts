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
import type { BlobRef } from '../shared/plan.js';

export type FetchBlob = (digest: string) => AsyncIterable<BlobPart>;

export class BlobCache {
  private readonly known = new Map<string, Promise<string>>();

  constructor(
    private readonly directory: string,
    private readonly fetch: FetchBlob,
  ) {}

  /** Local path of the blob. @throws WindrowError E_BLOB (kind io) when it cannot be had */
  path(blob: BlobRef): Promise<string> {
    let found = this.known.get(blob.digest);
    if (!found) {
      found = this.resolve(blob);
      this.known.set(blob.digest, found);
      found.catch(() => this.known.delete(blob.digest));
    }
    return found;
  }

  private async resolve(blob: BlobRef): Promise<string> {
    if (blob.path !== undefined && (await digestOf(blob.path)) === blob.digest) return blob.path;
    const target = join(this.directory, blob.digest);
    if ((await digestOf(target)) === blob.digest) return target;
    await mkdir(this.directory, { recursive: true });
    const partial = `${target}.${process.pid}.partial`;
    const hash = createHash('sha256');
    try {
      const file = await open(partial, 'w');
      try {
        for await (const part of this.fetch(blob.digest)) {
          hash.update(part.data);
          await file.write(part.data);
        }
      } finally {
        await file.close();
      }
      const digest = hash.digest('hex');
      if (digest !== blob.digest) {
        fail('io', 'E_BLOB', `${blob.name} arrived with digest ${digest}, not ${blob.digest}`, {
          hint: 'submit the job again',
        });
      }
      await rename(partial, target);
    } finally {
      await rm(partial, { force: true });
    }
    return target;
  }
}

async function digestOf(path: string): Promise<string | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isFile()) return undefined;
  const hash = createHash('sha256');
  for await (const part of createReadStream(path, { highWaterMark: 1 << 20 })) {
    hash.update(part as Buffer);
  }
  return hash.digest('hex');
}
