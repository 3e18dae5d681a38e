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
export type JobStateName = (typeof jobStateNames)[number];

export interface RowTotals {
  readonly in: number;
  readonly out: number;
  readonly filtered: number;
  readonly deadLettered: number;
}

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

export interface OutputView {
  readonly name: string;
  readonly path: string;
  readonly rows?: number;
  readonly files?: number;
  readonly manifestHash?: string;
}

export interface JobView {
  readonly job: string;
  readonly name: string;
  readonly state: JobStateName;
  readonly submittedAt: string;
  readonly endedAt?: string;
  readonly rows: RowTotals;
  readonly rowsInferred: number;
  readonly rowsReused: number;
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

export interface WhyView {
  readonly answer: string;
  /** `reason` is a stable word; other members depend on it. */
  readonly detail: Readonly<Record<string, unknown>> & { readonly reason: string };
}
