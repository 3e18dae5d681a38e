/**
 * Schedules and their runs. Never: submits a job or looks at one; a run's job is known by what is
 * reported of it.
 *
 *   run.made ──> queued ──room, past, not paused──> running ──run.ended──> succeeded | failed | cancelled
 *      │           ^ │                               │   │ timedOut, replaced, cancelled (itself, its backfill)
 *      │           │ └─timedOut, cancelled─> ended   │   └───────> stopping ──run.ended──> failed | cancelled | succeeded
 *      └─> skipped ├──run.retried── retrying <──failed, tries left
 *                  └──run.reopened── whatever has ended
 */
import type { Failure } from '../../shared/failure.js';
import {
  advanceTo,
  backfillCancelled,
  backfillCreated,
  backfillPassed,
  backfillRunEnded,
} from './backfill.js';
import type { Effect } from './effects.js';
import { IllegalTransition } from './illegal.js';
import { assetsDefined, assetSeen, assetUnseen, takeChanges } from './schedule-assets.js';
import { unfinishedOf, wakeOf } from './schedule-due.js';
import type {
  RunEnded,
  RunMade,
  RunReopened,
  ScheduleDefined,
  ScheduleEvent,
} from './schedule-events.js';
import {
  isFinished,
  triesOf,
  type RunOutcome,
  type RunPhase,
  type RunState,
  type ScheduleState,
} from './schedule-state.js';
import { hindranceOf } from './schedule-waiting.js';
import { oweWebhook, webhookDue, webhookTried } from './schedule-webhooks.js';
import type { State } from './state.js';

/** Ended runs that are kept: for people, and for those that ask whether an interval was run. */
const endedRunsKept = 1000;

export function scheduleTransition(state: State, event: ScheduleEvent, effects: Effect[]): void {
  if (event.type === 'schedule.defined') defined(state, event);
  const schedule = state.schedules.get(event.scheduleId);
  // Deleted in the meantime: nobody waits for the rest.
  if (!schedule || schedule.deleted) return;
  apply(schedule, event, effects);
  startQueued(schedule, event.nowMs, effects);
  schedule.wakeMs = wakeOf(schedule, event.nowMs);
}

/** Drops a deleted schedule once the journal has nothing of it any more. */
export function forgetSchedule(state: State, id: ScheduleState['id']): void {
  const schedule = state.schedules.get(id);
  if (schedule && !schedule.deleted) {
    throw new IllegalTransition('forgetting', `schedule ${id}`, 'it was not deleted');
  }
  state.schedules.delete(id);
}

function defined(state: State, event: ScheduleDefined): void {
  const { scheduleId: id, name, definition, paused } = event;
  const known = state.schedules.get(id);
  if (known) {
    known.definition = definition;
    known.paused = paused ?? known.paused;
    assetsDefined(known, event);
    return;
  }
  const made: ScheduleState = {
    id,
    name,
    definition,
    paused: paused ?? false,
    deleted: false,
    runs: new Map(),
    backfills: new Map(),
    calls: new Map(),
    wakeMs: 0,
  };
  assetsDefined(made, event);
  state.schedules.set(id, made);
}

function apply(schedule: ScheduleState, event: ScheduleEvent, effects: Effect[]): void {
  const { nowMs } = event;
  switch (event.type) {
    case 'schedule.defined':
      return;
    case 'schedule.paused':
    case 'schedule.resumed':
      schedule.paused = event.type === 'schedule.paused';
      return;
    case 'schedule.deleted':
      return deleted(schedule, effects);
    case 'run.made':
      return made(schedule, event, effects);
    case 'run.started': {
      const run = tried(schedule, event);
      if (run) run.jobId = event.jobId;
      return;
    }
    case 'run.ended':
      return ended(schedule, event, effects);
    case 'run.retried': {
      const run = schedule.runs.get(event.runId);
      if (run?.phase.kind === 'retrying') run.phase = { kind: 'queued' };
      return;
    }
    case 'run.timedOut': {
      const failure = timeoutFailure(schedule);
      return stop(schedule, event.runId, { kind: 'failed', failure }, nowMs, effects);
    }
    case 'run.cancelled':
      return stop(schedule, event.runId, { kind: 'cancelled' }, nowMs, effects);
    case 'run.reopened':
      return reopened(schedule, event);
    case 'backfill.created':
      return backfillCreated(schedule, event);
    case 'backfill.passed':
      return backfillPassed(schedule, event);
    case 'backfill.cancelled':
      return backfillCancelled(schedule, event, (run) =>
        stop(schedule, run.id, { kind: 'cancelled' }, nowMs, effects),
      );
    case 'asset.seen':
      return assetSeen(schedule, event);
    case 'asset.unseen':
      return assetUnseen(schedule, event);
    case 'webhook.due':
      return webhookDue(schedule, event, effects);
    case 'webhook.tried':
      return webhookTried(schedule, event);
  }
}

function deleted(schedule: ScheduleState, effects: Effect[]): void {
  for (const { phase } of schedule.runs.values()) {
    if (phase.kind === 'running' || phase.kind === 'stopping') return;
  }
  schedule.deleted = true;
  effects.push({ type: 'scheduleDeleted', scheduleId: schedule.id });
}

function made(schedule: ScheduleState, event: RunMade, effects: Effect[]): void {
  const { runId, interval, kind, skipped, order, backfill, nowMs } = event;
  const known = schedule.runs.get(runId);
  const changes = kind === 'asset' ? takeChanges(schedule, interval) : undefined;
  if (kind === 'asset' && !changes) return;
  if (kind === 'scheduled') {
    if (schedule.last && interval.endMs <= schedule.last.endMs) return;
    schedule.last = interval;
    // A backfill was here before.
    if (known) return;
  }
  const inUse = known !== undefined && (kind === 'manual' || !isFinished(known));
  if (backfill) {
    const state = schedule.backfills.get(backfill.id);
    if (!state || !advanceTo(state, backfill, interval)) return;
    state.counts[inUse ? 'passed' : 'unfinished'] += 1;
  }
  if (inUse) return;
  if (!skipped && (kind === 'scheduled' || kind === 'asset')) makeRoom(schedule, nowMs, effects);
  // Once more: it is the newest now.
  schedule.runs.delete(runId);
  schedule.runs.set(runId, {
    id: runId,
    interval,
    kind,
    order,
    ...(backfill ? { backfillId: backfill.id } : {}),
    ...(changes ? { changes } : {}),
    phase: skipped ? { kind: 'skipped', reason: skipped } : { kind: 'queued' },
    tries: 0,
    ...(skipped ? { endedMs: nowMs } : {}),
  });
  if (skipped) forgetOldest(schedule);
}

/** Where new runs take the place of old ones, the oldest have to go. */
function makeRoom(schedule: ScheduleState, nowMs: number, effects: Effect[]): void {
  const { overlap, maxActiveRuns } = schedule.definition;
  if (overlap !== 'replace') return;
  let excess = unfinishedOf(schedule) + 1 - maxActiveRuns;
  for (const run of [...schedule.runs.values()]) {
    if (excess <= 0) return;
    if (run.backfillId !== undefined || isFinished(run)) continue;
    excess -= 1;
    stop(schedule, run.id, { kind: 'cancelled' }, nowMs, effects);
  }
}

/** The run whose try this is about, if that is still the one under way. */
function tried(
  schedule: ScheduleState,
  event: { readonly runId: string; readonly try: number },
): RunState | undefined {
  const run = schedule.runs.get(event.runId);
  const isCurrent = run?.phase.kind === 'running' || run?.phase.kind === 'stopping';
  return isCurrent && run.tries === event.try ? run : undefined;
}

function ended(schedule: ScheduleState, event: RunEnded, effects: Effect[]): void {
  const run = tried(schedule, event);
  if (!run) return;
  const { outcome, nowMs } = event;
  const { retries, retryDelayMs } = schedule.definition;
  const over = (phase: RunPhase): void => finish(schedule, run, phase, nowMs, effects);
  if (outcome === 'succeeded') return over({ kind: 'succeeded' });
  if (run.phase.kind === 'stopping') return over(run.phase.outcome);
  if (outcome === 'cancelled') return over({ kind: 'cancelled' });
  const failure = event.failure ?? unknownFailure();
  if (triesOf(run) > retries) return over({ kind: 'failed', failure });
  run.phase = { kind: 'retrying', atMs: nowMs + retryDelayMs, failure };
}

/**
 * An ended run as if it were made again, its tries counted on. What it was part of has counted its
 * end: it is the schedule's own from here on.
 */
function reopened(schedule: ScheduleState, event: RunReopened): void {
  const run = schedule.runs.get(event.runId);
  if (!run || !isFinished(run) || run.reopened?.order === event.order) return;
  const { id, interval, kind, order, changes, tries } = run;
  const own = { id, interval, kind, order, ...(changes ? { changes } : {}) };
  schedule.runs.delete(id);
  schedule.runs.set(id, {
    ...own,
    reopened: { order: event.order, tries, redoDeadLetters: event.redoDeadLetters },
    phase: { kind: 'queued' },
    tries,
  });
}

/** Ends a run that has not ended; one whose job may run ends with that. */
function stop(
  schedule: ScheduleState,
  runId: string,
  outcome: RunOutcome,
  nowMs: number,
  effects: Effect[],
): void {
  const run = schedule.runs.get(runId);
  if (!run || isFinished(run) || run.phase.kind === 'stopping') return;
  if (run.phase.kind !== 'running') return finish(schedule, run, outcome, nowMs, effects);
  run.phase = { kind: 'stopping', outcome };
  effects.push({ type: 'cancelRun', scheduleId: schedule.id, runId: run.id });
}

function finish(
  schedule: ScheduleState,
  run: RunState,
  phase: RunPhase,
  nowMs: number,
  effects: Effect[],
): void {
  run.phase = phase;
  run.endedMs = nowMs;
  oweWebhook(schedule, run, effects);
  backfillRunEnded(schedule, run);
  forgetOldest(schedule);
}

/** Of an interval that is forgotten the archive of jobs still knows, by the ids of its tries. */
function forgetOldest({ runs }: ScheduleState): void {
  if (runs.size <= endedRunsKept) return;
  for (const run of runs.values()) {
    if (!isFinished(run)) continue;
    runs.delete(run.id);
    return;
  }
}

/** In the order of their intervals, but a backfill's as it makes them. */
function startQueued(schedule: ScheduleState, nowMs: number, effects: Effect[]): void {
  for (const run of schedule.runs.values()) {
    if (run.phase.kind !== 'queued' || hindranceOf(schedule, run)) continue;
    run.phase = { kind: 'running' };
    run.tries += 1;
    run.startedMs ??= nowMs;
    delete run.jobId;
    effects.push({ type: 'startRun', scheduleId: schedule.id, runId: run.id });
  }
}

function timeoutFailure({ definition }: ScheduleState): Failure {
  return {
    kind: 'resource',
    code: 'E_RUN_TIMEOUT',
    message: `the run did not finish within ${definition.timeoutMs ?? 0} ms`,
    hint: "raise the schedule's timeout; what is finished will be reused",
  };
}

function unknownFailure(): Failure {
  return { kind: 'broken', code: 'E_INTERNAL', message: 'the job failed without saying why' };
}
