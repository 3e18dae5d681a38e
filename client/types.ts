/** The client's surface: what `connect` returns and what `submit` takes. */
import type { RecordBatch } from 'apache-arrow';
import type { Schedules } from './schedules.js';
import type { RunView } from '../shared/schedule-views.js';
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

/** How a coordinator is reached. */
export interface ConnectOptions {
  /** The client token that the coordinator was started with, if it was. */
  readonly token?: string;
  /** Paths of PEM files; all absent means plaintext (loopback and UNIX sockets only). */
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string };
  /**
   * Deadline of each call that is not a stream, E_DEADLINE beyond it; default 30 000, and ten times
   * that for `submit`, `explain`, `retry`, `schedules.create` and the upload of a file, which may
   * take a second more for each MB.
   */
  readonly timeoutMs?: number;
  /**
   * How long a call is made again while nobody answers, within its deadline; default 5 000, 0 for
   * never. `drain` and `schedules.delete` are made once: a second one would find nothing to do.
   */
  readonly retryMs?: number;
  /** How long `events` tries to reconnect in one go; default 60 000. */
  readonly reconnectMs?: number;
  /** Called when what is followed breaks off, with gRPC's reason, and with none when it goes on. */
  readonly onOutage?: (reason: string | undefined) => void;
}

/** How a job is handed over. */
export interface SubmitOptions {
  /** Same id, same job; default a random one. */
  readonly requestId?: string;
  /** Does the chunks with dead-lettered rows again. */
  readonly redoDeadLetters?: boolean;
}

/** How a job is done again. */
export interface RetryOptions {
  /** Of a job that is done: the chunks with dead-lettered rows, everything else stays. */
  readonly onlyDeadLetters?: boolean;
  /** Same id, same job; default a random one. */
  readonly requestId?: string;
  /**
   * Models and modules that were mended, instead of those that the job came with, by their paths, as
   * `LoadedJob.files` has them; with `onlyDeadLetters` alone.
   */
  readonly files?: LoadedJob['files'];
}

/**
 * A connection to a coordinator. Jobs are named by id or, the newest of it, by name. Every method
 * throws WindrowError: E_USAGE for an argument that is not of its type, E_UNREACHABLE where nobody
 * answers, E_DEADLINE where not in time, E_UNAUTHENTICATED, E_VERSION_MISMATCH, and what stands with
 * it. A stream ends on the other side
 * too when its loop is left, when `signal` is aborted (events and logs then end without an error),
 * and with `close`.
 */
export interface Client {
  /**
   * Hands a job over, its models and bundles with it. `existing`: the request id is that of a job
   * that is there already.
   * @throws WindrowError whatever is wrong with it; then nothing was started
   */
  submit(job: LoadedJob, options?: SubmitOptions): Promise<{ jobId: string; existing: boolean }>;
  /** The plan of a job as `windrow explain` tells it; nothing is started. */
  explain(job: LoadedJob): Promise<{ plan: unknown; text: string }>;
  /**
   * The first rows (default 20) of a step or source; default of the first output. Nothing is kept.
   * @throws WindrowError E_CANCELLED where `signal` or `close` ended it before all were read
   */
  preview(
    job: LoadedJob,
    options?: { step?: string; rows?: number; signal?: AbortSignal },
  ): AsyncIterable<RecordBatch>;
  /** @throws WindrowError E_NO_JOB, as all methods that take a job, E_RUN_NO_JOB of a run without one */
  get(job: string): Promise<JobView>;
  /** Newest first, at most `limit` (1 or more, default 100); with `state` only those in it. */
  list(query?: { state?: string; limit?: number }): Promise<JobView[]>;
  /**
   * A job's events in order, from the first, or after number `afterSeq`, to its end; with
   * `follow: false` those that are there. Numbered ones (`seq` from 1) come once each, also over
   * restarts of the coordinator, which are waited for up to `reconnectMs`; `progress` (`seq` 0) only
   * while it is news.
   */
  events(
    job: string,
    options?: { afterSeq?: number; follow?: boolean; signal?: AbortSignal },
  ): AsyncIterable<EventView>;
  /**
   * Resolves with the job when it has ended, however it has; over restarts, as `events`. A run of a
   * schedule is followed through its tries, to the job of the last.
   * @throws WindrowError E_WAIT_TIMEOUT after `timeoutMs` (default never) and half a second at most,
   *   also while nobody answers; E_CANCELLED after `signal` or `close`
   */
  wait(job: string, options?: { timeoutMs?: number; signal?: AbortSignal }): Promise<JobView>;
  /** Why a job is not done yet, or how it ended, in words and as data. */
  why(job: string): Promise<WhyView>;
  /**
   * Ends a job for good; one that has ended stays as it is. Of a run of a schedule, by its id, no try
   * follows, and what comes back is the run.
   * @throws WindrowError E_COMMITTING
   */
  cancel(job: string): Promise<JobView | RunView>;
  /**
   * Runs a failed job again, or with `onlyDeadLetters` the chunks of one that had some. A run of a
   * schedule is tried again as such: `jobId` is then its id.
   * @throws WindrowError E_NOT_FINISHED, E_NOTHING_TO_RETRY, E_CHUNKS_IN_USE; with `files`
   *   E_RETRY_FILES, E_RETRY_OUTPUT, and E_RUN_FILES of a run of a schedule
   */
  retry(job: string, options?: RetryOptions): Promise<{ jobId: string; existing: boolean }>;
  /**
   * Rows of a published output (default the first) in the order of its files, 2,048 a batch at most,
   * read as fast as the loop takes them.
   * @throws WindrowError E_NOT_FINISHED of a job that runs or did not succeed, E_NO_RESULT,
   *   E_NO_OUTPUT; E_CANCELLED where `signal` or `close` ended it before all were read
   */
  result(
    job: string,
    output?: string,
    options?: { maxRows?: number; signal?: AbortSignal },
  ): AsyncIterable<RecordBatch>;
  /**
   * What workers have said about a job, as far as the coordinator remembers it; with `follow` each
   * line as it comes until the job has ended, over restarts, as `events`.
   */
  logs(
    job: string,
    options?: { follow?: boolean; signal?: AbortSignal },
  ): AsyncIterable<{ timeMs: number; level: string; worker: string; text: string }>;
  /** Workers that are connected, or were a moment ago. */
  workers(): Promise<WorkerView[]>;
  /** Lets a worker finish what it runs, then leave. @throws WindrowError E_NO_WORKER */
  drain(worker: string): Promise<void>;
  /** Schedules and backfills. */
  readonly schedules: Schedules;
  /** Ends the connection, and all calls and streams that are open on it. */
  close(): void;
}
