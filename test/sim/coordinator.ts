/**
 * A simulated coordinator shell around the real core: a journal that loses what is not flushed,
 * sessions that drop doubled reports, effects that run only after a flush, and a crash with replay.
 */
import { isDurable, type Event } from '../../coordinator/core/events.js';
import type { Effect } from '../../coordinator/core/effects.js';
import { checkInvariants } from '../../coordinator/core/invariants.js';
import { reconcile } from '../../coordinator/core/reconcile.js';
import { jobFromRow, jobToRow } from '../../coordinator/core/snapshot.js';
import { emptyState, type JobState, type State } from '../../coordinator/core/state.js';
import { forget, transition } from '../../coordinator/core/transition.js';
import { place } from '../../coordinator/scheduling/placement.js';
import type { JobId } from '../../shared/ids.js';

export class SimCoordinator {
  state: State = emptyState();
  readonly ended = new Map<JobId, JobState>();
  restarts = 0;
  private snapshots = new Map<JobId, string>();
  private journal: Event[] = [];
  private pending: { events: Event[]; effects: Effect[] } = { events: [], effects: [] };

  constructor(
    private readonly run: (effect: Effect) => void,
    private readonly ahead: number,
  ) {}

  post(event: Event, nowMs: number): void {
    this.apply(event);
    this.poke(nowMs);
  }

  /** Asks placement, as the loop does after each batch and when a wait is over. */
  poke(nowMs: number): void {
    for (const start of place(this.state, nowMs, { ahead: this.ahead })) this.apply(start);
  }

  get hasPending(): boolean {
    return this.pending.events.length + this.pending.effects.length > 0;
  }

  flush(): void {
    const { events, effects } = this.pending;
    this.pending = { events: [], effects: [] };
    this.journal.push(...events);
    for (const effect of effects) this.run(effect);
  }

  /** Everything so far as one row a job. */
  snapshot(): void {
    if (this.hasPending) return;
    this.snapshots = new Map([...this.state.jobs].map(([id, job]) => [id, jobToRow(job)]));
    this.journal = [];
  }

  archive(id: JobId): void {
    const job = this.state.jobs.get(id);
    if (!job) return;
    this.ended.set(id, job);
    forget(this.state, id);
    this.snapshots.delete(id);
    this.journal = this.journal.filter((event) => jobIdOf(event) !== id);
    this.pending.events = this.pending.events.filter((event) => jobIdOf(event) !== id);
  }

  /** The process dies, what was not flushed with it; a new one replays the journal. */
  crash(): void {
    const clean = !this.hasPending;
    const before = clean ? this.rows() : '';
    this.pending = { events: [], effects: [] };
    this.restarts += 1;
    this.state = emptyState();
    for (const [id, row] of this.snapshots) this.state.jobs.set(id, jobFromRow(row));
    for (const event of this.journal) transition(this.state, event);
    if (clean && this.rows() !== before) {
      throw new Error(`replay differs:\n${before}\n${this.rows()}`);
    }
    checkInvariants(this.state);
    for (const effect of reconcile(this.state)) this.run(effect);
  }

  private rows(): string {
    return [...this.state.jobs.values()]
      .sort((a, b) => (a.id < b.id ? -1 : 1))
      .map(jobToRow)
      .join('\n');
  }

  private apply(event: Event): void {
    const effects = transition(this.state, event);
    if (isDurable(event)) this.pending.events.push(event);
    for (const effect of effects) {
      if (effect.type === 'record') this.pending.events.push(effect.event);
      else this.pending.effects.push(effect);
    }
    checkInvariants(this.state);
    for (const { id, counts } of this.state.jobs.values()) {
      const { rowsDone, rowsTotal } = counts;
      if (rowsDone > rowsTotal) throw new Error(`job ${id} did ${rowsDone} of ${rowsTotal} rows`);
    }
  }
}

function jobIdOf(event: Event): JobId | undefined {
  if ('jobId' in event) return event.jobId;
  return 'attempt' in event ? event.attempt.jobId : undefined;
}
