/**
 * Finds the chunks of a stage that are already done: asks the index, then checks every file's size
 * and checksum. What fails the check is forgotten and done again; nothing is trusted by name.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { StageId } from '../shared/ids.js';
import type { ChunkFile, ChunkRecord } from '../shared/plan.js';
import type { JobChunks } from './job-chunks.js';
import type { ChunkIndex } from './journal/journal.js';

export interface ReuseOptions {
  /** Chunks that dead-lettered rows are done again (their cause was mended). */
  readonly redoDeadLetters: boolean;
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

export async function reusableChunks(
  chunks: JobChunks,
  stageId: StageId,
  index: ChunkIndex,
  epoch: number,
  options: ReuseOptions,
): Promise<Reusable> {
  if (chunks.stage(stageId).input.kind === 'empty') return { chunks: [], records: [] };
  const identities = chunks.identities(stageId);
  const known = await index.lookup(identities);
  if (known.size === 0) return { chunks: [], records: [] };
  const found: Candidate[] = identities.flatMap((identity, chunk) => {
    const record = known.get(identity);
    return record ? [{ chunk, record }] : [];
  });
  const redo = ({ record }: Candidate): boolean =>
    options.redoDeadLetters && record.counts.dead > 0;
  const candidates = found.filter((each) => !redo(each));
  const sound: boolean[] = [];
  let next = 0;
  const check = async (): Promise<void> => {
    while (next < candidates.length) {
      const at = next;
      next += 1;
      sound[at] = await isSound(candidates[at]!.record);
    }
  };
  await Promise.all(Array.from({ length: parallel }, check));
  // The first record of an identity wins, so what is done again must be forgotten before.
  const again = [...found.filter(redo), ...candidates.filter((_, at) => !sound[at])];
  if (again.length > 0) {
    await index.forget(
      epoch,
      again.map(({ record }) => record.identity),
    );
  }
  const kept = candidates.filter((_, at) => sound[at]);
  return {
    chunks: kept.map(({ chunk }) => chunk),
    records: kept.map(({ record }) => record),
  };
}

async function isSound({ files, deadLetters }: ChunkRecord): Promise<boolean> {
  for (const file of deadLetters ? [...files, deadLetters] : files) {
    if (!(await hasBytes(file))) return false;
  }
  return true;
}

async function hasBytes({ path, bytes, sha256 }: ChunkFile): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isFile() || found.size !== bytes) return false;
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
