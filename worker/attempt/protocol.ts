/** What crosses between a worker's main thread and the piscina thread that runs an attempt. */
import type { MessagePort } from 'node:worker_threads';
import type { Failure } from '../../shared/failure.js';
import type { AttemptRef } from '../../shared/ids.js';
import type { ModelRuns } from '../../shared/model-runs.js';
import type { DeviceChannel } from '../inference/device-thread.js';
import type { ChunkFile, ChunkRecord, StageProgram } from '../../shared/plan.js';
import type { ServedFile, ServedSlice } from '../shuffle/fetch.js';
import type { PeerAccess } from '../shuffle/peers.js';

export interface SourceWork {
  readonly path: string;
  readonly bytes: number;
  readonly mtimeMs: number;
  readonly footerHash: string;
  readonly rowGroup: number;
  /** Where the rows lie in several row groups, the last of them. */
  readonly lastRowGroup?: number | undefined;
  readonly rowStart: number;
  readonly rowEnd: number;
  /** Rows of the file, where that is told. */
  readonly fileRows?: number | undefined;
  readonly hive: Readonly<Record<string, string | null>>;
  readonly missingColumns: readonly string[];
}

/** What a chunk reads under one name of its query. All of it together; nothing is an empty table. */
export interface LeafRead {
  readonly leaf: string;
  readonly sources: readonly SourceWork[];
  /** Files of finished chunks, read whole. */
  readonly files: readonly ServedFile[];
  readonly slices: readonly ServedSlice[];
}

export interface ChunkWork {
  readonly chunk: number;
  readonly identity: string;
  readonly source?: SourceWork;
  /** Files of finished chunks to rewrite, in order. */
  readonly inputs: readonly ChunkFile[];
  /** Of a program that begins with a query; then there is neither `source` nor `inputs`. */
  readonly reads?: readonly LeafRead[];
  /** Row numbers in the file to dead-letter unseen. */
  readonly poisonRows: readonly number[];
}

/** A stage without data, which there is to measure the scheduler by. */
export function isEmpty({ query, scan }: StageProgram): boolean {
  return !query && scan.kind === 'empty';
}

/** What main tells a running attempt: go on, stop at once, or stop after this chunk. */
export const controlWord = { go: 0, cancel: 1, drain: 2 } as const;

/** One attempt as the thread gets it (structured clone). */
export interface AttemptTask {
  readonly ref: AttemptRef;
  readonly program: StageProgram;
  readonly programDigest: string;
  readonly chunks: readonly ChunkWork[];
  readonly chunkDirectory: string;
  /** Unique in the cluster: part of every file name this attempt writes. */
  readonly attemptTag: string;
  readonly probe: boolean;
  /** Local paths of models and bundles, by digest. */
  readonly blobs: Readonly<Record<string, string>>;
  readonly memoryLimitBytes: number;
  readonly spillDirectory: string;
  /** To other workers, for files that are not to be read here. */
  readonly peers?: PeerAccess;
  /** Int32Array[1] with a `controlWord`. Checked between chunks, cancel inside callbacks too. */
  readonly control: SharedArrayBuffer;
  /** To the process's device thread, where a model of the program runs on one; transferred. */
  readonly device?: DeviceChannel;
  /** Chunk reports and progress go out here as they happen. */
  readonly port: MessagePort;
}

/** Thread to main, through the port. */
export type AttemptMessage =
  | { readonly type: 'chunk'; readonly chunk: number; readonly record: ChunkRecord }
  | {
      readonly type: 'progress';
      readonly rows: number;
      readonly rowsTotal: number;
      readonly doing: string;
    }
  | { readonly type: 'modelRuns'; readonly runs: readonly ModelRuns[] }
  | { readonly type: 'log'; readonly level: 'info' | 'warn' | 'error'; readonly text: string };

/** Main to thread, through the port, while an attempt runs. */
export type AttemptControl = { readonly type: 'interrupt' };

/** What the piscina call resolves to; a failure is a value, never a rejection. */
export interface AttemptResult {
  readonly failure?: Failure;
}
