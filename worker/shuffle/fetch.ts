/**
 * Makes ready what a chunk reads of other chunks' files, each checksum taken before anything is read:
 * where they lie, if they can be read there, else as a copy fetched from the worker that has them. What
 * does not come as it was written is named in the failure, so that its producer runs again. Never:
 * reads rows, or keeps more than a few blocks in memory.
 */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { FileSlice } from '../../shared/divided-file.js';
import { fail } from '../../shared/failure.js';
import type { ChunkFile } from '../../shared/plan.js';
import { Arrival, Checksum, type FileRange } from './arrival.js';
import { shuffleLimits, type ShuffleLimits } from './limits.js';
import type { PeerAccess } from './peers.js';
import { fetchRemote } from './remote-parts.js';

interface Served {
  /** Address of the worker to ask where the path is not to be read. */
  readonly servedBy?: string;
}

/** A finished chunk's file, perhaps on another machine. */
export type ServedFile = ChunkFile & Served;
/** Some partitions of a divided file, perhaps on another machine. */
export type ServedSlice = FileSlice & Served;

/** A file, and all of its bytes that are going to be read. */
export interface WantedFile extends Served {
  readonly path: string;
  /** Of the whole file. */
  readonly bytes: number;
  readonly ranges: readonly WantedRange[];
}

export interface WantedRange extends Omit<FileRange, 'path' | 'servedBy'> {
  /** Its bytes where the path lies were checked before. A copy has to have them all the same. */
  readonly sound?: boolean;
}

export interface FetchOptions {
  readonly throwIfCancelled: () => void;
  readonly access?: PeerAccess | undefined;
  readonly limits?: ShuffleLimits;
}

export function wantedOfSlice({ path, bytes, blocks, ...served }: ServedSlice): WantedFile {
  const ranges = blocks.map(({ offset, bytes: length, crc32: checksum }) => ({
    offset,
    bytes: length,
    checksum,
  }));
  return { path, bytes, ranges, ...servedBy(served) };
}

export function wantedOfFile({ path, bytes, sha256: checksum, ...served }: ServedFile): WantedFile {
  return { path, bytes, ranges: [{ offset: 0, bytes, checksum }], ...servedBy(served) };
}

function servedBy({ servedBy: address }: Served): Served {
  return address === undefined ? {} : { servedBy: address };
}

/**
 * @param directory empty and this chunk's alone; whoever made it removes it
 * @returns for each file where to read it: its own path, or a copy that has the wanted ranges where the
 *   file has them, and holes elsewhere
 * @throws WindrowError E_CHUNK_LOST of kind `fetchFailed`, naming every file that is not sound;
 *   E_UNAUTHENTICATED when another worker wants another token
 */
export async function fetchFiles(
  files: readonly WantedFile[],
  directory: string,
  { throwIfCancelled, access = {}, limits = shuffleLimits }: FetchOptions,
): Promise<string[]> {
  const wrong = new Map<string, string>();
  const places: string[] = [];
  const arrivals: Arrival[] = [];
  for (const [number, file] of files.entries()) {
    const problem = wrong.get(file.path) ?? (await wrongHere(file, throwIfCancelled));
    if (problem === undefined) {
      places.push(file.path);
      continue;
    }
    wrong.set(file.path, problem);
    const copy = join(directory, `${number}.chunk`);
    places.push(copy);
    if (file.servedBy === undefined) continue;
    const served = { path: file.path, servedBy: file.servedBy };
    for (const { sound: _, ...range } of file.ranges) {
      arrivals.push(new Arrival({ ...range, ...served }, copy));
    }
  }
  try {
    await fetchRemote(arrivals, access, limits, throwIfCancelled);
  } finally {
    for (const arrival of arrivals) await arrival.close();
  }
  for (const { servedBy: address, path } of files) if (address !== undefined) wrong.delete(path);
  for (const { range, wrong: why } of arrivals) {
    if (why !== undefined && !wrong.has(range.path)) wrong.set(range.path, why);
  }
  throwIfLost(wrong);
  return places;
}

function throwIfLost(lost: ReadonlyMap<string, string>): void {
  const [first] = lost;
  if (!first) return;
  const more = lost.size > 1 ? `, and so are ${lost.size - 1} more` : '';
  fail('fetchFailed', 'E_CHUNK_LOST', `a shuffle file ${first[1]}${more}`, {
    at: { file: first[0] },
    hint: 'nothing: it is made again, unless this happens again and again',
    lost: [...lost.keys()],
  });
}

/** What is wrong with the file where it lies; undefined where nothing is. */
async function wrongHere(
  { path, bytes, ranges, servedBy: address }: WantedFile,
  throwIfCancelled: () => void,
): Promise<string | undefined> {
  /** Whatever keeps this process from reading it need not keep the worker that wrote it. */
  const unreadable = (error: NodeJS.ErrnoException): undefined => {
    if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR' && !address) throw error;
  };
  const file = await open(path, 'r').catch(unreadable);
  if (!file) return 'is gone';
  try {
    const { size } = await file.stat();
    if (size !== bytes) return `has ${size} of its ${bytes} bytes`;
    const longest = ranges.reduce((most, range) => Math.max(most, range.bytes), 1);
    const block = Buffer.allocUnsafe(Math.min(longest, shuffleLimits.blockBytes));
    for (const range of ranges.filter(({ sound }) => !sound)) {
      const sum = new Checksum(range);
      for (let done = 0; done < range.bytes;) {
        throwIfCancelled();
        const wanted = Math.min(block.length, range.bytes - done);
        const read = await file.read(block, 0, wanted, range.offset + done).catch(unreadable);
        if (!read) return 'cannot be read';
        if (read.bytesRead === 0) return `ends after ${range.offset + done} bytes`;
        sum.take(block.subarray(0, read.bytesRead));
        done += read.bytesRead;
      }
      if (sum.value() !== range.checksum) return 'has another checksum';
    }
    return undefined;
  } finally {
    await file.close();
  }
}
