/**
 * The journal port: where decisions become durable, and the index of finished chunks beside it.
 * One contract suite (test/contract/journal.ts) holds for every implementation.
 */
import type { JobId, ScheduleId } from '../../shared/ids.js';
import type { ChunkRecord } from '../../shared/plan.js';
import type { Event } from '../core/events.js';

/** Whose events these are. */
export type EntityId = JobId | ScheduleId;

export interface ArchivedJob {
  readonly jobId: JobId;
  readonly requestId: string;
  readonly name: string;
  readonly state: string;
  readonly submittedMs: number;
  readonly endedMs: number;
  /** JobView as JSON text, as `get` prints it. */
  readonly view: string;
  readonly spec: string;
}

/** How the request ids of previews begin. */
export const previewRequest = 'preview ';

export interface StoredNotice {
  readonly jobId: JobId;
  readonly seq: number;
  readonly timeMs: number;
  readonly kind: string;
  readonly data: string;
}

export interface Loaded {
  /** Snapshots of schedules and of jobs that have not ended (as the core wrote them), then newer events in order. */
  readonly snapshots: readonly string[];
  readonly events: readonly Event[];
}

export interface Journal {
  /** Takes over: every older epoch is fenced from now on. */
  acquire(): Promise<number>;
  /**
   * Durable, in order, all or nothing, when the promise resolves. Records of `chunk.done` events
   * enter the chunk index in the same transaction; the first record of an identity wins, so
   * `forget` a lost or outdated one before its chunk is done again. Calls made before an earlier one has resolved
   * may share its commit.
   * @throws WindrowError E_FENCED when a newer epoch exists
   */
  append(epoch: number, events: readonly Event[], notices?: readonly StoredNotice[]): Promise<void>;
  load(): Promise<Loaded>;
  /** Replaces all events so far of these jobs and schedules by one row each, or by nothing. */
  snapshot(
    epoch: number,
    entities: readonly { readonly id: EntityId; readonly row: string | undefined }[],
  ): Promise<void>;
  /** Moves an ended job out of what `load` reads. */
  archive(epoch: number, job: ArchivedJob): Promise<void>;
  /** Newest first. */
  archived(query: {
    jobId?: string;
    name?: string;
    requestId?: string;
    state?: string;
    withoutPreviews?: boolean;
    limit: number;
  }): Promise<ArchivedJob[]>;
  notices(jobId: JobId, afterSeq: number, limit: number): Promise<StoredNotice[]>;
  close(): Promise<void>;
}

/** Which chunks exist and where; entries survive the jobs that made them. */
export interface ChunkIndex {
  /** Known records among these identities. */
  lookup(identities: readonly string[]): Promise<Map<string, ChunkRecord>>;
  /** Chunk files moved (published): the index follows. */
  relocate(
    epoch: number,
    moves: readonly { readonly identity: string; readonly record: ChunkRecord }[],
  ): Promise<void>;
  forget(epoch: number, identities: readonly string[]): Promise<void>;
  /** What nobody asked to keep until now, longest expired first; a new record is kept by nobody. */
  expired(nowMs: number, limit: number): Promise<ChunkRecord[]>;
  /** Keeps these records until then at least, milliseconds since 1970; never shortens. */
  keep(epoch: number, identities: readonly string[], untilMs: number): Promise<void>;
}
