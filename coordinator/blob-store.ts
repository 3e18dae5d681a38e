/** Uploaded models and bundles in the state directory, by digest. A blob is whole or not there. */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, utimesSync } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fail } from '../shared/failure.js';
import { inDirectory } from '../shared/full-disk.js';
import type { BlobPart, UploadedFile } from '../shared/gen/windrow.js';
import { limits } from '../shared/limits.js';

const digestShape = /^[0-9a-f]{64}$/;
/** So long after its last job has ended a blob is still there for `retry`, milliseconds. */
const keepMs = 30 * 24 * 3_600_000;

export class BlobStore {
  constructor(private readonly directory: string) {}

  /** Where a blob lies or would lie. @throws WindrowError E_BLOB for what is no SHA-256 in hex */
  path(digest: string): string {
    return join(this.directory, checked(digest));
  }

  has(digest: string): boolean {
    return existsSync(this.path(digest));
  }

  /** Those that have to be uploaded; the others are kept from now on, as a job will name them. */
  missing(digests: readonly string[]): string[] {
    return digests.filter((digest) => !this.touch(digest));
  }

  /** Keeps a blob from now on; false when it is not there. */
  touch(digest: string): boolean {
    try {
      const now = new Date();
      utimesSync(this.path(digest), now, now);
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
      throw error;
    }
  }

  /**
   * Removes what no job has named for a month, and what an upload that broke off left behind.
   * @param inUse digests that living jobs name, asked for only where something might go
   */
  async sweep(nowMs: number, inUse: () => ReadonlySet<string>): Promise<number> {
    const old: string[] = [];
    for (const name of await readdir(this.directory).catch(() => [])) {
      const path = join(this.directory, name);
      const found = await stat(path).catch(() => undefined);
      if (found?.isFile() && nowMs - found.mtimeMs > keepMs) old.push(name);
    }
    if (old.length === 0) return 0;
    const used = inUse();
    let removed = 0;
    for (const name of old) {
      if (used.has(name) || !(digestShape.test(name) || name.endsWith('.partial'))) continue;
      await rm(join(this.directory, name), { force: true });
      removed += 1;
    }
    return removed;
  }

  /**
   * The first part says the digest, and may bring no bytes: a wrong one is refused before any come.
   * @throws WindrowError E_BLOB when the bytes do not have the digest or are too many
   */
  async put(parts: AsyncIterable<BlobPart>): Promise<{ digest: string; bytes: number }> {
    const hash = createHash('sha256');
    let promised: string | undefined;
    let bytes = 0;
    const partial = join(this.directory, `${process.pid}.${Date.now()}.${counter++}.partial`);
    try {
      await mkdir(this.directory, { recursive: true, mode: 0o700 });
      const file = await open(partial, 'wx', 0o600);
      try {
        for await (const part of parts) {
          promised ??= checked(part.digest);
          bytes += part.data.length;
          if (bytes > limits.blobBytes) {
            fail('invalidSpec', 'E_BLOB', `a blob of over ${limits.blobBytes} bytes`);
          }
          hash.update(part.data);
          await file.writeFile(part.data);
        }
        await file.sync();
      } finally {
        await file.close();
      }
      const digest = hash.digest('hex');
      if (digest !== promised) {
        fail(
          'invalidSpec',
          'E_BLOB',
          `uploaded bytes have digest ${digest}, not ${promised ?? ''}`,
          {
            hint: 'the file changed while it was read: submit again',
          },
        );
      }
      await rename(partial, this.path(digest));
      return { digest, bytes };
    } catch (error) {
      throw inDirectory(error, this.directory, 'state');
    } finally {
      await rm(partial, { force: true });
    }
  }

  async *read(digest: string): AsyncGenerator<BlobPart> {
    const stream = createReadStream(this.path(digest), { highWaterMark: limits.blobPartBytes });
    for await (const data of stream) yield { digest, name: '', data: data as Buffer };
  }
}

let counter = 0;

function checked(digest: string): string {
  if (digestShape.test(digest)) return digest;
  return fail('invalidSpec', 'E_BLOB', `'${digest.slice(0, 80)}' is not a SHA-256 digest in hex`, {
    hint: 'a blob is called by the SHA-256 of its bytes, in lower-case hex',
  });
}

/** Digests of all files that a request names. */
export function digestsOf(files: Record<string, UploadedFile>): string[] {
  return Object.values(files).flatMap((file) => [
    file.digest,
    ...file.external.map(({ digest }) => digest),
  ]);
}
