/**
 * Makes the calls that are owed, some at a time, and tells the loop how each went. Never: decides
 * whether one is made again; a call whose answer was not journaled is.
 */
import { toFailure, type Failure } from '../../shared/failure.js';
import type { ScheduleId } from '../../shared/ids.js';
import type { Effect } from '../core/effects.js';
import type { Event } from '../core/events.js';
import type { State } from '../core/state.js';
import { postWebhook } from './webhook-post.js';

export interface WebhooksDependencies {
  readonly state: State;
  readonly post: (...events: Event[]) => Promise<void>;
  readonly nowMs: () => number;
  readonly fatal: (error: unknown) => void;
  /** Whether addresses that are not public may be called as well. */
  readonly allowPrivateWebhooks: boolean;
}

export type WebhookEffect = Extract<Effect, { type: 'callWebhook' }>;

const atOnce = 8;
/** Of one schedule: a webhook that hangs must not stop those of the others. */
const atOnceOfOne = 2;

export class Webhooks {
  private readonly closing = new AbortController();
  private readonly waiting: WebhookEffect[] = [];
  private readonly pending = new Map<Promise<void>, ScheduleId>();

  constructor(private readonly deps: WebhooksDependencies) {}

  run(effect: WebhookEffect): void {
    this.waiting.push(effect);
    this.next();
  }

  /** From here on nothing is told any more: the next coordinator calls again. */
  async close(): Promise<void> {
    this.closing.abort();
    await Promise.allSettled([...this.pending.keys()]);
  }

  private next(): void {
    if (this.closing.signal.aborted || this.pending.size >= atOnce) return;
    const at = this.waiting.findIndex(({ scheduleId }) => this.underWay(scheduleId) < atOnceOfOne);
    const [effect] = at < 0 ? [] : this.waiting.splice(at, 1);
    if (!effect) return;
    const work = this.call(effect)
      .catch(this.deps.fatal)
      .finally(() => {
        this.pending.delete(work);
        this.next();
      });
    this.pending.set(work, effect.scheduleId);
  }

  private underWay(schedule: ScheduleId): number {
    return [...this.pending.values()].filter((id) => id === schedule).length;
  }

  private async call({ scheduleId, callId }: WebhookEffect): Promise<void> {
    const { state, post, nowMs, allowPrivateWebhooks: allowPrivate } = this.deps;
    const call = state.schedules.get(scheduleId)?.calls.get(callId);
    if (!call) return;
    const { signal } = this.closing;
    const number = call.tries + 1;
    let failure: Failure | undefined;
    try {
      await postWebhook({ ...call, allowPrivate, signal });
    } catch (error) {
      if (signal.aborted) return;
      failure = toFailure(error);
    }
    const told = { callId, try: number, ...(failure ? { failure } : {}) };
    await post({ type: 'webhook.tried', scheduleId, ...told, nowMs: nowMs() });
  }
}
