/** What there is at the moment, read from the state whenever somebody asks. Never: keeps anything. */
import { Gauge, type Registry } from 'prom-client';
import type { JobId } from '../../shared/ids.js';
import { scheduleLagMs } from '../core/schedule-lag.js';
import { isFinished } from '../core/schedule-state.js';
import type { JobState, State } from '../core/state.js';
import { isEnded } from '../core/state.js';
import { stateName } from '../core/views.js';
import { livingRunStates, livingStates, workerStates } from './labels.js';

export interface Observed {
  readonly state: State;
  readonly held: ReadonlySet<JobId>;
  readonly nowMs: () => number;
}

type Counts = Readonly<Record<string, number>>;

export function stateGauges(observed: Observed, registry: Registry): void {
  const { state, nowMs } = observed;
  const registers = [registry];
  const gauge = (name: string, help: string, count: () => Counts): void => {
    const made = new Gauge({
      name,
      help,
      labelNames: ['state'],
      registers,
      collect: () => {
        for (const [state, value] of Object.entries(count())) made.set({ state }, value);
      },
    });
  };
  gauge('windrow_jobs', 'Jobs that have not ended.', () => jobs(observed));
  gauge('windrow_tasks', 'Tasks of these jobs, of stages that are laid out.', () =>
    tasks(observed),
  );
  gauge('windrow_workers', 'Workers that hold a lease.', () => workers(observed));
  gauge('windrow_slots', 'Slots of connected workers.', () => slots(observed));
  gauge('windrow_schedule_runs', 'Runs of schedules that have not ended.', () => runs(observed));
  const number = (name: string, help: string, value: () => number): void => {
    const collect = (): void => made.set(value());
    const made: Gauge = new Gauge({ name, help, registers, collect });
  };
  number('windrow_leases', 'Leases that workers hold.', () => state.workers.size);
  number(
    'windrow_schedule_behind_seconds',
    'How long the oldest run that is due has waited for its first try.',
    () => scheduleLagMs(state, nowMs()) / 1000,
  );
}

function living({ state }: Observed): JobState[] {
  return [...state.jobs.values()].filter(({ phase }) => !isEnded(phase));
}

function jobs(observed: Observed): Counts {
  const counts: Record<string, number> = Object.fromEntries(livingStates.map((name) => [name, 0]));
  for (const job of living(observed)) {
    const state = observed.held.has(job.id) ? 'suspended' : stateName(job);
    counts[state] = (counts[state] ?? 0) + 1;
  }
  return counts;
}

function tasks(observed: Observed): Counts {
  const counts = { waiting: 0, running: 0, done: 0 };
  for (const { stages, running } of living(observed)) {
    let all = 0;
    let done = 0;
    for (const stage of stages) {
      all += stage.taskStarts.length;
      done += stage.tasksDone;
    }
    counts.running += running;
    counts.done += done;
    // The attempt of a task that an earlier one has finished still runs for a moment.
    counts.waiting += Math.max(0, all - done - running);
  }
  return counts;
}

function runs({ state }: Observed): Counts {
  const counts: Record<string, number> = Object.fromEntries(
    livingRunStates.map((name) => [name, 0]),
  );
  for (const schedule of state.schedules.values()) {
    for (const run of schedule.runs.values()) {
      if (schedule.deleted || isFinished(run)) continue;
      counts[run.phase.kind] = (counts[run.phase.kind] ?? 0) + 1;
    }
  }
  return counts;
}

function workers({ state }: Observed): Counts {
  const counts: Record<string, number> = Object.fromEntries(workerStates.map((name) => [name, 0]));
  for (const { phase } of state.workers.values()) counts[phase] = (counts[phase] ?? 0) + 1;
  return counts;
}

function slots({ state }: Observed): Counts {
  const counts = { busy: 0, free: 0 };
  for (const worker of state.workers.values()) {
    if (worker.phase !== 'connected') continue;
    const busy = Math.min(worker.slots, worker.attempts.size);
    counts.busy += busy;
    counts.free += worker.slots - busy;
  }
  return counts;
}
