/**
 * What may be cleaned away, and the cleaning: old trash, orphaned chunk files, chunks whose time is
 * over. Never: a published file, a file the index names (unless its chunk expired), a chunk file that
 * no job of ours wrote, anything younger than the grace, anything below a claim that others hold.
 */
import type { JobId } from '../../shared/ids.js';
import type { ChunkRecord } from '../../shared/plan.js';
import type { ListedObject, ObjectStore } from '../../shared/storage/object-store.js';
import {
  claimPath,
  identityOfPath,
  isInside,
  jobOfPath,
  trashDirectory,
} from '../../shared/storage/paths.js';
import type { ChunkIndex } from '../journal/journal.js';
import { holdsClaim } from './claim-files.js';

export interface RetentionRules {
  readonly nowMs: number;
  /** Orphans and trash younger than this stay, milliseconds. */
  readonly graceMs: number;
}

/**
 * Which of these files below a chunk or trash directory may go. Pure.
 * @param records what the index knows of the chunks that the files' names tell
 */
export function expendable(
  files: readonly ListedObject[],
  records: ReadonlyMap<string, ChunkRecord>,
  { nowMs, graceMs }: RetentionRules,
): string[] {
  return files
    .filter(({ path, changedMs }) => {
      if (nowMs - changedMs < graceMs) return false;
      if (!/\.(chunk|dead|trash|tmp)$/.test(path)) return false;
      const record = records.get(identityOfPath(path) ?? '');
      return !record || !pathsOf(record).includes(path);
    })
    .map(({ path }) => path);
}

/** Files of an expired chunk that lie in a place of ours; what is published is the user's. Pure. */
export function expiredFiles(record: ChunkRecord, places: readonly string[]): string[] {
  return pathsOf(record).filter((path) => places.some((place) => isInside(place, path)));
}

export interface SweepRequest {
  readonly store: ObjectStore;
  readonly index: ChunkIndex;
  readonly epoch: number;
  /** Directories of outputs, and where chunks of the jobs that wrote them live. */
  readonly outputs: readonly string[];
  readonly chunkLocations: readonly string[];
  /** Identities of chunks that are of no use any more, however long somebody asked to keep them. */
  readonly spent?: readonly string[];
  /** Whether an unfinished job needs this chunk. */
  readonly inUse: (identity: string) => boolean;
  /** Whether a job of this id was ever ours: others may keep their chunks in the same directory. */
  readonly isOurs: (job: JobId) => Promise<boolean>;
  readonly rules: RetentionRules;
  /** Jobs whose claims are ours. */
  readonly self: { readonly job: string; readonly stateDirectory: string };
}

export interface Swept {
  readonly filesRemoved: number;
  readonly chunksForgotten: number;
  /** Files of forgotten chunks that lie in none of these places: workers may have them. */
  readonly left: readonly string[];
}

const batchChunks = 1000;

/** Cleans what belongs to nobody any more. Killed anywhere, the next call goes on. */
export async function sweep(request: SweepRequest): Promise<Swept> {
  const { store, outputs, rules, self } = request;
  const closed: string[] = [];
  for (const output of outputs) {
    const claimed = (await store.head(claimPath(output))) !== undefined;
    if (claimed && !(await holdsClaim(store, output, self))) closed.push(output);
  }
  const open = (place: string) => !closed.some((output) => isInside(output, place));
  const places = [...outputs.map(trashDirectory), ...request.chunkLocations].filter(open);
  const left: string[] = [];
  const forgetAll = (records: readonly ChunkRecord[]): Promise<number> =>
    forgetUnused(request, records, places, left);
  const spent = request.spent ?? [];
  let chunksForgotten = 0;
  for (let at = 0; at < spent.length; at += batchChunks) {
    const records = await request.index.lookup(spent.slice(at, at + batchChunks));
    chunksForgotten += await forgetAll([...records.values()]);
  }
  chunksForgotten += await forgetExpired(request, forgetAll);
  const owners = new Map<JobId, Promise<boolean>>();
  const mayRemove = async (path: string): Promise<boolean> => {
    if (path.endsWith('.trash')) return true;
    const job = jobOfPath(path);
    if (job === undefined) return false;
    const ours = owners.get(job) ?? request.isOurs(job);
    owners.set(job, ours);
    return ours;
  };
  let filesRemoved = 0;
  for (const place of places) {
    const files = await store.list(place);
    for (let at = 0; at < files.length; at += batchChunks) {
      const batch = files.slice(at, at + batchChunks);
      const identities = batch.flatMap(({ path }) => identityOfPath(path) ?? []);
      const records = await request.index.lookup(identities);
      for (const path of expendable(batch, records, rules)) {
        if (!(await mayRemove(path))) continue;
        if (await store.delete(path)) filesRemoved += 1;
      }
    }
  }
  return { filesRemoved, chunksForgotten, left };
}

async function forgetExpired(
  request: SweepRequest,
  forgetAll: (records: readonly ChunkRecord[]) => Promise<number>,
): Promise<number> {
  const { index, epoch, inUse, rules } = request;
  let forgotten = 0;
  for (;;) {
    const expired = await index.expired(rules.nowMs, batchChunks);
    const used = expired.filter(({ identity }) => inUse(identity));
    // Their jobs say for how long when they end; until then others come to the top of the list.
    await index.keep(epoch, identitiesOf(used), rules.nowMs + rules.graceMs);
    forgotten += await forgetAll(expired);
    if (expired.length < batchChunks) return forgotten;
  }
}

/** Forgets first, so that the index never names a file that is gone; the files are orphans then. */
async function forgetUnused(
  { index, epoch, inUse, store }: SweepRequest,
  records: readonly ChunkRecord[],
  places: readonly string[],
  left: string[],
): Promise<number> {
  const unused = records.filter(({ identity }) => !inUse(identity));
  await index.forget(epoch, identitiesOf(unused));
  for (const record of unused) {
    const here = expiredFiles(record, places);
    for (const path of here) await store.delete(path);
    for (const path of pathsOf(record)) if (!here.includes(path)) left.push(path);
  }
  return unused.length;
}

function identitiesOf(records: readonly ChunkRecord[]): string[] {
  return records.map(({ identity }) => identity);
}

function pathsOf(record: ChunkRecord): string[] {
  const files = record.files.map(({ path }) => path);
  return record.deadLetters ? [...files, record.deadLetters.path] : files;
}
