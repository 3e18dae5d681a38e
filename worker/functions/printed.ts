/**
 * What functions print, as lines for the job's log that say step and chunk: cut to a length, so many
 * a chunk, the others counted. One a thread. Never: the streams of the process.
 */
import { Console } from 'node:console';
import { Writable } from 'node:stream';

export const printLimits = { linesPerChunk: 100, lineChars: 1_000 } as const;

export type Level = 'info' | 'warn' | 'error';
export type Tell = (line: { type: 'log'; level: Level; text: string }) => void;

export class Printed {
  /** What functions have for `console`: `warn` keeps its level, what else goes to stderr is an error. */
  readonly console: Console;
  private tell: Tell = () => undefined;
  private step = '';
  private chunk: number | undefined;
  private lines = 0;
  private dropped = 0;

  constructor() {
    const to = (level: Level): Writable =>
      new Writable({
        decodeStrings: false,
        write: (text: string, _encoding, done) => {
          this.print(level, text);
          done();
        },
      });
    const warnings = to('warn');
    this.console = new Console({ stdout: to('info'), stderr: to('error') });
    this.console.warn = new Console({ stdout: warnings, stderr: warnings }).warn;
  }

  /** From now on what is printed is of this attempt. */
  begin(tell: Tell): void {
    this.tell = tell;
    this.nextChunk(undefined);
  }

  nextChunk(chunk: number | undefined): void {
    if (this.dropped > 0) this.line('warn', `${this.dropped} more lines of it are left out`);
    this.chunk = chunk;
    this.lines = 0;
    this.dropped = 0;
  }

  /** The step whose function is called next. */
  nextStep(step: string): void {
    this.step = step;
  }

  /** What is printed after the last attempt is of none. */
  end(): void {
    this.nextChunk(undefined);
    this.tell = () => undefined;
  }

  private print(level: Level, text: string): void {
    for (const line of text.replace(/\n$/, '').split('\n')) {
      this.lines += 1;
      if (this.lines > printLimits.linesPerChunk) this.dropped += 1;
      else this.line(level, cut(line));
    }
  }

  private line(level: Level, text: string): void {
    const of = this.chunk === undefined ? '' : `, chunk ${this.chunk}`;
    this.tell({ type: 'log', level, text: `step ${this.step}${of}: ${text}` });
  }
}

function cut(line: string): string {
  const { lineChars } = printLimits;
  return line.length > lineChars ? `${line.slice(0, lineChars)}…` : line;
}
