/**
 * Everything the core can be told. Facts only, in plain JSON: what was asked, what workers report,
 * what clocks and commits found out. Journaled before its effects run, replayed after a crash.
 */
import type { AttemptRef, JobId, StageId, WorkerId } from '../../shared/ids.js';
import type { ChunkRecord, JobPlan, PlanNote, StagePlan } from '../../shared/plan.js';
import type { Failure } from '../../shared/failure.js';
import type { ScheduleEvent } from './schedule-events.js';

export interface RunSettings {
  /** Higher goes first among jobs of equal share. */
  readonly priority: number;
  /** Share of the slots relative to other jobs, > 0. */
  readonly weight: number;
  readonly timeoutMs?: number;
  readonly taskTimeoutMs?: number;
  /** Counted failures a task may have before the job fails. */
  readonly attempts: number;
}

/** A planned and accepted job. */
export interface JobSubmitted {
  readonly type: 'job.submitted';
  readonly jobId: JobId;
  readonly requestId: string;
  readonly name: string;
  /** The normalised spec as JSON text; what `retry` and `resubmit` submit again. */
  readonly spec: string;
  readonly plan: JobPlan;
  readonly run: RunSettings;
  /** Chunks found in the index and verified: stage -> ascending chunk numbers. */
  readonly reused: readonly { readonly stageId: StageId; readonly chunks: readonly number[] }[];
  readonly counts: JobCountsSeed;
  /** Absent: nothing lay in any of its outputs. */
  readonly before?: OutputsBefore;
  readonly nowMs: number;
}
/** What lay in the outputs when the job was accepted. */
export interface OutputsBefore {
  /** Every output holds this very result already: the job only has to say so. */
  readonly upToDate: boolean;
  /** Manifests that lay there, by the SHA-256 of their bytes. */
  readonly manifests: readonly { readonly output: string; readonly sha256: string }[];
}
/** Row totals known at submit: footers, pruning, and the reused chunks' records. */
export interface JobCountsSeed {
  /** Rows of all input files by their footers, pruned ones included. */
  readonly rowsTotal: number;
  /** Rows entering the reused chunks of source stages. */
  readonly rowsReused: number;
  /** Rows of the input that pruning ruled out. */
  readonly rowsPruned: number;
  readonly reusedOut: number;
  readonly reusedFiltered: number;
  readonly reusedDead: number;
}

/** Groups of upstream chunks for a stage over another stage, fixed once their sizes are known. */
export interface StagePlanned {
  readonly type: 'stage.planned';
  readonly jobId: JobId;
  readonly stageId: StageId;
  /** Chunk k of this stage rewrites upstream chunks [groups[k].from, groups[k].to). */
  readonly groups: readonly { readonly from: number; readonly to: number }[];
  readonly taskStarts: readonly number[];
  /** Chunks of this stage found in the index and verified. */
  readonly reused: readonly number[];
  readonly nowMs: number;
}

/**
 * What has become known of a query: the stages that run next for it, or, when all of those are
 * done, what its own stage reads.
 */
export interface QueryPlanned {
  readonly type: 'query.planned';
  readonly jobId: JobId;
  /** The query's own stage. */
  readonly stageId: StageId;
  /** New stages, in an order in which each comes after what it reads. */
  readonly stages: readonly StagePlan[];
  /** The query's own stage as it is to run; absent while others have to run first. */
  readonly final?: StagePlan;
  /** Chunks of these stages found in the index and verified. */
  readonly reused: readonly { readonly stageId: StageId; readonly chunks: readonly number[] }[];
  /** Rows of sources that entered those chunks. */
  readonly rowsReused: number;
  readonly notes: readonly PlanNote[];
  readonly nowMs: number;
}

export interface AttemptStarted {
  readonly type: 'attempt.started';
  readonly attempt: AttemptRef;
  readonly workerId: WorkerId;
  /** Chunks left to do, ascending; or the rows of one chunk for a probe. */
  readonly probe?: { readonly chunk: number; readonly rowStart: number; readonly rowEnd: number };
  readonly nowMs: number;
}

export interface ChunkDone {
  readonly type: 'chunk.done';
  readonly attempt: AttemptRef;
  readonly workerId: WorkerId;
  readonly chunk: number;
  readonly record: ChunkRecord;
  readonly nowMs: number;
}

export interface AttemptEnded {
  readonly type: 'attempt.ended';
  readonly attempt: AttemptRef;
  readonly workerId: WorkerId;
  /** Absent: all its chunks are done. */
  readonly failure?: Failure;
  /** Whether the worker process was seen to die under this attempt (crash), for poison detection. */
  readonly crashed?: boolean;
  readonly nowMs: number;
}

/** A finished chunk whose record or files are lost or corrupt: it is to be done again. */
export interface ChunkLost {
  readonly type: 'chunk.lost';
  readonly jobId: JobId;
  readonly stageId: StageId;
  readonly chunk: number;
  /**
   * The chunk itself is sound, but stands on rows that may come out otherwise when they are done
   * again: what attempts so far have yet to report of it is void, too.
   */
  readonly stale?: true;
  readonly nowMs: number;
}

export interface WorkerHello {
  readonly type: 'worker.hello';
  readonly workerId: WorkerId;
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
  readonly running: readonly AttemptRef[];
  readonly nowMs: number;
}
/** The process is known to be gone: seen to exit by its parent, or its goodbye arrived. */
export interface WorkerExited {
  readonly type: 'worker.exited';
  readonly workerId: WorkerId;
  readonly incarnation: string;
  /** True when it ended by signal or a non-zero code of its own: its attempts are suspects. */
  readonly crashed: boolean;
  readonly nowMs: number;
}
export interface WorkerLeaseExpired {
  readonly type: 'worker.leaseExpired';
  readonly workerId: WorkerId;
  readonly incarnation: string;
  readonly nowMs: number;
}
/** The stream ended; not death: the lease decides. */
export interface WorkerDisconnected {
  readonly type: 'worker.disconnected';
  readonly workerId: WorkerId;
  readonly incarnation: string;
  readonly nowMs: number;
}
export interface WorkerDrainRequested {
  readonly type: 'worker.drain';
  readonly workerId: WorkerId;
  readonly nowMs: number;
}

export interface JobCancelRequested {
  readonly type: 'job.cancel';
  readonly jobId: JobId;
  /** `user` or `superseded by <job>`. */
  readonly reason: 'user' | 'superseded';
  readonly by?: JobId;
  readonly nowMs: number;
}
/** Job timeout, dead-letter cap, failed row count, failed books: found by shells or `due`. */
export interface JobFailed {
  readonly type: 'job.failed';
  readonly jobId: JobId;
  readonly failure: Failure;
  readonly nowMs: number;
}
/** The attempt's time is up: cancel it; counts as a failure of the task. */
export interface AttemptTimedOut {
  readonly type: 'attempt.timedOut';
  readonly attempt: AttemptRef;
  readonly nowMs: number;
}
/** The manifests are frozen (their bytes lie in the journal); cancel is refused from here. */
export interface CommitFrozen {
  readonly type: 'commit.frozen';
  readonly jobId: JobId;
  /** One for each output, in plan order. */
  readonly manifests: readonly FrozenManifest[];
  readonly nowMs: number;
}
export interface FrozenManifest {
  readonly output: string;
  /** As JSON text. */
  readonly manifest: string;
  /**
   * SHA-256 of the manifest that this one takes the place of, absent for none. Where neither lies
   * there any more, somebody newer has published.
   */
  readonly replaces?: string;
  /** How many of its files, the first ones, are an earlier job's that stay; absent for none. */
  readonly kept?: number;
}
export interface CommitDone {
  readonly type: 'commit.done';
  readonly jobId: JobId;
  readonly summary: JobSummary;
  readonly nowMs: number;
}
export interface JobSummary {
  readonly rows: {
    readonly in: number;
    readonly out: number;
    readonly filtered: number;
    readonly deadLettered: number;
  };
  readonly upToDate: boolean;
  readonly outputs: readonly {
    readonly name: string;
    readonly path: string;
    readonly rows: number;
    readonly files: number;
    readonly manifestHash: string;
  }[];
}

export type Event =
  | ScheduleEvent
  | JobSubmitted
  | StagePlanned
  | QueryPlanned
  | AttemptStarted
  | ChunkDone
  | AttemptEnded
  | ChunkLost
  | WorkerHello
  | WorkerExited
  | WorkerLeaseExpired
  | WorkerDisconnected
  | WorkerDrainRequested
  | JobCancelRequested
  | JobFailed
  | AttemptTimedOut
  | CommitFrozen
  | CommitDone;

/**
 * Worker events describe processes of the moment: replay would revive the dead, so none is kept.
 * What they mean for attempts comes back as `record` effects, which are durable.
 */
export function isDurable(event: Event): boolean {
  return !event.type.startsWith('worker.');
}
