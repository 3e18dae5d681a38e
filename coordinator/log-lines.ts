/** What workers have logged, the newest lines of all of them. Never: kept beyond this process. */
import type { LogEntry } from './rpc/worker-service.js';

const linesKept = 10_000;

export class LogLines {
  private readonly lines: LogEntry[] = [];

  add(entry: LogEntry): void {
    this.lines.push(entry);
    if (this.lines.length > linesKept) this.lines.splice(0, this.lines.length - linesKept);
  }

  /** Those that speak of an attempt of the job. */
  of(job: string): readonly LogEntry[] {
    return this.lines.filter(({ text }) => text.includes(`${job}/`));
  }
}
