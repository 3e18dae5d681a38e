/**
 * What watchers of jobs hear: numbered notices that the journal keeps, and progress, which nobody
 * keeps. Never blocks the coordinator: who reads too slowly is told so and dropped.
 */
import type { JobId } from '../shared/ids.js';
import type { EventView } from '../shared/views.js';
import type { Effect } from './core/effects.js';
import type { StoredNotice } from './journal/journal.js';

export type Notice = StoredNotice;
export type Listener = (notice: Notice) => void;

export class Notices {
  private readonly lastSeq = new Map<JobId, number>();
  private readonly listeners = new Map<JobId, Set<Listener>>();

  /** Continues a job's numbering after a restart. */
  resume(jobId: JobId, lastSeq: number): void {
    this.lastSeq.set(jobId, lastSeq);
  }

  number(effect: Effect & { type: 'notify' }): Notice {
    const seq = (this.lastSeq.get(effect.jobId) ?? 0) + 1;
    this.lastSeq.set(effect.jobId, seq);
    const { jobId, timeMs, kind } = effect;
    return { jobId, seq, timeMs, kind, data: JSON.stringify(effect.data) };
  }

  publish(notice: Notice): void {
    for (const listener of this.listeners.get(notice.jobId) ?? []) listener(notice);
  }

  subscribe(jobId: JobId, listener: Listener): () => void {
    const set = this.listeners.get(jobId) ?? new Set();
    this.listeners.set(jobId, set.add(listener));
    return () => {
      set.delete(listener);
      if (set.size === 0) this.listeners.delete(jobId);
    };
  }

  watched(): Iterable<JobId> {
    return this.listeners.keys();
  }
}

/** A notice as users see it. */
export function eventView({ jobId, seq, timeMs, kind, data }: Notice): EventView {
  const members = JSON.parse(data) as Record<string, unknown>;
  return { job: jobId, ...members, event: kind, seq, time: new Date(timeMs).toISOString() };
}
