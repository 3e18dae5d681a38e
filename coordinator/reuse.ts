/**
 * Finds the chunks of a stage that are already done: asks the index, then checks every file's size
 * and checksum. What fails the check is forgotten and done again; nothing is trusted by name.
 */
import type { StageId } from '../shared/ids.js';
import type { ChunkRecord } from '../shared/plan.js';
import { inCommitTurn } from './commit/turns.js';
import type { JobChunks } from './job-chunks.js';
import type { ChunkIndex } from './journal/journal.js';
import type { LostChunks } from './lost-chunks.js';

export interface ReuseTools {
  readonly index: ChunkIndex;
  readonly epoch: number;
  readonly lost: LostChunks;
}

export interface ReuseOptions {
  /** Until when what is found here is kept whatever happens, milliseconds since 1970. */
  readonly keepUntilMs: number;
  /** True for chunks that are done again although they are sound, perhaps with other rows. */
  readonly redo: (chunk: number, record: ChunkRecord) => boolean;
  /** Ends the checking of files, which may take minutes. */
  readonly signal?: AbortSignal;
}

export interface Reusable {
  readonly chunks: readonly number[];
  readonly records: readonly ChunkRecord[];
}

interface Candidate {
  readonly chunk: number;
  readonly record: ChunkRecord;
}

/** Files checked at the same time; hashing is bound by the processor, reading by the disk. */
const parallel = 4;

/** @param identities of all chunks of the stage, in order */
export async function reusableChunks(
  { index, epoch, lost }: ReuseTools,
  chunks: JobChunks,
  stageId: StageId,
  identities: readonly string[],
  options: ReuseOptions,
): Promise<Reusable> {
  // Kept before it is looked at: a clean-up must not take away what has just been found sound.
  const known = await inCommitTurn(index, async () => {
    const records = await index.lookup(identities);
    if (records.size > 0) await index.keep(epoch, [...records.keys()], options.keepUntilMs);
    return records;
  });
  if (known.size === 0) return { chunks: [], records: [] };
  const found: Candidate[] = identities.flatMap((identity, chunk) => {
    const record = known.get(identity);
    return record ? [{ chunk, record }] : [];
  });
  const redo = found.filter(({ chunk, record }) => options.redo(chunk, record));
  const candidates = found.filter(({ chunk, record }) => !options.redo(chunk, record));
  const sound: boolean[] = [];
  let next = 0;
  const check = async (): Promise<void> => {
    while (next < candidates.length) {
      options.signal?.throwIfAborted();
      const at = next;
      next += 1;
      sound[at] = await lost.isSound(chunks, stageId, candidates[at]!.record);
    }
  };
  await Promise.all(Array.from({ length: parallel }, check));
  // The first record of an identity wins, so what is done again must be forgotten before.
  const suspects = candidates.filter((_, at) => !sound[at]);
  await lost.check(chunks, stageId, byIdentity(suspects));
  await lost.outdate(chunks, stageId, byIdentity(redo));
  const kept = candidates.filter((_, at) => sound[at]);
  return {
    chunks: kept.map(({ chunk }) => chunk),
    records: kept.map(({ record }) => record),
  };
}

function byIdentity(candidates: readonly Candidate[]): Map<string, number> {
  return new Map(candidates.map(({ chunk, record }) => [record.identity, chunk]));
}
