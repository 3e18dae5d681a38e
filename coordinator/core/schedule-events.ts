/**
 * Everything the core can be told about schedules. Facts only, in plain JSON, all of them durable:
 * what was asked, which runs became due, and how their jobs ended.
 */
import type { AssetFacts, AssetTrigger } from '../../shared/asset-condition.js';
import type { DataInterval, Timetable } from '../../shared/calendar/intervals.js';
import type { Failure } from '../../shared/failure.js';
import type { JobId, ScheduleId } from '../../shared/ids.js';
import type { OverlapPolicy } from '../../shared/schedule-spec.js';
import type { ReprocessPolicy, RunKind } from '../../shared/schedule-views.js';

/** What a schedule says, in the units the core works with. */
export interface ScheduleDefinition {
  /** The schedule spec as JSON text, for people. */
  readonly spec: string;
  /** `{ specJson, files }` as JSON text: what the job of each run is made from. */
  readonly job: string;
  /** Absent: only changes of data sets make runs. */
  readonly timetable?: Timetable;
  readonly assets?: AssetTrigger;
  readonly maxActiveRuns: number;
  readonly overlap: OverlapPolicy;
  readonly startWithinMs?: number;
  readonly dependsOnPast: boolean;
  /** Tries after the first. */
  readonly retries: number;
  readonly retryDelayMs: number;
  readonly timeoutMs?: number;
  readonly onSuccess?: WebhookDefinition;
  readonly onFailure?: WebhookDefinition;
}

export interface WebhookDefinition {
  readonly url: string;
  readonly tries: number;
  /** Of one try. */
  readonly timeoutMs: number;
}

interface About {
  readonly scheduleId: ScheduleId;
  readonly nowMs: number;
}

/** A schedule was created, or its spec was given anew. */
export interface ScheduleDefined extends About {
  readonly type: 'schedule.defined';
  readonly name: string;
  readonly definition: ScheduleDefinition;
  /** Absent: a new schedule runs, an old one stays as it is. */
  readonly paused?: boolean;
  /** Versions of its data sets by key, as they were then: what is there already is no change. */
  readonly seen?: Readonly<Record<string, string>>;
}
export interface SchedulePaused extends About {
  readonly type: 'schedule.paused';
}
export interface ScheduleResumed extends About {
  readonly type: 'schedule.resumed';
}
/** Nothing happens while one of its jobs runs; whoever asked looks whether it is gone. */
export interface ScheduleDeleted extends About {
  readonly type: 'schedule.deleted';
}

/** A run came into being: its time came, somebody asked for it, or a backfill got there. */
export interface RunMade extends About {
  readonly type: 'run.made';
  readonly runId: string;
  readonly interval: DataInterval;
  readonly kind: RunKind;
  /** Set for a run that is not to be tried: too late, or too many before it. */
  readonly skipped?: 'late' | 'overlap';
  /** Tells the tries of an interval that is run once more from those before; else empty. */
  readonly order: string;
  readonly backfill?: BackfillStep;
}
/** How far a backfill has come. */
export interface BackfillStep {
  readonly id: string;
  /** Start of the interval it had reached before, ms; a step from anywhere else is out of date. */
  readonly afterMs?: number;
  /** Intervals since then that need no run of its own. */
  readonly passed: number;
}
/** The job of a run's try was accepted. */
export interface RunStarted extends About {
  readonly type: 'run.started';
  readonly runId: string;
  readonly try: number;
  readonly jobId: JobId;
}
/** The try is over: its job has ended, or there was none to be had. */
export interface RunEnded extends About {
  readonly type: 'run.ended';
  readonly runId: string;
  readonly try: number;
  readonly outcome: 'succeeded' | 'failed' | 'cancelled';
  /** Why it failed. */
  readonly failure?: Failure;
}
/** The wait before the next try is over. */
export interface RunRetried extends About {
  readonly type: 'run.retried';
  readonly runId: string;
}
/** Somebody wants a run to end for good, wherever it is on its way. */
export interface RunCancelled extends About {
  readonly type: 'run.cancelled';
  readonly runId: string;
}
/** Somebody wants a run that has ended once more. */
export interface RunReopened extends About {
  readonly type: 'run.reopened';
  readonly runId: string;
  /** The request's id: what comes twice is one. */
  readonly order: string;
  /** Chunks that dead-lettered rows are done again. */
  readonly redoDeadLetters: boolean;
}
export interface RunTimedOut extends About {
  readonly type: 'run.timedOut';
  readonly runId: string;
}

export interface BackfillCreated extends About {
  readonly type: 'backfill.created';
  readonly backfillId: string;
  /** The schedule's, bounded by the range, as it was then. */
  readonly timetable: Timetable;
  readonly first: DataInterval;
  readonly last: DataInterval;
  /** Intervals in the range. */
  readonly total: number;
  readonly reprocess: ReprocessPolicy;
  readonly maxActiveRuns: number;
  readonly reverse: boolean;
}
/** Intervals that need no run of the backfill's own, up to `interval`; `done`: it was the last. */
export interface BackfillPassed extends About {
  readonly type: 'backfill.passed';
  readonly step: BackfillStep;
  /** The last interval looked at; absent where there was none. */
  readonly interval?: DataInterval;
  readonly done: boolean;
}
export interface BackfillCancelled extends About {
  readonly type: 'backfill.cancelled';
  readonly backfillId: string;
}

/** A data set was looked at: it has a version that is new, or can be looked at again. */
export interface AssetSeen extends About {
  readonly type: 'asset.seen';
  readonly key: string;
  /** Absent: as it was known before. */
  readonly news?: { readonly version: string; readonly facts: AssetFacts };
}
/** A data set could not be looked at. */
export interface AssetUnseen extends About {
  readonly type: 'asset.unseen';
  readonly key: string;
  readonly failure: Failure;
}

/** The wait before a webhook's next try is over. */
export interface WebhookDue extends About {
  readonly type: 'webhook.due';
  readonly callId: string;
}
/** A webhook was called: it has answered, or not. */
export interface WebhookTried extends About {
  readonly type: 'webhook.tried';
  readonly callId: string;
  /** Counts from 1. */
  readonly try: number;
  readonly failure?: Failure;
}

export type ScheduleEvent =
  | ScheduleDefined
  | SchedulePaused
  | ScheduleResumed
  | ScheduleDeleted
  | RunMade
  | RunStarted
  | RunEnded
  | RunRetried
  | RunTimedOut
  | RunCancelled
  | RunReopened
  | BackfillCreated
  | BackfillPassed
  | BackfillCancelled
  | AssetSeen
  | AssetUnseen
  | WebhookDue
  | WebhookTried;
