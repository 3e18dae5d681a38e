/**
 * Whether a chunk's files are what its record says: there, of their size, with their checksum.
 * Nothing is trusted by name. Never: changes anything.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { ChunkFile, ChunkRecord } from '../shared/plan.js';

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

async function hasBytes(
  { path, bytes, sha256 }: ChunkFile,
  isElsewhere: (path: string) => boolean,
): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  if (!found) return isElsewhere(path);
  if (!found.isFile() || found.size !== bytes) return false;
  const hash = createHash('sha256');
  try {
    for await (const part of createReadStream(path, { highWaterMark: 1 << 20 })) {
      hash.update(part as Buffer);
    }
  } catch {
    return false;
  }
  return hash.digest('hex') === sha256;
}
