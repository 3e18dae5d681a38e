/** Identifiers that cannot be mixed up, and the only places that make them. Never: lookups or I/O. */
declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

/** A submitted spec: `j` + base-36 milliseconds + random suffix; sorts by time of submission. */
export type JobId = Branded<'JobId'>;
/** Name of a stage inside its job: `s0`, `s1`, … in topological order. */
export type StageId = Branded<'StageId'>;
/** A worker process as it names itself; stable across reconnects of the same process. */
export type WorkerId = Branded<'WorkerId'>;
/** A schedule as long as it lives: one that is deleted and made again has another. */
export type ScheduleId = Branded<'ScheduleId'>;
/** SHA-256 (hex) of everything a chunk's bytes depend on. */
export type ChunkIdentity = Branded<'ChunkIdentity'>;

export const jobId = (text: string): JobId => text as JobId;
export const stageId = (text: string): StageId => text as StageId;
export const scheduleId = (text: string): ScheduleId => text as ScheduleId;
export const workerId = (text: string): WorkerId => text as WorkerId;
export const chunkIdentity = (hex: string): ChunkIdentity => hex as ChunkIdentity;

/** Formats a job id from a time and randomness that the caller brings (pure code can call this). */
export function makeJobId(nowMs: number, random: string): JobId {
  return jobId(`j${nowMs.toString(36)}${random}`);
}

/** The same for a schedule: `s` instead of `j`, so that no job has its id. */
export function makeScheduleId(nowMs: number, random: string): ScheduleId {
  return scheduleId(`s${nowMs.toString(36)}${random}`);
}

/** One numbered try of a task. `attempt` counts from 1 within the task. */
export interface AttemptRef {
  readonly jobId: JobId;
  readonly stageId: StageId;
  readonly task: number;
  readonly attempt: number;
}

export function attemptKey(ref: AttemptRef): string {
  return `${ref.jobId}/${ref.stageId}/${ref.task}/${ref.attempt}`;
}
