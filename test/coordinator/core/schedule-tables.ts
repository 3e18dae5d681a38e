/** The machines of schedules: how to reach each state, one event of each type, and what must follow. */
import type { ScheduleEvent } from '../../../coordinator/core/schedule-events.js';
import type { State } from '../../../coordinator/core/state.js';
import {
  after,
  asset,
  awaiting,
  backfill,
  callId,
  defined,
  ended,
  hour,
  keyOf,
  made,
  madeByAssets,
  plain,
  reopened,
  runCancelled,
  runId,
  S,
  scheduleOf,
  seen,
  started,
  told,
  unseen,
  webhook,
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
const due: ScheduleEvent = {
  type: 'webhook.due',
  scheduleId: S,
  callId: callId(0),
  nowMs: 4 * hour,
};

type EventName =
  | ScheduleEvent['type']
  | 'run.made again'
  | 'run.ended well'
  | 'run.ended cancelled'
  | 'webhook.tried in vain';

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
  'run.cancelled': runCancelled(0),
  'run.reopened': reopened(0),
  'backfill.created': backfill(0, 2),
  'backfill.passed': passed,
  'backfill.cancelled': cancelled,
  'asset.seen': seen('orders', 'v1'),
  'asset.unseen': unseen('orders'),
  'webhook.due': due,
  'webhook.tried': told(1),
  'webhook.tried in vain': told(1, true),
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

export type AssetRow = 'unknown' | 'absent' | 'awaited' | 'changed' | 'unseen';
const orders = awaiting(asset('orders'), {}, { seen: { [keyOf('orders')]: 'v0' } });
/** What is known of the one data set that a schedule waits for; `run.made` is the run of its change. */
export const assetMachine: Machine<AssetRow, EventName> = {
  reach: {
    unknown: () => after(defined()),
    absent: () => after(awaiting(asset('orders'))),
    awaited: () => after(orders),
    changed: () => after(orders, seen('orders', 'v1', 5)),
    unseen: () => after(orders, unseen('orders')),
  },
  events: { ...common, 'schedule.defined': orders, 'run.made': madeByAssets(5) },
  read: (state) => {
    const { assets } = scheduleOf(state);
    const sight = assets?.seen[keyOf('orders')];
    if (!assets || !sight) return 'unknown';
    if (assets.changes.length > 0) return 'changed';
    if (sight.failure) return 'unseen';
    return sight.version === undefined ? 'absent' : 'awaited';
  },
};

export type WebhookRow = 'none' | 'calling' | 'waiting' | 'delivered' | 'givenUp';
const telling = defined({ onFailure: webhook });
const failedRun = [telling, made(0), started(0), ended(0, 'failed')];
/** Telling of the end of the run of hour 0, which fails, in two tries. */
export const webhookMachine: Machine<WebhookRow, EventName> = {
  reach: {
    none: () => after(telling, made(0), started(0)),
    calling: () => after(...failedRun),
    waiting: () => after(...failedRun, told(1, true)),
    delivered: () => after(...failedRun, told(1)),
    givenUp: () => after(...failedRun, told(1, true), due, told(2, true)),
  },
  events: { ...common, 'schedule.defined': telling },
  read: (state) => {
    const schedule = scheduleOf(state);
    const call = schedule.calls.get(callId(0));
    if (call) return call.atMs === undefined ? 'calling' : 'waiting';
    return schedule.runs.get(runId(0))?.webhook?.state ?? 'none';
  },
};
export type ScheduleTable<Row extends string> = Table<Row, EventName>;
