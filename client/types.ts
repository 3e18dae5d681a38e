/** The client's surface: what `connect` returns and what `submit` takes. */
import type { RecordBatch } from 'apache-arrow';
import type { Schedules } from './schedules.js';
import type { EventView, JobView, WhyView, WorkerView } from '../shared/views.js';

/** A local file that a spec needs on the other side, by content. */
export interface LocalFile {
  readonly digest: string;
  readonly bytes: number;
  readonly name: string;
  /** Where it lies here. */
  readonly path: string;
  readonly external: readonly LocalFile[];
}

/** A spec made ready to travel: paths absolute, params merged, functions bundled, models hashed. */
export interface LoadedJob {
  readonly name: string;
  readonly specJson: string;
  /** By the path as it stands in `specJson` (models and map modules). */
  readonly files: ReadonlyMap<string, LocalFile>;
  /** Directory of the spec file: where `.windrow` goes by default. */
  readonly directory: string;
}

/** A schedule and its job, made ready to travel. */
export interface LoadedSchedule {
  readonly name: string;
  readonly specJson: string;
  readonly job: LoadedJob;
}

export interface ConnectOptions {
  readonly token?: string;
  /** PEM files; all absent means plaintext (loopback and UNIX sockets only). */
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string };
  /** For each call that is not a stream; default 30 000, and ten times that for submit and explain. */
  readonly timeoutMs?: number;
  /** How long `events` tries to reconnect in one go; default 60 000. */
  readonly reconnectMs?: number;
}

export interface SubmitOptions {
  /** Same id, same job; default a random one. */
  readonly requestId?: string;
  readonly redoDeadLetters?: boolean;
}

export interface Client {
  submit(job: LoadedJob, options?: SubmitOptions): Promise<{ jobId: string; existing: boolean }>;
  explain(job: LoadedJob): Promise<{ plan: unknown; text: string }>;
  preview(job: LoadedJob, options: { step?: string; rows?: number }): AsyncIterable<RecordBatch>;
  get(job: string): Promise<JobView>;
  list(query?: { state?: string; limit?: number }): Promise<JobView[]>;
  /** Survives a coordinator restart: reconnects and goes on after the last event seen. */
  events(
    job: string,
    options?: { afterSeq?: number; follow?: boolean; signal?: AbortSignal },
  ): AsyncIterable<EventView>;
  /** Resolves when the job has ended. @throws WindrowError E_WAIT_TIMEOUT */
  wait(job: string, options?: { timeoutMs?: number; signal?: AbortSignal }): Promise<JobView>;
  why(job: string): Promise<WhyView>;
  cancel(job: string): Promise<JobView>;
  retry(
    job: string,
    options?: { onlyDeadLetters?: boolean; requestId?: string },
  ): Promise<{ jobId: string; existing: boolean }>;
  result(job: string, output?: string, options?: { maxRows?: number }): AsyncIterable<RecordBatch>;
  logs(
    job: string,
    options?: { follow?: boolean; signal?: AbortSignal },
  ): AsyncIterable<{ timeMs: number; level: string; worker: string; text: string }>;
  workers(): Promise<WorkerView[]>;
  drain(worker: string): Promise<void>;
  /** Schedules and backfills. */
  readonly schedules: Schedules;
  close(): void;
}
