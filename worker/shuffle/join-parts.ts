/**
 * The files of one chunk's partitions, joined into one: files then grow with producers and not with
 * producers times consumers. Each part stays a whole Parquet file at an offset. Never: divides rows.
 */
import { createHash } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { fail } from '../../shared/failure.js';
import type { ChunkPart } from '../../shared/plan.js';

const blockBytes = 1024 * 1024;

/** One partition's file as DuckDB wrote it. */
export interface WrittenPart {
  readonly partition: number;
  readonly path: string;
}

/** The joined file as it was written. */
export interface JoinedParts {
  readonly parts: readonly ChunkPart[];
  readonly bytes: number;
  readonly sha256: string;
}

/**
 * Appends the files to `target`, in the given order.
 * @param rowsOf rows of an open Parquet file, from its footer
 */
export async function joinParts(
  written: readonly WrittenPart[],
  target: string,
  rowsOf: (file: FileHandle, bytes: number, path: string) => Promise<number>,
): Promise<JoinedParts> {
  const parts: ChunkPart[] = [];
  const hash = createHash('sha256');
  let offset = 0;
  const joined = await open(target, 'wx');
  try {
    const block = Buffer.allocUnsafe(blockBytes);
    for (const { partition, path } of written) {
      const part = await open(path, 'r');
      try {
        const { size } = await part.stat();
        const rows = await rowsOf(part, size, path);
        let sum = 0;
        for (let at = 0; at < size;) {
          const { bytesRead } = await part.read(block, 0, block.length, at);
          if (bytesRead === 0)
            fail('io', 'E_IO_SHORT_READ', `${path} ended at ${at} of ${size} bytes`);
          const bytes = block.subarray(0, bytesRead);
          sum = crc32(bytes, sum);
          hash.update(bytes);
          await writeAll(joined, bytes, offset + at);
          at += bytesRead;
        }
        parts.push({ partition, offset, bytes: size, rows, crc32: sum });
        offset += size;
      } finally {
        await part.close();
      }
    }
  } finally {
    await joined.close();
  }
  return { parts, bytes: offset, sha256: hash.digest('hex') };
}

export async function writeAll(file: FileHandle, bytes: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, at + done);
    done += bytesWritten;
  }
}
