/**
 * Brings what a chunk reads of other chunks into files of its own, in large blocks, each checksum
 * taken on the way: from the path where it can be read, else from the worker that has it. What does
 * not come as it was written is named in the failure, so that its producer runs again. Never: reads
 * rows, or keeps more than a few blocks in memory.
 */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { fail } from '../../shared/failure.js';
import type { ChunkFile, ChunkPart } from '../../shared/plan.js';
import { Arrival, type FileRange } from './arrival.js';
import { shuffleLimits, type ShuffleLimits } from './limits.js';
import type { PeerAccess } from './peers.js';
import { fetchRemote } from './remote-parts.js';

/** A part and the file it lies in. */
export interface PartRef {
  readonly path: string;
  readonly part: ChunkPart;
  /** Address of the worker to ask where the path is not to be read. */
  readonly servedBy?: string;
}

/** A finished chunk's file, perhaps on another machine. */
export type ServedFile = ChunkFile & Pick<PartRef, 'servedBy'>;

export interface FetchOptions {
  readonly throwIfCancelled: () => void;
  readonly access?: PeerAccess | undefined;
  readonly limits?: ShuffleLimits;
}

export function rangeOfPart({ path, part, servedBy }: PartRef): FileRange {
  const { offset, bytes, crc32: checksum } = part;
  return { path, offset, bytes, checksum, ...(servedBy === undefined ? {} : { servedBy }) };
}

export function rangeOfFile({ path, bytes, sha256: checksum, servedBy }: ServedFile): FileRange {
  return { path, offset: 0, bytes, checksum, ...(servedBy === undefined ? {} : { servedBy }) };
}

/**
 * @param directory empty and this chunk's alone; whoever made it removes it
 * @returns one file for each range, in the given order
 * @throws WindrowError E_CHUNK_LOST of kind `fetchFailed`, naming every file that is not sound;
 *   E_UNAUTHENTICATED when another worker wants another token
 */
export async function fetchRanges(
  ranges: readonly FileRange[],
  directory: string,
  { throwIfCancelled, access = {}, limits = shuffleLimits }: FetchOptions,
): Promise<string[]> {
  const arrivals = ranges.map(
    (range, number) => new Arrival(range, join(directory, `${number}.part`)),
  );
  try {
    await readLocal(arrivals, throwIfCancelled);
    const remote = arrivals.filter(({ complete, range }) => !complete && range.servedBy);
    await fetchRemote(remote, access, limits, throwIfCancelled);
  } finally {
    for (const arrival of arrivals) await arrival.close();
  }
  throwIfLost(arrivals);
  return arrivals.map(({ target }) => target);
}

function throwIfLost(arrivals: readonly Arrival[]): void {
  const lost = new Map<string, string>();
  for (const { range, wrong } of arrivals) {
    if (wrong !== undefined && !lost.has(range.path)) lost.set(range.path, wrong);
  }
  const [first] = lost;
  if (!first) return;
  const more = lost.size > 1 ? `, and so are ${lost.size - 1} more` : '';
  fail('fetchFailed', 'E_CHUNK_LOST', `a shuffle file ${first[1]}${more}`, {
    at: { file: first[0] },
    hint: 'nothing: it is made again, unless this happens again and again',
    lost: [...lost.keys()],
  });
}

/** Ranges of a file that turned out to be wrong are left: it is fetched or lost with all of them. */
async function readLocal(arrivals: readonly Arrival[], throwIfCancelled: () => void) {
  const wrong = new Map<string, string>();
  const block = Buffer.allocUnsafe(shuffleLimits.blockBytes);
  for (const arrival of arrivals) {
    const { path } = arrival.range;
    arrival.wrong = wrong.get(path) ?? (await copyRange(arrival, block, throwIfCancelled));
    if (arrival.wrong !== undefined) wrong.set(path, arrival.wrong);
  }
}

/** Says what is wrong with the range; undefined when nothing is. */
async function copyRange(
  arrival: Arrival,
  block: Buffer,
  throwIfCancelled: () => void,
): Promise<string | undefined> {
  const { path, offset, bytes, servedBy } = arrival.range;
  /** Whatever keeps this process from reading it need not keep the worker that wrote it. */
  const unreadable = (error: NodeJS.ErrnoException): undefined => {
    if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR' && !servedBy) throw error;
  };
  const from = await open(path, 'r').catch(unreadable);
  if (!from) return 'is gone';
  try {
    do {
      throwIfCancelled();
      const { written } = arrival;
      const wanted = Math.min(block.length, bytes - written);
      const read = await from.read(block, 0, wanted, offset + written).catch(unreadable);
      if (!read) return 'cannot be read';
      const { bytesRead } = read;
      if (bytesRead === 0 && wanted > 0) return `ends after ${offset + written} bytes`;
      await arrival.take(block.subarray(0, bytesRead));
    } while (arrival.written < bytes);
    return arrival.wrong;
  } finally {
    await from.close();
  }
}
