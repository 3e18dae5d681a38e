/** What a state directory tells about its jobs and schedules when no living process owns it. Changes nothing. */
import { resolve } from 'node:path';
import { fail } from '../shared/failure.js';
import type { BackfillView, ScheduleView } from '../shared/schedule-views.js';
import type { EventView, JobView, WhyView } from '../shared/views.js';
import { Catalogue } from './catalogue.js';
import { backfillView, scheduleView } from './core/schedule-views.js';
import { openReadOnly } from './journal/journal-reader.js';
import { LogLines } from './log-lines.js';
import { eventView, Notices } from './notices.js';
import { ProgressMeter } from './progress-meter.js';
import { replay } from './replay.js';
import type { LogEntry } from './rpc/worker-service.js';
import {
  backfillViews,
  findBackfill,
  findSchedule,
  scheduleViews,
} from './schedules/schedule-book.js';

/** Jobs and schedules of a state directory that no living process owns. */
export async function readOnlyView(stateDirectory: string): Promise<{
  get(job: string): Promise<JobView>;
  list(query?: { state?: string; limit?: number }): Promise<JobView[]>;
  events(job: string, options?: { afterSeq?: number }): AsyncIterable<EventView>;
  logs(job: string): AsyncIterable<Omit<LogEntry, 'workerId'> & { worker: string }>;
  why(job: string): Promise<WhyView>;
  schedules: {
    list(): Promise<ScheduleView[]>;
    get(name: string): Promise<ScheduleView>;
    backfills(schedule?: string): Promise<BackfillView[]>;
    getBackfill(id: string): Promise<BackfillView>;
  };
}> {
  const journal = openReadOnly(resolve(stateDirectory));
  if (!journal) {
    fail('invalidSpec', 'E_NO_STATE', `${stateDirectory} holds no journal`, {
      hint: 'name the state directory with --state, or a coordinator with --connect',
    });
  }
  const loaded = await journal.load();
  const state = replay(loaded);
  const held = new Set([...state.jobs.keys()]);
  const catalogue = new Catalogue({
    state,
    journal,
    notices: new Notices(),
    meter: new ProgressMeter(),
    held,
    rssBytes: () => 0,
    nowMs: () => Date.now(),
  });
  return {
    get: (job) => catalogue.get(job),
    list: (query) => catalogue.list(query?.state, query?.limit ?? 100),
    async *logs(job) {
      const { job: id } = await catalogue.get(job);
      const lines = new LogLines(resolve(stateDirectory)).of(id);
      for (const { timeMs, level, workerId: worker, text } of lines) {
        yield { timeMs, level, worker, text };
      }
    },
    why: (job) => catalogue.why(job),
    schedules: {
      list: async () => scheduleViews(state, Date.now()),
      get: async (name) => scheduleView(findSchedule(state, name), Date.now()),
      backfills: async (schedule) => backfillViews(state, schedule),
      async getBackfill(id) {
        const { schedule, backfill } = findBackfill(state, id);
        return backfillView(schedule, backfill);
      },
    },
    async *events(job, { afterSeq = 0 } = {}) {
      const never = new AbortController().signal;
      for await (const notice of catalogue.watch(job, afterSeq, false, never, Infinity)) {
        yield eventView(notice);
      }
    },
  };
}
