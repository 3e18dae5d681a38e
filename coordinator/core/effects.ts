/** What the core wants done after an event is durable. Data only; `loop.ts` runs them. */
import type { AttemptRef, JobId, ScheduleId, StageId, WorkerId } from '../../shared/ids.js';
import type { AttemptEnded } from './events.js';

export type Effect =
  /**
   * Already applied by this transition, and to be journaled in the place of the worker event that
   * led to it, before any other effect of the batch runs. Replay applies it like any event.
   */
  | { readonly type: 'record'; readonly event: AttemptEnded }
  /** Send the attempt to its worker; what it contains is in the state. */
  | { readonly type: 'dispatch'; readonly attempt: AttemptRef; readonly workerId: WorkerId }
  | {
      readonly type: 'cancelAttempt';
      readonly attempt: AttemptRef;
      readonly workerId: WorkerId;
      readonly reason: string;
    }
  /** A chunk that was already done arrived again: its files are nobody's but who reported them. */
  | {
      readonly type: 'discardFiles';
      readonly workerId: WorkerId;
      readonly paths: readonly string[];
    }
  /**
   * All upstream chunks are done: size the groups and answer with `stage.planned`; for a query find
   * out what comes next and answer with `query.planned`.
   */
  | { readonly type: 'planStage'; readonly jobId: JobId; readonly stageId: StageId }
  /** All stages are done: check the books and answer with `commit.frozen` or `job.failed`. */
  | { readonly type: 'freezeCommit'; readonly jobId: JobId }
  /** Publish what is frozen and answer with `commit.done` (or stop, if someone newer did). */
  | { readonly type: 'publish'; readonly jobId: JobId }
  /** The job ended: release claims, archive it. */
  | { readonly type: 'jobEnded'; readonly jobId: JobId }
  /**
   * Submit the job of a run's try, or find it again, and answer with `run.started`, then, when it
   * has ended, with `run.ended`.
   */
  | { readonly type: 'startRun'; readonly scheduleId: ScheduleId; readonly runId: string }
  /** Cancel the job of a run that was started. */
  | { readonly type: 'cancelRun'; readonly scheduleId: ScheduleId; readonly runId: string }
  /** Tell somebody of a run's end, and answer with `webhook.tried`. */
  | { readonly type: 'callWebhook'; readonly scheduleId: ScheduleId; readonly callId: string }
  /** Remove what the journal has of the schedule. */
  | { readonly type: 'scheduleDeleted'; readonly scheduleId: ScheduleId }
  | { readonly type: 'drainWorker'; readonly workerId: WorkerId }
  /** Tell whoever watches the job; `data` is JSON for users (docs/CLI.md, events). */
  | {
      readonly type: 'notify';
      readonly jobId: JobId;
      readonly kind: string;
      readonly timeMs: number;
      readonly data: Readonly<Record<string, unknown>>;
    };
