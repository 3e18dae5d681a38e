/**
 * Brings the parts that a chunk reads into files of its own, in large blocks, each part's checksum
 * taken on the way. What does not come as it was written is named in the failure, so that its
 * producer runs again. Never: reads rows, or keeps more than one block in memory.
 */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { fail } from '../../shared/failure.js';
import type { ChunkPart } from '../../shared/plan.js';
import { writeAll } from './join-parts.js';

const blockBytes = 1024 * 1024;

/** A part and the file it lies in. */
export interface PartRef {
  readonly path: string;
  readonly part: ChunkPart;
}

/**
 * @param directory empty and this chunk's alone; whoever made it removes it
 * @returns one Parquet file for each part that has rows, in the given order
 * @throws WindrowError E_CHUNK_LOST of kind `fetchFailed`, naming every file that is not sound
 */
export async function fetchParts(
  parts: readonly PartRef[],
  directory: string,
  throwIfCancelled: () => void,
): Promise<string[]> {
  const fetched: string[] = [];
  const lost = new Map<string, string>();
  const block = Buffer.allocUnsafe(blockBytes);
  for (const [number, { path, part }] of parts.entries()) {
    if (part.rows === 0 || lost.has(path)) continue;
    const target = join(directory, `${number}.part`);
    const wrong = await copyPart(path, part, target, block, throwIfCancelled);
    if (wrong === undefined) fetched.push(target);
    else lost.set(path, wrong);
  }
  const [first] = lost;
  if (!first) return fetched;
  const more = lost.size > 1 ? `, and so are ${lost.size - 1} more` : '';
  return fail('fetchFailed', 'E_CHUNK_LOST', `a shuffle file ${first[1]}${more}`, {
    at: { file: first[0] },
    hint: 'nothing: it is made again, unless this happens again and again',
    lost: [...lost.keys()],
  });
}

/** Says what is wrong with the part; undefined when nothing is. */
async function copyPart(
  path: string,
  { offset, bytes, crc32: expected }: ChunkPart,
  target: string,
  block: Buffer,
  throwIfCancelled: () => void,
): Promise<string | undefined> {
  const from = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw error;
  });
  if (!from) return 'is gone';
  try {
    const to = await open(target, 'wx');
    try {
      let sum = 0;
      for (let at = 0; at < bytes;) {
        throwIfCancelled();
        const wanted = Math.min(block.length, bytes - at);
        const { bytesRead } = await from.read(block, 0, wanted, offset + at);
        if (bytesRead === 0) return `ends after ${offset + at} bytes`;
        const read = block.subarray(0, bytesRead);
        sum = crc32(read, sum);
        await writeAll(to, read, at);
        at += bytesRead;
      }
      return sum === expected ? undefined : 'has another checksum';
    } finally {
      await to.close();
    }
  } finally {
    await from.close();
  }
}
