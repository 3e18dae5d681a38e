/** Schedules and events of theirs for tests of the core: hours of 1970, in ms. */
import { assetKey, type AssetCondition } from '../../../shared/asset-condition.js';
import type { DataInterval, Timetable } from '../../../shared/calendar/intervals.js';
import type { Failure } from '../../../shared/failure.js';
import { jobId, scheduleId } from '../../../shared/ids.js';
import { assetRunIdOf, runIdOf } from '../../../shared/schedule-variables.js';
import { checkInvariants } from '../../../coordinator/core/invariants.js';
import type { Effect } from '../../../coordinator/core/effects.js';
import type {
  AssetSeen,
  AssetUnseen,
  BackfillCreated,
  RunEnded,
  RunMade,
  ScheduleDefined,
  ScheduleDefinition,
  ScheduleEvent,
  WebhookTried,
} from '../../../coordinator/core/schedule-events.js';
import { dueRuns } from '../../../coordinator/core/schedule-due.js';
import type { ScheduleState } from '../../../coordinator/core/schedule-state.js';
import { emptyState, type State } from '../../../coordinator/core/state.js';
import { transition } from '../../../coordinator/core/transition.js';

export const S = scheduleId('s1');
export const hour = 3_600_000;
export const name = 'hourly';
export const failure: Failure = { kind: 'io', code: 'E_IO', message: 'no disk' };

export const hourly: Timetable = {
  kind: 'cronInterval',
  cron: '@hourly',
  timezone: 'UTC',
  startDateMs: 0,
  catchup: true,
};

/** Spec and job are what only shells read. */
export function definition(change: Partial<ScheduleDefinition> = {}): ScheduleDefinition {
  return {
    spec: '{}',
    job: '{}',
    timetable: hourly,
    maxActiveRuns: 1,
    overlap: 'wait',
    dependsOnPast: false,
    retries: 0,
    retryDelayMs: 1000,
    ...change,
  };
}

export function defined(
  change: Partial<ScheduleDefinition> = {},
  more: Partial<ScheduleDefined> = {},
): ScheduleDefined {
  const about = { scheduleId: S, name, definition: definition(change), nowMs: 0 };
  return { type: 'schedule.defined', ...about, ...more };
}

/** The interval that begins at an hour. */
export function interval(at: number): DataInterval {
  return { startMs: at * hour, endMs: (at + 1) * hour };
}

export function runId(at: number): string {
  return runIdOf(name, at * hour);
}

export function made(at: number, more: Partial<RunMade> = {}): RunMade {
  return {
    type: 'run.made',
    scheduleId: S,
    runId: runId(at),
    interval: interval(at),
    kind: 'scheduled',
    order: '',
    nowMs: (at + 1) * hour,
    ...more,
  };
}

export function started(at: number, tried = 1): ScheduleEvent {
  const about = { scheduleId: S, runId: runId(at), try: tried, nowMs: (at + 1) * hour };
  return { type: 'run.started', ...about, jobId: jobId(`j${at}`) };
}

export function ended(at: number, outcome: RunEnded['outcome'], tried = 1): RunEnded {
  return {
    type: 'run.ended',
    scheduleId: S,
    runId: runId(at),
    try: tried,
    outcome,
    ...(outcome === 'failed' ? { failure } : {}),
    nowMs: (at + 1) * hour + 1,
  };
}

export function runCancelled(at: number): ScheduleEvent {
  return { type: 'run.cancelled', scheduleId: S, runId: runId(at), nowMs: (at + 1) * hour + 2 };
}

export function reopened(at: number, order = 'again'): ScheduleEvent {
  const about = { scheduleId: S, runId: runId(at), nowMs: 3 * hour };
  return { type: 'run.reopened', ...about, order, redoDeadLetters: false };
}

export const plain = (
  type: 'schedule.paused' | 'schedule.resumed' | 'schedule.deleted',
  nowMs = 0,
): ScheduleEvent => ({ type, scheduleId: S, nowMs });

export function backfill(
  from: number,
  to: number,
  more: Partial<BackfillCreated> = {},
): BackfillCreated {
  return {
    type: 'backfill.created',
    scheduleId: S,
    backfillId: 'b1',
    timetable: { ...hourly, startDateMs: from * hour, endDateMs: to * hour },
    first: interval(from),
    last: interval(to),
    total: to - from + 1,
    reprocess: 'none',
    maxActiveRuns: 1,
    reverse: false,
    nowMs: 0,
    ...more,
  };
}

/** The files at `/data/NAME`. */
export function asset(of: string): AssetCondition {
  return { asset: { name: of, kind: 'files', path: `/data/${of}` } };
}

export function keyOf(of: string): string {
  return assetKey({ kind: 'files', path: `/data/${of}` });
}

/** A schedule without a calendar. */
export function awaiting(
  condition: AssetCondition,
  change: Partial<ScheduleDefinition> = {},
  more: Partial<ScheduleDefined> = {},
): ScheduleDefined {
  const { timetable: _, ...rest } = definition(change);
  const assets = { condition, checkEveryMs: 1000 };
  return { ...defined(), definition: { ...rest, assets }, ...more };
}

/** That a data set has a version, since minute `at`. */
export function seen(of: string, version: string, at = 0): AssetSeen {
  const news = { version, facts: { files: 1 } };
  return { type: 'asset.seen', scheduleId: S, key: keyOf(of), news, nowMs: minutes(at) };
}

export function unseen(of: string, at = 0): AssetUnseen {
  return { type: 'asset.unseen', scheduleId: S, key: keyOf(of), failure, nowMs: minutes(at) };
}

export function minutes(count: number): number {
  return count * 60_000;
}

/** The run of changes of which the last was seen in minute `at`. */
export function madeByAssets(at: number, more: Partial<RunMade> = {}): RunMade {
  const ms = minutes(at);
  const id = assetRunIdOf(name, ms);
  return made(0, { runId: id, interval: { startMs: ms, endMs: ms }, kind: 'asset', ...more });
}

export const webhook = { url: 'https://example.com/told', tries: 2, timeoutMs: 1000 };

/** The call about the end of the run of an hour, after its first try. */
export function callId(at: number): string {
  return `${S}/${runId(at)}//1`;
}

export function told(number: number, inVain = false): WebhookTried {
  const about = { scheduleId: S, callId: callId(0), try: number, nowMs: 3 * hour };
  return { type: 'webhook.tried', ...about, ...(inVain ? { failure } : {}) };
}

/** A state that events led to, in which all invariants hold after each of them. */
export function after(...events: ScheduleEvent[]): State {
  const state = emptyState();
  tell(state, ...events);
  return state;
}

export function tell(state: State, ...events: ScheduleEvent[]): Effect[] {
  return events.flatMap((event) => {
    const effects = transition(state, event);
    checkInvariants(state);
    return effects;
  });
}

export function scheduleOf(state: State): ScheduleState {
  const schedule = state.schedules.get(S);
  if (!schedule) throw new Error('there is no schedule');
  return schedule;
}

/** Lets time go on to an instant: what is due by then happens, and may make more due. */
export function pass(state: State, nowMs: number): Effect[] {
  const effects: Effect[] = [];
  for (let round = 0; round < 100; round += 1) {
    const due = dueRuns(state, nowMs);
    if (due.length === 0) return effects;
    effects.push(...tell(state, ...due));
  }
  throw new Error('more and more is due');
}

/** `hour: phase` of each run that is known, in the order of their making. */
export function phases(state: State): string[] {
  return [...scheduleOf(state).runs.values()].map(
    ({ interval: { startMs }, phase }) => `${startMs / hour}: ${phase.kind}`,
  );
}
