/** Schedules, runs and backfills as users see them, derived from the state. Never: changes it. */
import { assetEventsOf } from '../../shared/asset-condition.js';
import { nextRun, runTimes } from '../../shared/calendar/intervals.js';
import type { ScheduleSpec } from '../../shared/schedule-spec.js';
import type {
  BackfillView,
  RunView,
  ScheduleView,
  WebhookView,
} from '../../shared/schedule-views.js';
import { assetViews, awaitedText } from './schedule-assets.js';
import {
  isFinished,
  requestIdOf,
  type BackfillState,
  type RunState,
  type ScheduleState,
} from './schedule-state.js';
import { hindranceOf } from './schedule-waiting.js';

const runsShown = 100;

export function scheduleView(schedule: ScheduleState, nowMs: number): ScheduleView {
  const spec = JSON.parse(schedule.definition.spec) as ScheduleSpec;
  const { timetable } = schedule.definition;
  const next = schedule.paused || !timetable ? undefined : nextRun(timetable, schedule.last, nowMs);
  const awaits = awaitedText(schedule);
  const runs = [...schedule.runs.values()]
    .sort((a, b) => b.interval.startMs - a.interval.startMs)
    .slice(0, runsShown);
  return {
    schedule: schedule.name,
    state: schedule.paused ? 'paused' : 'active',
    job: spec.job,
    trigger: spec.trigger,
    params: spec.params,
    maxActiveRuns: spec.maxActiveRuns,
    ...(next ? { next: runTimes(next) } : {}),
    ...(schedule.assets ? { assets: assetViews(schedule) } : {}),
    ...(awaits === undefined ? {} : { awaits }),
    runs: runs.map((run) => runView(schedule, run)),
  };
}

export function runView(schedule: ScheduleState, run: RunState): RunView {
  const { phase, startedMs, endedMs, changes } = run;
  const webhook = webhookView(schedule, run);
  const because = becauseOf(schedule, run);
  const failure = 'failure' in phase ? phase.failure : undefined;
  return {
    run: run.id,
    kind: run.kind,
    state: phase.kind,
    ...runTimes(run.interval),
    tries: run.tries,
    ...(run.jobId === undefined ? {} : { job: run.jobId }),
    ...(run.backfillId === undefined ? {} : { backfill: run.backfillId }),
    ...(startedMs === undefined ? {} : { startedAt: timeText(startedMs) }),
    ...(endedMs === undefined ? {} : { endedAt: timeText(endedMs) }),
    ...(failure ? { failure } : {}),
    ...(because === undefined ? {} : { because }),
    ...(changes ? { triggeringAssetEvents: assetEventsOf(changes) } : {}),
    ...(webhook ? { webhook } : {}),
  };
}

/** How it goes, or went, with telling somebody of a run's end. */
function webhookView(schedule: ScheduleState, run: RunState): WebhookView | undefined {
  if (run.webhook) return run.webhook;
  const call = schedule.calls.get(requestIdOf(schedule, run));
  if (!call) return undefined;
  const { on, tries, failure } = call;
  return { on, state: 'owed', tries, ...(failure ? { failure } : {}) };
}

/** What an unfinished run without a job waits for, or why one was skipped. */
export function becauseOf(schedule: ScheduleState, run: RunState): string | undefined {
  const { phase } = run;
  if (phase.kind === 'retrying') {
    return `try ${run.tries} failed (${phase.failure.code}); the next one starts at ${timeText(phase.atMs)}`;
  }
  if (phase.kind === 'skipped') {
    return phase.reason === 'late'
      ? 'it could not be made within startWithin'
      : 'as many runs as maxActiveRuns were unfinished';
  }
  if (phase.kind !== 'queued') return undefined;
  const hindrance = hindranceOf(schedule, run);
  switch (hindrance?.reason) {
    case 'paused':
      return `schedule ${schedule.name} is paused`;
    case 'full':
      return `so many runs may be under way at a time: ${hindrance.runs.map(({ id }) => id).join(', ')}`;
    case 'past':
      return pastText(hindrance.run);
    case undefined:
      return undefined;
  }
}

/** What has ended stays as it is until somebody wants it once more. */
function pastText(before: RunState): string {
  const { id, phase } = before;
  const again = isFinished(before) ? `; it runs once more with: windrow retry ${id}` : '';
  return `dependsOnPast: the run before, ${id}, is ${phase.kind}${again}`;
}

export function backfillView(schedule: ScheduleState, backfill: BackfillState): BackfillView {
  const { id, first, last, total, reprocess, maxActiveRuns, reverse, phase, counts } = backfill;
  return {
    backfill: id,
    schedule: schedule.name,
    state: phase,
    from: timeText(first.startMs),
    to: timeText(last.startMs),
    reprocess,
    maxActiveRuns,
    reverse,
    runs: { total, ...counts },
  };
}

function timeText(ms: number): string {
  return new Date(ms).toISOString();
}
