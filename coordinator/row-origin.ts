/**
 * Where a row came from that failed behind an exchange: the worker names the chunk file that it lay
 * in, the coordinator knows what that chunk was made of. Never: names a file that it may not be.
 */
import type { Failure } from '../shared/failure.js';
import { identityOfPath } from '../shared/storage/paths.js';
import type { JobChunks } from './job-chunks.js';
import type { ChunkRun, LeafNeeds } from './planner/exchange-chunks.js';

/** Chunks behind a row that are looked at; of a row behind more of them no file is told. */
const chunksMax = 10_000;

/** The failure with the source's file in the place of the chunk's; without a file where it has several. */
export function withOrigin(failure: Failure, chunks: JobChunks): Failure {
  const { at, kind } = failure;
  const identity = at?.file === undefined ? undefined : identityOfPath(at.file);
  if (identity === undefined || kind !== 'badData') return failure;
  const run = runOf(identity, chunks);
  const file = run && onlyFileBehind(run, chunks);
  const { file: _, ...rest } = at!;
  return { ...failure, at: file === undefined ? rest : { ...rest, file } };
}

/** The chunk of the job, where it is one. */
function runOf(identity: string, chunks: JobChunks): ChunkRun | undefined {
  for (const { id, input } of chunks.plan.stages) {
    if (input.kind === 'query') continue;
    const count = chunks.count(id);
    if (count === 0) continue;
    const from = chunks.runIdentities({ stage: id, from: 0, to: count }).indexOf(identity);
    if (from >= 0) return { stage: id, from, to: from + 1 };
  }
  return undefined;
}

/** The file of a source that all its rows came from; undefined where it may be one of several. */
function onlyFileBehind(run: ChunkRun, chunks: JobChunks): string | undefined {
  const files = new Set<string>();
  const toLookAt = [run];
  const met = new Set([keyOf(run)]);
  let looked = 0;
  for (let next = toLookAt.pop(); next; next = toLookAt.pop()) {
    const { stage, from, to } = next;
    looked += to - from;
    if (looked > chunksMax) return undefined;
    for (let chunk = from; chunk < to; chunk += 1) {
      const range = chunks.range(stage, chunk);
      if (range) files.add(range.file.path);
      for (const { ranges, runs } of drivingNeeds(stage, chunk, chunks)) {
        for (const { file } of ranges) files.add(file.path);
        // Behind an exchange every chunk is made of the same ones.
        for (const each of runs) {
          if (met.has(keyOf(each))) continue;
          met.add(keyOf(each));
          toLookAt.push(each);
        }
      }
      if (files.size > 1) return undefined;
    }
  }
  const [file] = files;
  return file;
}

function keyOf({ stage, from, to }: ChunkRun): string {
  return `${stage}/${from}/${to}`;
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
