/** Looks at the time for schedules, and tells the loop what became due. Holds no decision. */
import type { Event } from '../core/events.js';
import { dueRuns } from '../core/schedule-due.js';
import type { State } from '../core/state.js';

export interface ScheduleClockDependencies {
  readonly state: State;
  readonly post: (...events: Event[]) => Promise<void>;
  readonly nowMs: () => number;
  readonly fatal: (error: unknown) => void;
}

const tickMs = 200;

export class ScheduleClock {
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly deps: ScheduleClockDependencies) {}

  start(): void {
    this.timer = setInterval(() => {
      this.tick().catch(this.deps.fatal);
    }, tickMs);
    this.timer.unref();
  }

  /** Resolves when what is due now is durable. */
  async tick(): Promise<void> {
    const { state, post, nowMs } = this.deps;
    const events = dueRuns(state, nowMs());
    if (events.length > 0) await post(...events);
  }

  stop(): void {
    clearInterval(this.timer);
  }
}
