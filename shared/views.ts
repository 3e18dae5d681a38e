/** What users see of jobs, events and workers: the JSON of `-o json`, of events and of the client. */
import type { Failure } from './failure.js';

export const jobStateNames = [
  'queued',
  'running',
  'committing',
  'stopping',
  /** Its coordinator stopped before it was done; a run of the same spec goes on with it. */
  'suspended',
  'succeeded',
  'failed',
  'cancelled',
  'superseded',
] as const;
/** States of a job; `succeeded`, `failed`, `cancelled` and `superseded` are its ends. */
export type JobStateName = (typeof jobStateNames)[number];

/** Where rows went: `in = out + filtered + deadLettered` for jobs whose steps are all row by row. */
export interface RowTotals {
  readonly in: number;
  readonly out: number;
  readonly filtered: number;
  readonly deadLettered: number;
}

/** How far a job is; what was reused counts as done. */
export interface ProgressView {
  readonly rowsDone: number;
  readonly rowsTotal: number;
  readonly rowsPerSecond: number;
  readonly chunksDone: number;
  readonly chunksTotal: number;
  /** Absent while unknown. */
  readonly etaSeconds?: number;
  readonly tasksRunning: number;
  /** What it waits for, in words; absent while it works. */
  readonly waitingFor?: string;
}

/** An output of a job; its numbers are there once it is published. */
export interface OutputView {
  readonly name: string;
  /** Absolute, of its directory. */
  readonly path: string;
  readonly rows?: number;
  readonly files?: number;
  /** SHA-256 over the manifest, in hexadecimal: equal for equal schema, names, rows and identities. */
  readonly manifestHash?: string;
}

/** A job. Times are ISO 8601 in UTC. */
export interface JobView {
  /** Its id. */
  readonly job: string;
  readonly name: string;
  readonly state: JobStateName;
  readonly submittedAt: string;
  readonly endedAt?: string;
  readonly rows: RowTotals;
  /** Rows that a model has seen in this job. */
  readonly rowsInferred: number;
  /** Rows of chunks that had been done before it. */
  readonly rowsReused: number;
  /** What it would have published was there already. */
  readonly upToDate: boolean;
  readonly progress: ProgressView;
  readonly stages: readonly {
    readonly id: string;
    readonly state: string;
    readonly tasks: number;
    readonly tasksDone: number;
    readonly tasksRunning: number;
    readonly chunks: number;
    readonly chunksDone: number;
  }[];
  readonly outputs: readonly OutputView[];
  readonly warnings: Readonly<Record<string, number>>;
  readonly retries: number;
  readonly failure?: Failure;
}

/** One line of `events`, and the NDJSON of `run`. `event` is the kind; the rest depends on it. */
export interface EventView {
  readonly event: string;
  readonly job: string;
  readonly seq: number;
  readonly time: string;
  readonly [field: string]: unknown;
}

/** What a worker printed about a job. */
export interface LogView {
  readonly time: string;
  readonly level: string;
  readonly worker: string;
  readonly text: string;
}

/** A worker process; `slots` attempts at a time, `busy` of them taken. */
export interface WorkerView {
  readonly worker: string;
  readonly state: 'connected' | 'disconnected' | 'draining';
  readonly host: string;
  readonly pid: number;
  readonly pools: readonly string[];
  readonly slots: number;
  readonly busy: number;
  readonly devices: readonly string[];
  readonly rssBytes: number;
}

/** Why a job is not done yet, or how it ended. */
export interface WhyView {
  /** In words. */
  readonly answer: string;
  /** `reason` is a stable word; other members depend on it. */
  readonly detail: Readonly<Record<string, unknown>> & { readonly reason: string };
}
