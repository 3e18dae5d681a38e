/** The machines of schedules: how to reach each state, one event of each type, and what must follow. */
import type { ScheduleEvent } from '../../../coordinator/core/schedule-events.js';
import type { State } from '../../../coordinator/core/state.js';
import {
  after,
  backfill,
  defined,
  ended,
  hour,
  made,
  plain,
  runId,
  S,
  started,
} from './schedule-fixtures.js';
import type { Machine, Table } from './tables.js';

const setting = defined({ overlap: 'replace', retries: 1, timeoutMs: 60_000 });
const timedOut: ScheduleEvent = {
  type: 'run.timedOut',
  scheduleId: S,
  runId: runId(0),
  nowMs: 2 * hour,
};
const retried: ScheduleEvent = { ...timedOut, type: 'run.retried' };
const passed: ScheduleEvent = {
  type: 'backfill.passed',
  scheduleId: S,
  step: { id: 'b1', passed: 1 },
  done: true,
  nowMs: hour,
};
const cancelled: ScheduleEvent = {
  type: 'backfill.cancelled',
  scheduleId: S,
  backfillId: 'b1',
  nowMs: hour,
};
const again = made(0, {
  kind: 'backfill',
  order: 'b1',
  backfill: { id: 'b1', passed: 0 },
  nowMs: 3 * hour,
});

type EventName =
  ScheduleEvent['type'] | 'run.made again' | 'run.ended well' | 'run.ended cancelled';

const common: Record<EventName, ScheduleEvent> = {
  'schedule.defined': setting,
  'schedule.paused': plain('schedule.paused', 2 * hour),
  'schedule.resumed': plain('schedule.resumed', 2 * hour),
  'schedule.deleted': plain('schedule.deleted', 2 * hour),
  'run.made': made(1),
  'run.made again': again,
  'run.started': started(0),
  'run.ended': ended(0, 'failed'),
  'run.ended well': ended(0, 'succeeded'),
  'run.ended cancelled': ended(0, 'cancelled'),
  'run.retried': retried,
  'run.timedOut': timedOut,
  'backfill.created': backfill(0, 2),
  'backfill.passed': passed,
  'backfill.cancelled': cancelled,
};

export type ScheduleRow = 'unknown' | 'active' | 'paused' | 'deleted';
/** A schedule whose run of hour 0, if it is made, runs. */
export const scheduleMachine: Machine<ScheduleRow, EventName> = {
  reach: {
    unknown: () => after(),
    active: () => after(setting),
    paused: () => after(setting, plain('schedule.paused')),
    deleted: () => after(setting, plain('schedule.deleted')),
  },
  events: { ...common, 'run.made': made(0) },
  read: (state) => {
    const schedule = state.schedules.get(S);
    if (!schedule) return 'unknown';
    if (schedule.deleted) return 'deleted';
    return schedule.paused ? 'paused' : 'active';
  },
};

export type RunRow =
  | 'unknown'
  | 'queued'
  | 'running'
  | 'stopping'
  | 'retrying'
  | 'succeeded'
  | 'failed'
  | 'cancelled'
  | 'skipped';
const begin = [setting, backfill(0, 2, { reprocess: 'completed' })];
const running = [...begin, made(0), started(0)];
/** The run of hour 0; `run.made` is that of hour 1, which takes its place, `again` a backfill's. */
export const runMachine: Machine<RunRow, EventName> = {
  reach: {
    unknown: () => after(...begin),
    queued: () => after(...begin, plain('schedule.paused'), made(0)),
    running: () => after(...running),
    stopping: () => after(...running, timedOut),
    retrying: () => after(...running, ended(0, 'failed')),
    succeeded: () => after(...running, ended(0, 'succeeded')),
    failed: () => after(...running, ended(0, 'failed'), retried, ended(0, 'failed', 2)),
    cancelled: () => after(...running, ended(0, 'cancelled')),
    skipped: () => after(...begin, made(0, { skipped: 'late' })),
  },
  events: common,
  read: (state) => state.schedules.get(S)?.runs.get(runId(0))?.phase.kind ?? 'unknown',
};

export type BackfillRow =
  'unknown' | 'running' | 'exhausted' | 'cancelling' | 'succeeded' | 'failed' | 'cancelled';
const first = made(0, { kind: 'backfill', backfill: { id: 'b1', passed: 0 } });
const rest: ScheduleEvent = { ...passed, step: { id: 'b1', afterMs: 0, passed: 2 } };
const begun = [defined(), backfill(0, 2), first, started(0)];
/** A backfill of three hours, whose run of hour 0 runs once it is made. */
export const backfillMachine: Machine<BackfillRow, EventName> = {
  reach: {
    unknown: () => after(defined()),
    running: () => after(...begun),
    exhausted: () => after(...begun, rest),
    cancelling: () => after(...begun, cancelled),
    succeeded: () => after(...begun, rest, ended(0, 'succeeded')),
    failed: () => after(...begun, rest, ended(0, 'failed')),
    cancelled: () => after(...begun, cancelled, ended(0, 'cancelled')),
  },
  events: {
    ...common,
    'schedule.defined': defined(),
    'run.made again': first,
    'backfill.passed': rest,
  },
  read: (state: State) => {
    const found = state.schedules.get(S)?.backfills.get('b1');
    if (!found) return 'unknown';
    return found.phase === 'running' && found.exhausted ? 'exhausted' : found.phase;
  },
};
export type ScheduleTable<Row extends string> = Table<Row, EventName>;
