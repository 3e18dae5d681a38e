/** Turns an attempt that placement chose into the message its worker gets. Reads state, changes none. */
import type { Assignment, ChunkWork } from '../shared/gen/windrow.js';
import type { AttemptRef, StageId } from '../shared/ids.js';
import type { ChunkRecord } from '../shared/plan.js';
import { attemptToWire, chunkFileToWire } from '../shared/wire.js';
import { attemptChunks } from './core/stage.js';
import type { JobState, Probe, StageState } from './core/state.js';
import type { JobChunks } from './job-chunks.js';
import type { ChunkIndex } from './journal/journal.js';

/** Files of upstream chunks, by identity. */
export type Upstream = ReadonlyMap<string, ChunkRecord>;

const nothing: Upstream = new Map();

/**
 * What an attempt over a stage reads has to be looked up; for all others the answer is there at
 * once, so that a hundred thousand of them cost no turn of the event loop each.
 */
export function upstreamOf(
  ref: AttemptRef,
  stage: StageState,
  chunks: JobChunks,
  index: ChunkIndex,
): Upstream | Promise<Upstream> {
  if (chunks.stage(ref.stageId).input.kind !== 'stage') return nothing;
  return index.lookup([...inputsOf(ref, stage, chunks).numbers.keys()]);
}

/** What an attempt reads of the stage before: numbers of chunks by their identities. */
export function inputsOf(
  ref: AttemptRef,
  stage: StageState,
  chunks: JobChunks,
): { readonly stageId: StageId; readonly numbers: ReadonlyMap<string, number> } {
  const { input } = chunks.stage(ref.stageId);
  if (input.kind !== 'stage') return { stageId: ref.stageId, numbers: new Map() };
  const numbers = chunkNumbers(stage, ref).flatMap((chunk) =>
    chunks.upstreamNumbers(ref.stageId, chunk),
  );
  const found = numbers.map((number) => [chunks.identity(input.stage, number), number] as const);
  return { stageId: input.stage, numbers: new Map(found) };
}

export function assignment(
  ref: AttemptRef,
  job: JobState,
  stage: StageState,
  chunks: JobChunks,
  upstream: Upstream,
): Assignment {
  const probe = probeOf(stage, ref);
  return {
    attempt: attemptToWire(ref),
    programDigest: chunks.stage(ref.stageId).digest,
    chunks: chunkNumbers(stage, ref).map((chunk) =>
      chunkWork(ref, chunk, probe, stage, chunks, upstream),
    ),
    chunkDirectory: job.plan.chunkLocation,
    taskTimeoutMs: job.run.taskTimeoutMs ?? 0,
    probe: probe !== undefined,
  };
}

function probeOf(stage: StageState, ref: AttemptRef): Probe | undefined {
  const task = stage.tasks.get(ref.task);
  return task?.kind === 'running' ? task.probe : undefined;
}

function chunkNumbers(stage: StageState, ref: AttemptRef): number[] {
  const probe = probeOf(stage, ref);
  return probe ? [probe.chunk] : attemptChunks(stage, ref.task);
}

function chunkWork(
  ref: AttemptRef,
  chunk: number,
  probe: Probe | undefined,
  stage: StageState,
  chunks: JobChunks,
  upstream: Upstream,
): ChunkWork {
  const identity = chunks.identity(ref.stageId, chunk);
  const poisonRows = [...(stage.poison.get(chunk) ?? [])];
  const found = chunks.range(ref.stageId, chunk);
  if (!found) {
    if (chunks.stage(ref.stageId).input.kind === 'empty') {
      return { chunk, identity, source: undefined, inputs: [], poisonRows, reads: [] };
    }
    const inputs = chunks
      .upstream(ref.stageId, chunk)
      .flatMap((each) => upstream.get(each)?.files ?? []);
    return {
      chunk,
      identity,
      source: undefined,
      inputs: inputs.map(chunkFileToWire),
      poisonRows,
      reads: [],
    };
  }
  const { file, range } = found;
  const hive = Object.entries(file.hive).filter(
    (entry): entry is [string, string] => entry[1] !== null,
  );
  return {
    chunk,
    identity,
    source: {
      path: file.path,
      bytes: file.bytes,
      mtimeMs: file.mtimeMs,
      footerHash: file.footerHash,
      rowGroup: range.rowGroup,
      rowStart: probe?.rowStart ?? range.rowStart,
      rowEnd: probe?.rowEnd ?? range.rowEnd,
      hive: Object.fromEntries(hive),
      missingColumns: [...file.missingColumns],
    },
    inputs: [],
    poisonRows,
    reads: [],
  };
}
