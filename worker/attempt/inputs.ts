/**
 * Whether what an attempt reads is still what it was: a source when it was planned, chunk files when
 * they were finished. What is not is named in the failure, so that chunks are made again. Never:
 * reads rows, or tries again.
 */
import { createHash } from 'node:crypto';
import { open, stat } from 'node:fs/promises';
import { fail } from '../../shared/failure.js';
import type { ChunkFile } from '../../shared/plan.js';
import type { SourceWork } from './protocol.js';

const blockBytes = 1024 * 1024;

/**
 * @param now checked whole: their bytes are about to be read
 * @param later only looked at, and only to name all that is lost at once
 * @throws WindrowError E_CHUNK_LOST of kind `fetchFailed`
 */
export async function verifyInputs(
  now: readonly ChunkFile[],
  later: () => readonly ChunkFile[],
  throwIfCancelled: () => void,
): Promise<void> {
  const lost: string[] = [];
  let first: string | undefined;
  for (const file of now) {
    const wrong = (await misplaced(file)) ?? (await altered(file, throwIfCancelled));
    if (wrong === undefined) continue;
    first ??= wrong;
    lost.push(file.path);
  }
  if (first === undefined) return;
  for (const file of later()) if ((await misplaced(file)) !== undefined) lost.push(file.path);
  const more = lost.length > 1 ? `, and so are ${lost.length - 1} more` : '';
  fail('fetchFailed', 'E_CHUNK_LOST', `a finished chunk ${first}${more}`, {
    at: { file: lost[0]! },
    hint: 'nothing: it is made again, unless this happens again and again',
    lost,
  });
}

async function misplaced({ path, bytes }: ChunkFile): Promise<string | undefined> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw error;
  });
  if (!found) return 'is gone';
  return found.size === bytes ? undefined : `has ${found.size} of its ${bytes} bytes`;
}

async function altered(file: ChunkFile, throwIfCancelled: () => void): Promise<string | undefined> {
  const opened = await open(file.path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (!opened) return 'is gone';
  try {
    const hash = createHash('sha256');
    const block = Buffer.allocUnsafe(Math.max(1, Math.min(file.bytes, blockBytes)));
    for (;;) {
      throwIfCancelled();
      const { bytesRead } = await opened.read(block, 0, block.length, null);
      if (bytesRead === 0) break;
      hash.update(block.subarray(0, bytesRead));
    }
    return hash.digest('hex') === file.sha256 ? undefined : 'has another checksum';
  } finally {
    await opened.close();
  }
}

/** @throws WindrowError E_INPUT_CHANGED when the file is not the one that was planned */
export async function verifyUnchanged(source: SourceWork): Promise<void> {
  const now = await stat(source.path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (now?.size === source.bytes && now.mtimeMs === source.mtimeMs) return;
  const what = now
    ? `is ${now.size} bytes of ${new Date(now.mtimeMs).toISOString()}, planned were ${source.bytes} bytes of ${new Date(source.mtimeMs).toISOString()}`
    : 'is gone';
  fail('badData', 'E_INPUT_CHANGED', `input file ${what}`, {
    at: { file: source.path },
    hint: 'run the job again: it plans from the files as they are now',
  });
}
