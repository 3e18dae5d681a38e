/**
 * The coordinator's memory, owned and mutated by `transition` alone. Anyone else may read it.
 * Sized for a million tasks: a task nobody has touched costs nothing, a finished one a bit.
 */
import type { Failure } from '../../shared/failure.js';
import type { AttemptRef, JobId, ScheduleId, StageId, WorkerId } from '../../shared/ids.js';
import type { JobPlan } from '../../shared/plan.js';
import type { FrozenManifest, JobSummary, OutputsBefore, RunSettings } from './events.js';
import type { ScheduleState } from './schedule-state.js';

export type JobPhase =
  | { readonly kind: 'running' }
  /** Waits for its attempts to stop, then fails or is cancelled. */
  | {
      readonly kind: 'stopping';
      readonly outcome:
        | { readonly kind: 'failed'; readonly failure: Failure }
        | { readonly kind: 'cancelled'; readonly reason: string };
    }
  /** Stages are done; manifests frozen when `manifests` is set; cancel is refused then. */
  | {
      readonly kind: 'committing';
      readonly manifests?: readonly FrozenManifest[];
    }
  | { readonly kind: 'succeeded'; readonly summary: JobSummary }
  | { readonly kind: 'failed'; readonly failure: Failure }
  | { readonly kind: 'cancelled'; readonly reason: string };

/** Only for tasks that have been touched and are not done. */
export type TaskState =
  | { kind: 'waiting'; /** not before */ eligibleMs: number; history: TaskHistory }
  | {
      kind: 'running';
      attempt: number;
      workerId: WorkerId;
      startedMs: number;
      cancelling: boolean;
      /** The task's time was up: its end counts as a failure, whatever the worker calls it. */
      timedOut: boolean;
      /** It runs alone on its worker: a crash counts as a death. */
      alone: boolean;
      probe?: Probe;
      /** Restricted to this chunk, to find the one that kills workers. */
      only?: number;
      history: TaskHistory;
    };

export interface TaskHistory {
  attempts: number;
  /** Chunks of the task that are not done. */
  missing: number;
  /** Failures that count against `run.attempts`. */
  counted: number;
  /** Deaths of a worker under this task that count (it ran alone). */
  deaths: number;
  /** After a crash a suspect runs alone on its worker before a death counts. */
  alone: boolean;
  /** Set while rows of one chunk are bisected for the row that kills. */
  isolating?: { chunk: number; lo: number; hi: number };
  lastFailure?: Failure;
}
export interface Probe {
  readonly chunk: number;
  readonly rowStart: number;
  readonly rowEnd: number;
}

export type StagePhase = 'blocked' | 'sizing' | 'running' | 'done';

export interface Waiting {
  readonly task: number;
  readonly eligibleMs: number;
}

export interface StageState {
  readonly id: StageId;
  phase: StagePhase;
  /** Chunks of the stage; 0 until a stage over a stage is sized. */
  chunkCount: number;
  taskStarts: readonly number[];
  groups?: readonly { readonly from: number; readonly to: number }[];
  /** One bit a chunk. */
  chunksDone: Uint8Array;
  chunksDoneCount: number;
  /** Number of the attempt whose report won, by chunk; 0 for none yet and for reused chunks. */
  doneBy: Int32Array;
  /** Chunks that were done, then found lost, and are not done again yet. */
  lost: Set<number>;
  /** How often each chunk was lost, for those that ever were. */
  losses: Map<number, number>;
  tasksDone: number;
  /** Tasks never dispatched: [from, to) ranges, ascending, first one next. */
  untouched: { from: number; to: number }[];
  tasks: Map<number, TaskState>;
  /** Binary heap by `eligibleMs` of the waiting ones among `tasks`; may hold stale entries below the top. */
  waiting: Waiting[];
  /** Attempts of finished tasks that needed more than one, so that no number is given twice. */
  lastAttempt: Map<number, number>;
  /** Rows that killed workers, by chunk: dead-lettered unseen. */
  poison: Map<number, number[]>;
}

export interface JobCounts {
  rowsTotal: number;
  rowsReused: number;
  rowsPruned: number;
  rowsInferred: number;
  rowsDone: number;
  out: number;
  filtered: number;
  dead: number;
  chunksDone: number;
  chunksTotal: number;
  retries: number;
}

export interface JobState {
  readonly id: JobId;
  readonly requestId: string;
  readonly name: string;
  readonly spec: string;
  /** Grows while a query is planned: stages are added before the query's own. */
  plan: JobPlan;
  readonly run: RunSettings;
  /** Absent: nothing lay in any of its outputs. */
  readonly before?: OutputsBefore;
  readonly submittedMs: number;
  startedMs?: number;
  endedMs?: number;
  phase: JobPhase;
  /** In plan order; stage k is found by `stageIndex`. */
  readonly stages: StageState[];
  counts: JobCounts;
  /** Attempts now on workers. */
  running: number;
  /** Failed checks with action warn, by `step.check`. */
  warnings: Record<string, number>;
}

export type WorkerPhase = 'connected' | 'disconnected' | 'draining';

export interface WorkerState {
  readonly id: WorkerId;
  readonly incarnation: string;
  readonly pools: readonly string[];
  readonly slots: number;
  readonly devices: readonly string[];
  readonly host: string;
  readonly pid: number;
  /** Where other workers reach it; absent: nowhere. */
  readonly shuffleAddress?: string;
  /** Where it leaves what later stages of a query read; absent: where chunks of the job lie. */
  readonly shuffleDirectory?: string;
  phase: WorkerPhase;
  /** By attemptKey. */
  readonly attempts: Map<string, AttemptRef>;
  /** True while one attempt runs here alone. */
  exclusive: boolean;
}

export interface State {
  readonly jobs: Map<JobId, JobState>;
  readonly workers: Map<WorkerId, WorkerState>;
  readonly schedules: Map<ScheduleId, ScheduleState>;
}

export function emptyState(): State {
  return { jobs: new Map(), workers: new Map(), schedules: new Map() };
}

export function isEnded(phase: JobPhase): boolean {
  return phase.kind === 'succeeded' || phase.kind === 'failed' || phase.kind === 'cancelled';
}
