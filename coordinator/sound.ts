/**
 * Whether a chunk's files are what its record says: there, of their size, with their checksum.
 * Nothing is trusted by name. Never: changes anything.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { crc32 } from '@node-rs/crc32';
import type { ChunkFile, ChunkRecord, FileBlock } from '../shared/plan.js';

const readBytes = 1 << 20;

/** @param isElsewhere what counts for a file that is not on a disk of this machine; default: it is gone */
export async function isSound(
  { files, deadLetters }: ChunkRecord,
  isElsewhere: (path: string) => boolean = () => false,
): Promise<boolean> {
  for (const file of deadLetters ? [...files, deadLetters] : files) {
    if (!(await hasBytes(file, isElsewhere))) return false;
  }
  return true;
}

async function hasBytes(file: ChunkFile, isElsewhere: (path: string) => boolean): Promise<boolean> {
  const { path, bytes, divided } = file;
  const found = await stat(path).catch(() => undefined);
  if (!found) return isElsewhere(path);
  if (!found.isFile() || found.size !== bytes) return false;
  try {
    return divided ? await areSound(path, divided.blocks) : await isWhole(file);
  } catch {
    return false;
  }
}

async function isWhole({ path, sha256 }: ChunkFile): Promise<boolean> {
  const hash = createHash('sha256');
  for await (const bytes of createReadStream(path, { highWaterMark: readBytes })) {
    hash.update(bytes as Buffer);
  }
  return hash.digest('hex') === sha256;
}

async function areSound(path: string, blocks: readonly FileBlock[]): Promise<boolean> {
  for (const { offset, bytes, crc32: wanted } of blocks) {
    let sum = 0;
    const range = { start: offset, end: offset + bytes - 1, highWaterMark: readBytes };
    for await (const read of createReadStream(path, range)) sum = crc32(read as Buffer, sum);
    if (sum !== wanted) return false;
  }
  return true;
}
