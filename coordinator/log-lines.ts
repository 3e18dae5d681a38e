/**
 * What workers have said about jobs: the newest lines of each, in a file a job of the state directory,
 * where they are when this process has gone. Never: keeps the coordinator from its work; a line that
 * cannot be written is lost.
 */
import {
  appendFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { LogEntry } from './rpc/worker-service.js';

/** A file is cut back to so much when it is twice as long. */
const bytesKept = 256 * 1024;
/** Of jobs; the lines of those submitted longest ago go first. */
const filesKept = 1_000;
/** Who follows reads more slowly than workers write. */
const linesWaiting = 10_000;
/** An attempt as lines name it (`attemptKey`). */
const attemptShape = /\b(j[0-9a-z]+)\/s\d+(?:_\d+)?\/\d+\/\d+\b/;
const suffix = '.ndjson';

export interface NumberedEntry extends LogEntry {
  /** Larger than that of every line before, those of earlier coordinators among them. */
  readonly seq: number;
}

/** Hears a line, or (undefined) that the job has ended. */
type Listener = (entry: NumberedEntry | undefined) => void;

export class LogLines {
  private readonly directory: string;
  private readonly unwritten = new Map<string, string>();
  private readonly listeners = new Map<string, Set<Listener>>();
  private lastSeq = 0;

  constructor(
    stateDirectory: string,
    private readonly nowMs = Date.now,
  ) {
    this.directory = join(stateDirectory, 'logs', 'jobs');
  }

  /** A line that speaks of no attempt is of no job. */
  add(line: LogEntry): void {
    const job = attemptShape.exec(line.text)?.[1];
    if (job === undefined) return;
    const entry = { ...line, seq: this.nextSeq() };
    // Lines come many at a time: one write for all of a turn.
    if (this.unwritten.size === 0) setImmediate(() => this.flush());
    // The end of a line comes before the next one: a kill may leave half of one.
    this.unwritten.set(job, `${this.unwritten.get(job) ?? ''}\n${JSON.stringify(entry)}`);
    for (const listener of this.listeners.get(job) ?? []) listener(entry);
  }

  /** Those who follow the job have heard all. */
  ended(job: string): void {
    for (const listener of this.listeners.get(job) ?? []) listener(undefined);
  }

  of(job: string): readonly NumberedEntry[] {
    this.flush();
    return this.read(job).split('\n').flatMap(parsed);
  }

  /**
   * @param lives whether the job has not ended yet
   * @param afterSeq the last line that was heard; 0 for none
   */
  async *follow(
    job: string,
    lives: () => boolean,
    afterSeq: number,
    aborted: AbortSignal,
  ): AsyncGenerator<NumberedEntry> {
    const waiting = this.of(job).filter(({ seq }) => seq > afterSeq);
    let ended = !lives();
    let wake = (): void => undefined;
    const listener: Listener = (entry) => {
      if (entry) waiting.push(entry);
      else ended = true;
      if (waiting.length > linesWaiting) waiting.shift();
      wake();
    };
    const onAbort = (): void => wake();
    const listeners = this.listeners.get(job) ?? new Set();
    this.listeners.set(job, listeners.add(listener));
    aborted.addEventListener('abort', onAbort);
    try {
      while (!aborted.aborted) {
        const entry = waiting.shift();
        if (entry) yield entry;
        else if (ended) return;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
    } finally {
      aborted.removeEventListener('abort', onAbort);
      listeners.delete(listener);
      if (listeners.size === 0) this.listeners.delete(job);
    }
  }

  /**
   * By the clock, as a coordinator that was killed took numbers along that nobody has written; the
   * lines of one millisecond count up.
   */
  private nextSeq(): number {
    this.lastSeq = Math.max(this.lastSeq + 1, this.nowMs() * 1_000);
    return this.lastSeq;
  }

  /** Writes what waits for the end of the turn. */
  flush(): void {
    for (const [job, text] of this.unwritten) {
      try {
        this.append(job, text);
      } catch {
        // A full disk fails jobs elsewhere, and says so there.
      }
    }
    this.unwritten.clear();
  }

  private append(job: string, text: string): void {
    const path = this.path(job);
    mkdirSync(this.directory, { recursive: true });
    appendFileSync(path, text);
    const { size } = statSync(path);
    if (size > 2 * bytesKept) this.cut(path);
    if (size === Buffer.byteLength(text)) this.removeOldest();
  }

  private cut(path: string): void {
    const bytes = readFileSync(path);
    const from = bytes.indexOf('\n', bytes.length - bytesKept) + 1;
    writeFileSync(`${path}.new`, bytes.subarray(from));
    renameSync(`${path}.new`, path);
  }

  /** Ids of jobs sort by their time. */
  private removeOldest(): void {
    const names = readdirSync(this.directory).sort();
    for (const name of names.slice(0, -filesKept)) rmSync(join(this.directory, name));
  }

  private read(job: string): string {
    try {
      return readFileSync(this.path(job), 'utf8');
    } catch {
      return '';
    }
  }

  private path(job: string): string {
    return join(this.directory, `${job}${suffix}`);
  }
}

/** A process that is killed may leave half a line. */
function parsed(line: string): NumberedEntry[] {
  try {
    return [JSON.parse(line) as NumberedEntry];
  } catch {
    return [];
  }
}
