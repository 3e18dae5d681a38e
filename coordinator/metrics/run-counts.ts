/** Counts runs of schedules as they start and end. Never: changes them. */
import type { Counter, Histogram } from 'prom-client';
import type { Effect } from '../core/effects.js';
import type { Event } from '../core/events.js';
import { isFinished, type RunState } from '../core/schedule-state.js';
import type { State } from '../core/state.js';

type StartRun = Extract<Effect, { type: 'startRun' }>;

export class RunCounts {
  constructor(
    private readonly ended: Counter<'state'>,
    /** Seconds from the time that a scheduled run was due to its first try. */
    private readonly lag: Histogram,
  ) {}

  /** Looks at the runs that an event may end; what it gives is called once the event is applied. */
  look(state: State, event: Event): () => void {
    if (!('scheduleId' in event)) return () => undefined;
    const runs = state.schedules.get(event.scheduleId)?.runs ?? new Map<string, RunState>();
    const open = [...runs.values()].filter((run) => !isFinished(run));
    const made = event.type === 'run.made' ? event.runId : undefined;
    const before = made === undefined ? undefined : runs.get(made);
    return () => {
      const after = made === undefined ? undefined : runs.get(made);
      // Skipped as it was made.
      if (after && after !== before) open.push(after);
      for (const run of open) if (isFinished(run)) this.ended.inc({ state: run.phase.kind });
    };
  }

  /** A run asked for by hand, by a backfill or by data sets is due whenever there is room. */
  starts(state: State, { scheduleId, runId }: StartRun, nowMs: number): void {
    const run = state.schedules.get(scheduleId)?.runs.get(runId);
    if (run?.kind !== 'scheduled' || run.tries > 1 || run.reopened) return;
    this.lag.observe(Math.max(0, nowMs - run.interval.endMs) / 1000);
  }
}
