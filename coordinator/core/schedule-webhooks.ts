/**
 * Who has to be told how a run ended: owed from the moment it ends, tried again after a while, given
 * up in the end. Never: calls anybody; `callWebhook` does.
 */
import type { Failure } from '../../shared/failure.js';
import type { Effect } from './effects.js';
import type { WebhookDue, WebhookTried } from './schedule-events.js';
import {
  requestIdOf,
  type RunState,
  type ScheduleState,
  type WebhookCall,
} from './schedule-state.js';
import { runView } from './schedule-views.js';

/** The pause after a first try; each is twice as long as the one before, up to the longest. */
const pauseMs = 10_000;
const pauseMostMs = 600_000;
/**
 * Owed at a time by one schedule: beyond, the oldest is given up. Fewer than the ended runs that are
 * kept, so that its run is still there to say so.
 */
const owedMost = 500;
const tooMany: Failure = {
  kind: 'resource',
  code: 'E_WEBHOOK',
  message: `the schedule owes more than ${owedMost} calls: the oldest is given up`,
  hint: 'look at what serves the webhook: it answers too slowly, or not at all',
};

/** Call it when a run has ended. One that was cancelled, or skipped, is told to nobody. */
export function oweWebhook(schedule: ScheduleState, run: RunState, effects: Effect[]): void {
  const { onSuccess, onFailure } = schedule.definition;
  const { kind } = run.phase;
  const webhook = kind === 'succeeded' ? onSuccess : kind === 'failed' ? onFailure : undefined;
  if (!webhook) return;
  const [oldest] = schedule.calls.values();
  if (oldest && schedule.calls.size >= owedMost) settle(schedule, oldest, 'givenUp', tooMany);
  const { url, tries: triesMost, timeoutMs } = webhook;
  const id = requestIdOf(schedule, run);
  const body = JSON.stringify({ id, schedule: schedule.name, ...runView(schedule, run) });
  const on = kind === 'succeeded' ? 'success' : 'failure';
  schedule.calls.set(id, { id, runId: run.id, on, url, body, timeoutMs, triesMost, tries: 0 });
  effects.push({ type: 'callWebhook', scheduleId: schedule.id, callId: id });
}

export function webhookDue(schedule: ScheduleState, event: WebhookDue, effects: Effect[]): void {
  const call = schedule.calls.get(event.callId);
  if (call?.atMs === undefined) return;
  delete call.atMs;
  effects.push({ type: 'callWebhook', scheduleId: schedule.id, callId: call.id });
}

export function webhookTried(schedule: ScheduleState, event: WebhookTried): void {
  const call = schedule.calls.get(event.callId);
  if (!call || call.atMs !== undefined || event.try !== call.tries + 1) return;
  const { failure, nowMs } = event;
  call.tries += 1;
  if (!failure) return settle(schedule, call, 'delivered');
  call.failure = failure;
  if (call.tries >= call.triesMost || !mayPass(failure)) return giveUp(schedule, call);
  call.atMs = nowMs + Math.min(pauseMs * 2 ** (call.tries - 1), pauseMostMs);
}

/** What must not be called now must not be called later. */
function mayPass({ kind }: Failure): boolean {
  return kind !== 'invalidSpec';
}

function giveUp(schedule: ScheduleState, call: WebhookCall): void {
  settle(schedule, call, 'givenUp', call.failure);
}

function settle(
  schedule: ScheduleState,
  call: WebhookCall,
  state: 'delivered' | 'givenUp',
  failure?: Failure,
): void {
  schedule.calls.delete(call.id);
  const run = schedule.runs.get(call.runId);
  // It may have been run once more in the meantime.
  if (!run || requestIdOf(schedule, run) !== call.id) return;
  run.webhook = { on: call.on, state, tries: call.tries, ...(failure ? { failure } : {}) };
}
