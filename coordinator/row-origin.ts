/**
 * Where a row came from that failed behind an exchange: the worker names the chunk file that it lay
 * in, the coordinator knows what that chunk was made of. Never: names a file that it may not be.
 */
import type { Failure } from '../shared/failure.js';
import { identityOfPath } from '../shared/storage/paths.js';
import type { JobChunks } from './job-chunks.js';
import type { ChunkRun, LeafNeeds } from './planner/exchange-chunks.js';

/** The failure with the source's file in the place of the chunk's; without a file where it has several. */
export function withOrigin(failure: Failure, chunks: JobChunks): Failure {
  const { at, kind } = failure;
  const identity = at?.file === undefined ? undefined : identityOfPath(at.file);
  if (identity === undefined || kind !== 'badData') return failure;
  const run = runOf(identity, chunks);
  const [file, ...others] = run ? filesBehind(run, chunks, new Set()) : [];
  const { file: _, ...rest } = at!;
  return { ...failure, at: file !== undefined && others.length === 0 ? { ...rest, file } : rest };
}

/** The chunk of the job, where it is one. */
function runOf(identity: string, chunks: JobChunks): ChunkRun | undefined {
  for (const { id, input } of chunks.plan.stages) {
    if (input.kind === 'query') continue;
    const from = chunks.identities(id).indexOf(identity);
    if (from >= 0) return { stage: id, from, to: from + 1 };
  }
  return undefined;
}

/** Files of sources whose rows came that way; of more than one it does not matter which. */
function filesBehind(
  { stage, from, to }: ChunkRun,
  chunks: JobChunks,
  found: Set<string>,
): Set<string> {
  for (let chunk = from; chunk < to && found.size < 2; chunk += 1) {
    const range = chunks.range(stage, chunk);
    if (range) found.add(range.file.path);
    for (const { ranges, runs } of drivingNeeds(stage, chunk, chunks)) {
      for (const { file } of ranges) found.add(file.path);
      for (const run of runs) if (found.size < 2) filesBehind(run, chunks, found);
    }
  }
  return found;
}

/** What a chunk's own rows are made of; what every chunk reads besides only meets them. */
function drivingNeeds(
  stage: ChunkRun['stage'],
  chunk: number,
  chunks: JobChunks,
): readonly LeafNeeds[] {
  const { input } = chunks.stage(stage);
  if (input.kind === 'stage') return [{ leaf: '', ranges: [], runs: chunks.runs(stage, chunk) }];
  if (input.kind !== 'exchange') return [];
  const aside = new Set(input.driving.kind === 'once' ? [] : input.whole.map(({ leaf }) => leaf));
  return chunks.needs(stage, chunk).filter(({ leaf }) => !aside.has(leaf));
}
