/** What there is at the moment, read from the state whenever somebody asks. Never: keeps anything. */
import { Gauge, type Registry } from 'prom-client';
import type { JobId } from '../../shared/ids.js';
import type { JobState, State } from '../core/state.js';
import { isEnded } from '../core/state.js';
import { stateName } from '../core/views.js';
import { livingStates, workerStates } from './labels.js';

export interface Observed {
  readonly state: State;
  readonly held: ReadonlySet<JobId>;
}

type Counts = Readonly<Record<string, number>>;

export function stateGauges(observed: Observed, registry: Registry): void {
  const gauge = (name: string, help: string, count: () => Counts): void => {
    const made = new Gauge({
      name,
      help,
      labelNames: ['state'],
      registers: [registry],
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
