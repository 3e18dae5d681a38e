/** What the core knows of schedules, their runs and backfills. Plain data; the machine is schedule.ts. */
import type { AssetChange } from '../../shared/asset-condition.js';
import type { DataInterval, Timetable } from '../../shared/calendar/intervals.js';
import type { Failure } from '../../shared/failure.js';
import type { JobId, ScheduleId } from '../../shared/ids.js';
import type { ReprocessPolicy, RunKind, WebhookView } from '../../shared/schedule-views.js';
import type { ScheduleDefinition } from './schedule-events.js';

export type RunPhase =
  | { readonly kind: 'queued' }
  /** Its job is being submitted, or runs. */
  | { readonly kind: 'running' }
  /** Its job is being cancelled; where that comes too late, the run has succeeded all the same. */
  | { readonly kind: 'stopping'; readonly outcome: RunOutcome }
  | { readonly kind: 'retrying'; readonly atMs: number; readonly failure: Failure }
  | { readonly kind: 'succeeded' }
  | { readonly kind: 'skipped'; readonly reason: 'late' | 'overlap' }
  | RunOutcome;

export type RunOutcome =
  { readonly kind: 'failed'; readonly failure: Failure } | { readonly kind: 'cancelled' };

export interface RunState {
  readonly id: string;
  readonly interval: DataInterval;
  readonly kind: RunKind;
  /** Part of the request that each try submits: see `requestIdOf`. */
  readonly order: string;
  readonly backfillId?: string;
  /** What it was made for: of runs of kind `asset`. */
  readonly changes?: readonly AssetChange[];
  /** Somebody wanted it once more after its end. */
  readonly reopened?: Reopening;
  phase: RunPhase;
  /** All there ever were. */
  tries: number;
  /** The job of the last try, once it is known. */
  jobId?: JobId;
  /** When the first try began, of those since it was reopened. */
  startedMs?: number;
  endedMs?: number;
  /** How telling of its end went, once that is over. */
  webhook?: WebhookView;
}

export interface Reopening {
  /** Who asked, in place of the run's own `order`. */
  readonly order: string;
  /** Tries that there had been by then. */
  readonly tries: number;
  readonly redoDeadLetters: boolean;
}

/** What is known of the data sets that a schedule waits for. */
export interface AssetsState {
  /** By key: all that the definition names, and no others. */
  readonly seen: Record<string, AssetSight>;
  /** Changes that no run was made for yet, oldest first. */
  changes: AssetChange[];
}
export interface AssetSight {
  /** As it was last; absent: nothing was ever there. */
  version?: string;
  /** Why it cannot be looked at. */
  failure?: Failure;
}

/** Somebody has to be told of a run's end; the run itself may have been run once more by then. */
export interface WebhookCall {
  readonly id: string;
  readonly runId: string;
  readonly on: WebhookView['on'];
  readonly url: string;
  /** JSON, as it is sent. */
  readonly body: string;
  readonly timeoutMs: number;
  readonly triesMost: number;
  /** Those that failed. */
  tries: number;
  /** Of the last try. */
  failure?: Failure;
  /** Waits until then; absent: it is being made. */
  atMs?: number;
}

export interface BackfillState {
  readonly id: string;
  /** Absent in rows of older versions. */
  readonly createdMs?: number;
  readonly timetable: Timetable;
  readonly first: DataInterval;
  readonly last: DataInterval;
  readonly total: number;
  readonly reprocess: ReprocessPolicy;
  readonly maxActiveRuns: number;
  readonly reverse: boolean;
  /** `running` until every interval of the range was looked at and all its runs have ended. */
  phase: 'running' | 'cancelling' | 'succeeded' | 'failed' | 'cancelled';
  /** The last interval it has looked at. */
  cursor?: DataInterval;
  /** Nothing of the range is left to be looked at. */
  exhausted: boolean;
  /** What became of the intervals so far. */
  readonly counts: {
    passed: number;
    unfinished: number;
    succeeded: number;
    failed: number;
    cancelled: number;
  };
}

export interface ScheduleState {
  readonly id: ScheduleId;
  readonly name: string;
  definition: ScheduleDefinition;
  paused: boolean;
  /** It is gone for users; what the journal has of it is being removed. */
  deleted: boolean;
  /** The latest interval that the schedule itself has made a run of. */
  last?: DataInterval;
  /** The moment of the latest run that changes of data sets led to, ms. */
  lastAssetMs?: number;
  /** Unfinished ones, and those that ended last; in the order in which they were made. */
  readonly runs: Map<string, RunState>;
  /** Running ones, and the last that ended. */
  readonly backfills: Map<string, BackfillState>;
  /** Of a schedule that waits for data sets. */
  assets?: AssetsState;
  /** Webhooks that have not answered yet, in the order in which runs ended. */
  readonly calls: Map<string, WebhookCall>;
  /** Time brings nothing about before this; derived. */
  wakeMs: number;
}

export function isFinished({ phase }: RunState): boolean {
  switch (phase.kind) {
    case 'queued':
    case 'running':
    case 'stopping':
    case 'retrying':
      return false;
    case 'succeeded':
    case 'failed':
    case 'cancelled':
    case 'skipped':
      return true;
  }
}

/** Whether the run has begun and not ended; it keeps its place while it waits to be tried again. */
export function isUnderWay(run: RunState): boolean {
  return !isFinished(run) && run.phase.kind !== 'queued';
}

/**
 * The id under which a try is submitted: the same after any crash, so that there is one job for it,
 * and of no other try ever, schedules of the same name included.
 */
export function requestIdOf(schedule: ScheduleState, run: RunState): string {
  const { order } = run.reopened ?? run;
  return [schedule.id, run.id, order, run.tries].join('/');
}

/** Tries since it was made or reopened: `retries` counts these. */
export function triesOf({ tries, reopened }: RunState): number {
  return tries - (reopened?.tries ?? 0);
}

/** A run by its id, whichever schedule it is of; those of deleted schedules are gone. */
export function runNamed(
  schedules: ReadonlyMap<ScheduleId, ScheduleState>,
  id: string,
): { readonly schedule: ScheduleState; readonly run: RunState } | undefined {
  for (const schedule of schedules.values()) {
    const run = schedule.deleted ? undefined : schedule.runs.get(id);
    if (run) return { schedule, run };
  }
  return undefined;
}

/** The run before this one among those that are known, by hand made ones aside. */
export function runBefore(schedule: ScheduleState, run: RunState): RunState | undefined {
  return latest(schedule, run, (other) => other.kind !== 'manual');
}

/** The latest run before this one that succeeded. */
export function successBefore(schedule: ScheduleState, run: RunState): RunState | undefined {
  return latest(schedule, run, (other) => other.phase.kind === 'succeeded');
}

function latest(
  { runs }: ScheduleState,
  { interval }: RunState,
  counts: (run: RunState) => boolean,
): RunState | undefined {
  let found: RunState | undefined;
  for (const other of runs.values()) {
    const { startMs } = other.interval;
    if (startMs >= interval.startMs || !counts(other)) continue;
    if (!found || startMs > found.interval.startMs) found = other;
  }
  return found;
}
