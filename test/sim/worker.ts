/** A simulated worker process: runs what it is sent, numbers its reports, dies of poison rows. */
import type { AttemptEnded, ChunkDone } from '../../coordinator/core/events.js';
import type { Probe } from '../../coordinator/core/state.js';
import { attemptKey, workerId, type AttemptRef, type WorkerId } from '../../shared/ids.js';
import type { Failure } from '../../shared/failure.js';

export interface Work {
  readonly ref: AttemptRef;
  readonly chunks: number[];
  readonly probe?: Probe;
  /** Rows to leave out, by chunk. */
  readonly poison: ReadonlyMap<number, readonly number[]>;
  cancelled: boolean;
}

export type Report = ChunkDone | AttemptEnded;
export type ToWorker =
  | { readonly type: 'run'; readonly work: Work }
  | { readonly type: 'cancel'; readonly ref: AttemptRef }
  | { readonly type: 'ack'; readonly seq: number }
  | { readonly type: 'drain' };
export type ToCoordinator =
  | { readonly type: 'hello'; readonly running: readonly AttemptRef[] }
  | { readonly type: 'report'; readonly seq: number; readonly report: Report };

export class SimWorker {
  readonly id: WorkerId;
  incarnation = 0;
  up = false;
  connected = false;
  draining = false;
  inbox: ToWorker[] = [];
  outbox: ToCoordinator[] = [];
  running = new Map<string, Work>();
  private unacknowledged: { seq: number; report: Report }[] = [];
  private seq = 0;

  constructor(
    index: number,
    readonly slots: number,
    /** Whether its hello also lists attempts whose end has not been acknowledged. */
    private readonly listsUnacknowledged: boolean,
  ) {
    this.id = workerId(`w${index}`);
  }

  start(): void {
    this.incarnation += 1;
    this.up = true;
    this.draining = false;
  }

  /** All that was in memory or on the way is gone. */
  die(): void {
    this.up = false;
    this.disconnect();
    this.running = new Map();
    this.unacknowledged = [];
    this.seq = 0;
  }

  disconnect(): void {
    this.connected = false;
    this.inbox = [];
    this.outbox = [];
  }

  connect(): void {
    this.connected = true;
    const listed = new Map([...this.running].map(([key, work]) => [key, work.ref]));
    if (this.listsUnacknowledged) {
      for (const { report } of this.unacknowledged) {
        if (report.type === 'attempt.ended') listed.set(attemptKey(report.attempt), report.attempt);
      }
    }
    this.outbox.push({ type: 'hello', running: [...listed.values()] });
    for (const each of this.unacknowledged) this.outbox.push({ type: 'report', ...each });
  }

  report(report: Report): void {
    this.seq += 1;
    this.unacknowledged.push({ seq: this.seq, report });
    if (this.connected) this.outbox.push({ type: 'report', seq: this.seq, report });
  }

  end(work: Work, nowMs: number, failure?: Failure): void {
    this.running.delete(attemptKey(work.ref));
    this.report(endOf(work.ref, this.id, nowMs, failure));
  }

  receive(message: ToWorker, nowMs: number): void {
    switch (message.type) {
      case 'run':
        this.running.set(attemptKey(message.work.ref), message.work);
        return;
      case 'ack':
        this.unacknowledged = this.unacknowledged.filter(({ seq }) => seq > message.seq);
        return;
      case 'drain':
        this.draining = true;
        return;
      case 'cancel': {
        const work = this.running.get(attemptKey(message.ref));
        if (work) work.cancelled = true;
        else this.report(endOf(message.ref, this.id, nowMs, cancelled));
      }
    }
  }
}

export const cancelled: Failure = { kind: 'cancelled', code: 'E_CANCELLED', message: 'cancelled' };

function endOf(
  attempt: AttemptRef,
  id: WorkerId,
  nowMs: number,
  failure: Failure | undefined,
): AttemptEnded {
  const event = { type: 'attempt.ended', attempt, workerId: id, nowMs } as const;
  return failure ? { ...event, failure } : event;
}
