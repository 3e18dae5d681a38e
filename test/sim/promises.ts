/** What a simulated job must have kept when it ends: every chunk done once, every row counted once. */
import { isChunkDone, taskOfChunk } from '../../coordinator/core/stage.js';
import type { JobState } from '../../coordinator/core/state.js';
import type { AttemptRef } from '../../shared/ids.js';

/** The row of a job that kills its worker. */
export interface Poison {
  readonly row: number;
  readonly deadLetter: boolean;
}

export interface Played {
  readonly poison: Poison | undefined;
  /** Somebody cancelled it. */
  readonly disturbed: boolean;
  /** Names of all chunk files that exist. */
  readonly files: ReadonlySet<string>;
}

/** @throws naming the promise that was not kept */
export function checkEnd(job: JobState, { poison, disturbed, files }: Played): void {
  const bad = (why: string): never => {
    throw new Error(`job ${job.id} ended ${job.phase.kind}: ${why}`);
  };
  if (job.phase.kind === 'cancelled') {
    if (!disturbed) bad('nobody cancelled it');
    return;
  }
  if (job.phase.kind === 'failed') {
    const { code, at } = job.phase.failure;
    if (code === 'E_IO_TEST' || code === 'E_ATTEMPTS_EXHAUSTED') return;
    if (code !== 'E_POISON_ROW' || at?.row !== poison?.row) bad(`${code} at row ${at?.row}`);
    if (poison?.deadLetter) bad('its poison row should be a dead letter');
    return;
  }
  for (const stage of job.stages) {
    for (let chunk = 0; chunk < stage.chunkCount; chunk += 1) {
      if (!isChunkDone(stage, chunk)) bad(`chunk ${chunk} of ${stage.id} is not done`);
      const ref = { jobId: job.id, stageId: stage.id };
      const winner = fileOf(ref, chunk, stage.doneBy[chunk] ?? 0);
      if (!files.has(winner)) bad(`file ${winner} of task ${taskOfChunk(stage, chunk)} is gone`);
    }
  }
  const { rowsDone, rowsTotal, dead } = job.counts;
  if (rowsDone !== rowsTotal) bad(`${rowsDone} of ${rowsTotal} rows were counted`);
  const lettered = [...(job.stages[0]?.poison.values() ?? [])].flat();
  if (lettered.some((row) => row !== poison?.row)) bad(`innocent rows ${lettered.join()} accused`);
  if (dead > 1) bad(`${dead} dead letters`);
}

/** Name of the file that an attempt makes of a chunk. */
export function fileOf(
  ref: Pick<AttemptRef, 'jobId' | 'stageId'>,
  chunk: number,
  attempt: number,
): string {
  return `${ref.jobId}/${ref.stageId}/${chunk}/${attempt}`;
}
