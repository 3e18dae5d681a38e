/** What users see of schedules, runs and backfills: the JSON of `-o json` and of the client. */
import type { AssetEvents } from './asset-condition.js';
import type { RunTimes } from './calendar/intervals.js';
import type { Failure } from './failure.js';
import type { TriggerSpec } from './schedule-spec.js';

export const runStateNames = [
  /** Made, and waits for its turn. */
  'queued',
  'running',
  /** Was told to stop, or ran out of time. */
  'stopping',
  /** Failed, and is tried again later. */
  'retrying',
  'succeeded',
  'failed',
  'cancelled',
  /** Was never tried: too late, or overlapping. */
  'skipped',
] as const;
export type RunStateName = (typeof runStateNames)[number];

/** `asset`: made because data sets had changed. */
export const runKinds = ['scheduled', 'manual', 'backfill', 'asset'] as const;
export type RunKind = (typeof runKinds)[number];

/** What became of telling somebody how a run ended. */
export interface WebhookView {
  readonly on: 'success' | 'failure';
  /** `delivered`: it was answered with 2xx. */
  readonly state: 'owed' | 'delivered' | 'givenUp';
  readonly tries: number;
  /** Of the last try. */
  readonly failure?: Failure;
}

/** Times are ISO 8601 in UTC. */
export interface RunView extends RunTimes {
  readonly run: string;
  readonly kind: RunKind;
  readonly state: RunStateName;
  /** How often it was tried. */
  readonly tries: number;
  /** The job of the last try; absent until there is one. */
  readonly job?: string;
  readonly backfill?: string;
  readonly startedAt?: string;
  readonly endedAt?: string;
  readonly failure?: Failure;
  /** What it waits for, or why it was skipped, in words. */
  readonly because?: string;
  /** The changes that it was made for: of runs of kind `asset`. */
  readonly triggeringAssetEvents?: AssetEvents;
  readonly webhook?: WebhookView;
}

/** A data set that a schedule waits for. */
export interface AssetView {
  readonly name: string;
  readonly kind: 'output' | 'files';
  readonly path: string;
  /** Whether it has changed since the last run that was made for its changes. */
  readonly changed: boolean;
  /** As it was seen last; absent while nothing is there. */
  readonly version?: string;
  /** Why it could not be looked at. */
  readonly failure?: Failure;
}

export interface ScheduleView {
  readonly schedule: string;
  readonly state: 'active' | 'paused';
  /** The job spec's path, as the schedule names it. */
  readonly job: string;
  readonly trigger: TriggerSpec;
  readonly params: Readonly<Record<string, string | number | boolean>>;
  readonly maxActiveRuns: number;
  /** The next run that the schedule makes by itself, if it is not paused and has one. */
  readonly next?: RunTimes;
  /** Of schedules of data sets. */
  readonly assets?: readonly AssetView[];
  /** Changes that the next run is made for, in words such as `orders and (users or prices)`. */
  readonly awaits?: string;
  /** Newest intervals first, at most 100. */
  readonly runs: readonly RunView[];
}

export interface BackfillView {
  readonly backfill: string;
  readonly schedule: string;
  readonly state: 'running' | 'cancelling' | 'succeeded' | 'failed' | 'cancelled';
  /** Logical dates of the first and last run, both included. */
  readonly from: string;
  readonly to: string;
  readonly reprocess: ReprocessPolicy;
  readonly maxActiveRuns: number;
  readonly reverse: boolean;
  /** All intervals of the range, and what became of them so far. */
  readonly runs: {
    readonly total: number;
    /** Had been run before, or are being run by somebody else. */
    readonly passed: number;
    readonly unfinished: number;
    readonly succeeded: number;
    readonly failed: number;
    readonly cancelled: number;
  };
}

export const reprocessPolicies = ['none', 'failed', 'completed'] as const;
export type ReprocessPolicy = (typeof reprocessPolicies)[number];

/** What a backfill would do: what `--dry-run` tells. */
export interface BackfillPreview {
  /** Intervals of the range. */
  readonly total: number;
  /** Those that have a run already, and keep it, as far as that is known. */
  readonly passed: number;
  /** The first runs that would be made, in the order of their making; at most 100. */
  readonly runs: readonly RunTimes[];
}
