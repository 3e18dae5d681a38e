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
  const known = await keptRecords({ index, epoch }, identities, options.keepUntilMs);
  if (known.size === 0) return { chunks: [], records: [] };
  const found: Candidate[] = identities.flatMap((identity, chunk) => {
    const record = known.get(identity);
    return record ? [{ chunk, record }] : [];
  });
  const redo = found.filter(({ chunk, record }) => options.redo(chunk, record));
  const candidates = found.filter(({ chunk, record }) => !options.redo(chunk, record));
  const sound = await soundOnes(lost, chunks, stageId, candidates, options.signal);
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

/** What the index knows, kept before it is looked at: no clean-up takes away what is just found sound. */
export function keptRecords(
  { index, epoch }: Pick<ReuseTools, 'index' | 'epoch'>,
  identities: readonly string[],
  untilMs: number,
): Promise<ReadonlyMap<string, ChunkRecord>> {
  return inCommitTurn(index, async () => {
    const records = await index.lookup(identities);
    if (records.size > 0) await index.keep(epoch, [...records.keys()], untilMs);
    return records;
  });
}

/** Whether each of these chunks can be read as its record says. */
export async function soundOnes(
  lost: LostChunks,
  chunks: JobChunks,
  stageId: StageId,
  candidates: readonly Candidate[],
  signal?: AbortSignal,
): Promise<readonly boolean[]> {
  const sound: boolean[] = [];
  let next = 0;
  const check = async (): Promise<void> => {
    while (next < candidates.length) {
      signal?.throwIfAborted();
      const at = next;
      next += 1;
      sound[at] = await lost.isSound(chunks, stageId, candidates[at]!.record);
    }
  };
  await Promise.all(Array.from({ length: parallel }, check));
  return sound;
}

function byIdentity(candidates: readonly Candidate[]): Map<string, number> {
  return new Map(candidates.map(({ chunk, record }) => [record.identity, chunk]));
}
