/**
 * A job as one row of text, so that a journal need not replay what led to it. Chunk sets are
 * written as runs: a finished stage of a million chunks is a few bytes. Never: I/O.
 */
import { WindrowError } from '../../shared/failure.js';
import type { JobState, StageState } from './state.js';

const format = 1;

type StageRow = Omit<
  StageState,
  'chunksDone' | 'doneBy' | 'lost' | 'losses' | 'tasks' | 'waiting' | 'lastAttempt' | 'poison'
> & {
  /** Lengths of runs of not done, done, not done … chunks. */
  readonly doneRuns: readonly number[];
  /** Value and length of each run. */
  readonly doneByRuns: readonly number[];
  readonly lost: readonly number[];
  /** Absent in rows of older versions. */
  readonly losses?: readonly (readonly [number, number])[];
  readonly tasks: readonly (readonly [number, unknown])[];
  readonly waiting: StageState['waiting'];
  readonly lastAttempt: readonly (readonly [number, number])[];
  readonly poison: readonly (readonly [number, number[]])[];
};

export function jobToRow(job: JobState): string {
  return JSON.stringify({ format, ...job, stages: job.stages.map(stageToRow) });
}

/** @throws WindrowError E_SNAPSHOT_FORMAT when a newer version wrote the row */
export function jobFromRow(row: string): JobState {
  const { format: found, ...job } = JSON.parse(row) as { format?: number; stages: StageRow[] };
  if (found !== format) {
    throw new WindrowError({
      kind: 'broken',
      code: 'E_SNAPSHOT_FORMAT',
      message: `the journal holds a job in format ${String(found)}, this version reads ${format}`,
      hint: 'use the version of windrow that wrote this state directory',
    });
  }
  return { ...job, stages: job.stages.map(stageFromRow) } as unknown as JobState;
}

function stageToRow(stage: StageState): StageRow {
  const { chunksDone, doneBy, lost, losses, tasks, lastAttempt, poison, ...plain } = stage;
  return {
    ...plain,
    doneRuns: bitRuns(chunksDone, stage.chunkCount),
    doneByRuns: valueRuns(doneBy),
    lost: [...lost],
    losses: [...losses],
    tasks: [...tasks],
    lastAttempt: [...lastAttempt],
    poison: [...poison],
  };
}

function stageFromRow(row: StageRow): StageState {
  const { doneRuns, doneByRuns, lost, losses, tasks, lastAttempt, poison, ...plain } = row;
  return {
    ...plain,
    chunksDone: bitsFromRuns(doneRuns, plain.chunkCount),
    doneBy: valuesFromRuns(doneByRuns, plain.chunkCount),
    lost: new Set(lost),
    losses: new Map(losses),
    tasks: new Map(tasks) as StageState['tasks'],
    lastAttempt: new Map(lastAttempt),
    poison: new Map(poison),
  };
}

function bitRuns(bits: Uint8Array, count: number): number[] {
  const runs: number[] = [];
  let value = 0;
  let length = 0;
  for (let at = 0; at < count; at += 1) {
    const bit = ((bits[at >> 3] as number) >> (at & 7)) & 1;
    if (bit !== value) {
      runs.push(length);
      value = bit;
      length = 0;
    }
    length += 1;
  }
  runs.push(length);
  return runs;
}

function bitsFromRuns(runs: readonly number[], count: number): Uint8Array {
  const bits = new Uint8Array((count + 7) >> 3);
  let at = 0;
  runs.forEach((length, run) => {
    if (run % 2 === 0) at += length;
    else for (const end = at + length; at < end; at += 1) bits[at >> 3]! |= 1 << (at & 7);
  });
  return bits;
}

function valueRuns(values: Int32Array): number[] {
  const runs: number[] = [];
  for (let at = 0; at < values.length;) {
    const value = values[at] as number;
    const start = at;
    while (at < values.length && values[at] === value) at += 1;
    runs.push(value, at - start);
  }
  return runs;
}

function valuesFromRuns(runs: readonly number[], count: number): Int32Array {
  const values = new Int32Array(count);
  let at = 0;
  for (let run = 0; run < runs.length; run += 2) {
    const end = at + (runs[run + 1] as number);
    values.fill(runs[run] as number, at, end);
    at = end;
  }
  return values;
}
