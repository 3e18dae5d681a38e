/** Rebuilds the core's state from the journal. Discards effects: they were carried out, or are derived anew. */
import { isScheduleRow, scheduleFromRow } from './core/schedule-snapshot.js';
import { jobFromRow } from './core/snapshot.js';
import { emptyState, type State } from './core/state.js';
import { transition } from './core/transition.js';
import type { Loaded } from './journal/journal.js';

export function replay({ snapshots, events }: Loaded): State {
  const state = emptyState();
  for (const row of snapshots) {
    if (isScheduleRow(row)) {
      const schedule = scheduleFromRow(row);
      state.schedules.set(schedule.id, schedule);
      continue;
    }
    const job = jobFromRow(row);
    state.jobs.set(job.id, job);
  }
  for (const event of events) transition(state, event);
  return state;
}
