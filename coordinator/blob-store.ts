/** Uploaded models and bundles in the state directory, by digest. A blob is whole or not there. */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fail } from '../shared/failure.js';
import type { BlobPart } from '../shared/gen/windrow.js';
import { limits } from '../shared/limits.js';

const digestShape = /^[0-9a-f]{64}$/;

export class BlobStore {
  constructor(private readonly directory: string) {}

  /** Where a blob lies or would lie. @throws WindrowError E_BLOB for what is no SHA-256 in hex */
  path(digest: string): string {
    if (!digestShape.test(digest)) {
      fail('invalidSpec', 'E_BLOB', `'${digest.slice(0, 80)}' is not a SHA-256 digest in hex`);
    }
    return join(this.directory, digest);
  }

  has(digest: string): boolean {
    return existsSync(this.path(digest));
  }

  missing(digests: readonly string[]): string[] {
    return digests.filter((digest) => !this.has(digest));
  }

  /** @throws WindrowError E_BLOB when the bytes do not have the digest or are too many */
  async put(parts: AsyncIterable<BlobPart>): Promise<{ digest: string; bytes: number }> {
    await mkdir(this.directory, { recursive: true, mode: 0o700 });
    const hash = createHash('sha256');
    let promised: string | undefined;
    let bytes = 0;
    const partial = join(this.directory, `${process.pid}.${Date.now()}.${counter++}.partial`);
    try {
      const file = await open(partial, 'wx', 0o600);
      try {
        for await (const part of parts) {
          promised ??= part.digest;
          bytes += part.data.length;
          if (bytes > limits.blobBytes) {
            fail('invalidSpec', 'E_BLOB', `a blob of over ${limits.blobBytes} bytes`);
          }
          hash.update(part.data);
          await file.write(part.data);
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
