/** Turns an attempt that placement chose into the message its worker gets. Reads state, changes none. */
import type { Assignment, ChunkWork } from '../shared/gen/windrow.js';
import type { AttemptRef } from '../shared/ids.js';
import { attemptToWire, chunkFileToWire } from '../shared/wire.js';
import { attemptChunks } from './core/stage.js';
import type { JobState, Probe, StageState } from './core/state.js';
import type { JobChunks } from './job-chunks.js';
import type { ChunkIndex } from './journal/journal.js';

/** @throws WindrowError E_CHUNK_LOST (fetchFailed) when an upstream chunk is not in the index */
export async function assignment(
  ref: AttemptRef,
  job: JobState,
  stage: StageState,
  chunks: JobChunks,
  index: ChunkIndex,
): Promise<Assignment> {
  const task = stage.tasks.get(ref.task);
  const probe = task?.kind === 'running' ? task.probe : undefined;
  const numbers = probe ? [probe.chunk] : attemptChunks(stage, ref.task);
  const work: ChunkWork[] = [];
  for (const chunk of numbers) work.push(await chunkWork(ref, chunk, probe, stage, chunks, index));
  return {
    attempt: attemptToWire(ref),
    programDigest: chunks.stage(ref.stageId).digest,
    chunks: work,
    chunkDirectory: job.plan.chunkLocation,
    taskTimeoutMs: job.run.taskTimeoutMs ?? 0,
    probe: probe !== undefined,
  };
}

async function chunkWork(
  ref: AttemptRef,
  chunk: number,
  probe: Probe | undefined,
  stage: StageState,
  chunks: JobChunks,
  index: ChunkIndex,
): Promise<ChunkWork> {
  const identity = chunks.identity(ref.stageId, chunk);
  const poisonRows = [...(stage.poison.get(chunk) ?? [])];
  const found = chunks.range(ref.stageId, chunk);
  if (!found) {
    if (chunks.stage(ref.stageId).input.kind === 'empty') {
      return { chunk, identity, source: undefined, inputs: [], poisonRows };
    }
    const upstream = chunks.upstream(ref.stageId, chunk);
    const records = await index.lookup(upstream);
    const inputs = upstream.flatMap((each) => records.get(each)?.files ?? []);
    return { chunk, identity, source: undefined, inputs: inputs.map(chunkFileToWire), poisonRows };
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
  };
}
