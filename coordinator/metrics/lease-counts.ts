/**
 * Counts the leases of workers: those granted are those that live and those that ended. Never: decides
 * that one has ended.
 */
import type { Counter } from 'prom-client';
import type { Event } from '../core/events.js';
import type { State } from '../core/state.js';

/**
 * `released`: the worker left in order. `expired`: it was silent for too long. `lost`: it was seen to
 * crash, or another process has come under its name.
 */
export const leaseEnds = ['released', 'expired', 'lost'] as const;

export class LeaseCounts {
  constructor(
    private readonly granted: Counter,
    private readonly ended: Counter<'how'>,
  ) {}

  /** Call it before the event is applied: what it is about is the lease that lives until then. */
  look(state: State, event: Event): void {
    if (!('workerId' in event) || !('incarnation' in event)) return;
    const held = state.workers.get(event.workerId)?.incarnation;
    const same = held === event.incarnation;
    switch (event.type) {
      case 'worker.hello':
        if (held !== undefined && !same) this.end('lost');
        if (!same) this.granted.inc();
        return;
      case 'worker.exited':
        if (same) this.end(event.crashed ? 'lost' : 'released');
        return;
      case 'worker.leaseExpired':
        if (same) this.end('expired');
        return;
      default:
        return;
    }
  }

  private end(how: (typeof leaseEnds)[number]): void {
    this.ended.inc({ how });
  }
}
