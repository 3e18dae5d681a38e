/**
 * Reports to the coordinator: numbered, in order, and kept until acknowledged, so that a lost
 * stream or a restarted coordinator loses none. Never drops a report by itself.
 */
import type { AttemptEnded, ChunkDone, Report } from '../shared/gen/windrow.js';

export class ReportQueue {
  private readonly unacknowledged: Report[] = [];
  private nextSeq = 1;

  chunkDone(value: ChunkDone): Report {
    return this.push({ $case: 'chunkDone', value });
  }

  attemptEnded(value: AttemptEnded): Report {
    return this.push({ $case: 'attemptEnded', value });
  }

  /** Forgets all reports up to and including `seq`. */
  acknowledge(seq: number): void {
    let count = 0;
    while (count < this.unacknowledged.length && this.unacknowledged[count]!.seq <= seq) count += 1;
    this.unacknowledged.splice(0, count);
  }

  /** Everything to send again after a reconnect, oldest first. */
  pending(): readonly Report[] {
    return this.unacknowledged;
  }

  get empty(): boolean {
    return this.unacknowledged.length === 0;
  }

  private push(report: NonNullable<Report['report']>): Report {
    const numbered: Report = { seq: this.nextSeq, report };
    this.nextSeq += 1;
    this.unacknowledged.push(numbered);
    return numbered;
  }
}
