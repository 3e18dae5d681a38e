/**
 * The coordinator's heartbeat: events in, transitions, journal, effects out, placement after each
 * batch. An effect runs only after the events before it are durable. Holds no decision of its own.
 */
import type { AttemptEnded, AttemptStarted, Event } from './core/events.js';
import { isDurable } from './core/events.js';
import type { Effect } from './core/effects.js';
import { scheduleToRow } from './core/schedule-snapshot.js';
import { jobToRow } from './core/snapshot.js';
import { isEnded, type State } from './core/state.js';
import { transition } from './core/transition.js';
import { due } from './core/due.js';
import { Turns } from './scheduling/fair-share.js';
import { nextEligible, place } from './scheduling/placement.js';
import { QueueDepth } from './scheduling/queue-depth.js';
import type { Journal, StoredNotice } from './journal/journal.js';
import type { JobId } from '../shared/ids.js';

export interface LoopDependencies {
  readonly state: State;
  readonly journal: Pick<Journal, 'append' | 'snapshot'>;
  readonly epoch: number;
  readonly nowMs: () => number;
  /** Runs one effect; must not throw. Called in order, after the events are durable. */
  readonly run: (effect: Effect) => void;
  /** Numbers a notice for its job; called before it is journaled. */
  readonly number: (effect: Effect & { type: 'notify' }) => StoredNotice;
  /** Hands a durable notice to whoever watches. */
  readonly publish: (notice: StoredNotice) => void;
  /** Jobs that are kept but must not run (embedded mode: nobody asked for them yet). */
  readonly held: ReadonlySet<JobId>;
  /** Journal lost or a broken invariant: the process cannot go on. */
  readonly fatal: (error: unknown) => void;
  /** Applies an event; default the core's own function, which whoever counts events wraps. */
  readonly transition?: typeof transition;
  /** Events between two snapshots of the living jobs. */
  readonly snapshotEvents?: number;
}

interface Posted {
  readonly events: readonly Event[];
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** How often clocks are looked at when nothing else happens. */
const tickMs = 200;
/** Events after which living jobs are written whole: some 30 MB of journal, a second of replay. */
const snapshotEventsDefault = 500_000;

export class Loop {
  private queue: Posted[] = [];
  private notes: (Effect & { type: 'notify' })[] = [];
  private scheduled = false;
  private tail: Promise<void> = Promise.resolve();
  private stopped = false;
  private eventsSinceSnapshot = 0;
  private readonly ticker: NodeJS.Timeout;
  private readonly queueDepth = new QueueDepth();
  private eligible: NodeJS.Timeout | undefined;
  private readonly turns = new Turns();

  constructor(private readonly deps: LoopDependencies) {
    this.ticker = setInterval(() => this.tick(), tickMs);
    this.ticker.unref();
  }

  /** Resolves when the events are durable; their effects run right after. */
  post(...events: Event[]): Promise<void> {
    if (this.stopped) return Promise.resolve();
    return new Promise<void>((resolve, reject) => {
      this.queue.push({ events, resolve, reject });
      this.schedule();
    });
  }

  /** Tells watchers something that changes no state. */
  note(effect: Effect & { type: 'notify' }): void {
    this.notes.push(effect);
    this.schedule();
  }

  /** Asks placement again, without news. */
  poke(): void {
    this.schedule();
  }

  /** Everything posted so far is durable and acted upon. */
  async settled(): Promise<void> {
    while (this.queue.length > 0 || this.scheduled) {
      await new Promise((resolve) => setImmediate(resolve));
      await this.tail;
    }
    await this.tail;
  }

  async stop(): Promise<void> {
    clearInterval(this.ticker);
    clearTimeout(this.eligible);
    await this.settled();
    this.stopped = true;
  }

  private schedule(): void {
    if (this.scheduled || this.stopped) return;
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      try {
        this.drain();
      } catch (error) {
        this.deps.fatal(error);
      }
    });
  }

  private tick(): void {
    const events = due(this.deps.state, this.deps.nowMs());
    if (events.length > 0) this.post(...events).catch(this.deps.fatal);
  }

  private drain(): void {
    const batch = this.queue;
    this.queue = [];
    const { state, held, transition: applied = transition } = this.deps;
    const effects: Effect[] = [...this.notes];
    this.notes = [];
    const durable: Event[] = [];
    const apply = (event: Event): void => {
      if (isDurable(event)) durable.push(event);
      if (event.type === 'attempt.ended' && !event.failure) this.countEnd(event);
      for (const effect of applied(state, event)) {
        // Facts that follow from events which are not kept themselves, such as a worker's death.
        if (effect.type === 'record') durable.push(effect.event);
        else effects.push(effect);
      }
    };
    for (const posted of batch) for (const event of posted.events) apply(event);
    // One time for both: what it was too early to place must not be too late to wait for.
    const nowMs = this.deps.nowMs();
    const ahead = this.queueDepth.depths(nowMs, this.slots());
    const { turns } = this;
    const starts: AttemptStarted[] = place(state, nowMs, { held, ahead, turns });
    for (const start of starts) apply(start);
    this.armEligible(nowMs);
    if (batch.length === 0 && effects.length === 0 && durable.length === 0) return;
    this.commit(batch, durable, effects);
  }

  private countEnd({ attempt, nowMs }: AttemptEnded): void {
    const stages = this.deps.state.jobs.get(attempt.jobId)?.stages;
    const stage = stages?.find(({ id }) => id === attempt.stageId);
    if (stage) this.queueDepth.attemptEnded(stage, nowMs);
  }

  private slots(): number {
    let slots = 0;
    for (const worker of this.deps.state.workers.values()) slots += worker.slots;
    return slots;
  }

  private commit(batch: readonly Posted[], durable: readonly Event[], effects: readonly Effect[]) {
    const { journal, epoch, number, publish, run, fatal } = this.deps;
    const notices: StoredNotice[] = [];
    for (const effect of effects) if (effect.type === 'notify') notices.push(number(effect));
    const written =
      durable.length > 0 || notices.length > 0
        ? journal.append(epoch, durable, notices)
        : Promise.resolve();
    const compacted = this.compact(durable.length);
    this.tail = Promise.all([this.tail, written, compacted]).then(
      () => {
        for (const posted of batch) posted.resolve();
        for (const notice of notices) publish(notice);
        for (const effect of effects) run(effect);
      },
      (error: unknown) => {
        for (const posted of batch) posted.reject(error);
        fatal(error);
      },
    );
  }

  /** Every so often a row per living job or schedule takes the place of its events, so that a start stays quick. */
  private compact(events: number): Promise<void> {
    this.eventsSinceSnapshot += events;
    const most = this.deps.snapshotEvents ?? snapshotEventsDefault;
    if (this.eventsSinceSnapshot < most) return Promise.resolve();
    this.eventsSinceSnapshot = 0;
    const { state, journal, epoch } = this.deps;
    // In the journal's queue it stands behind the events it covers.
    const jobs = [...state.jobs.values()].filter((job) => !isEnded(job.phase));
    return journal.snapshot(epoch, [
      ...jobs.map((job) => ({ id: job.id, row: jobToRow(job) })),
      ...[...state.schedules.values()].map((each) => ({ id: each.id, row: scheduleToRow(each) })),
    ]);
  }

  /** A task in back-off becomes eligible without any event: look again then. */
  private armEligible(nowMs: number): void {
    clearTimeout(this.eligible);
    const at = nextEligible(this.deps.state, nowMs);
    if (at === undefined) return;
    const waitMs = Math.max(1, at - nowMs);
    this.eligible = setTimeout(() => this.poke(), Math.min(waitMs, 60_000));
    this.eligible.unref();
  }
}
