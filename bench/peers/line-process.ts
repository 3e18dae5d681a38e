/**
 * A process that answers a line for a line, ended when it takes too long or too much memory. Knows nothing of what is
 * asked, and never starts it again.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { cpuMs, descendants, peakResidentBytes } from '../engine.js';

export interface LineProcessOptions {
  readonly command: readonly [program: string, ...args: string[]];
  /** Where it runs, and where it keeps what it spills. */
  readonly folder: string;
  /** Gets what it writes to standard error. */
  readonly log: string;
  /** For one answer. */
  readonly timeoutMs: number;
  /** Of it and all processes below it together. */
  readonly residentBytesMax: number;
}

/** The process is gone, and its answer with it; the message says why in two or three words. */
export class ProcessLost extends Error {
  override readonly name = 'ProcessLost';
}

const sampleMs = 250;

export class LineProcess {
  readonly #options: LineProcessOptions;
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #ended: Promise<string>;
  #peakBytes = 0;
  /** Why it was ended, once it was. */
  #excess: string | undefined;

  constructor(options: LineProcessOptions) {
    const [program, ...args] = options.command;
    const log = openSync(options.log, 'a');
    this.#options = options;
    this.#child = spawn(program, args, {
      cwd: options.folder,
      env: { ...process.env, TMPDIR: options.folder },
      stdio: ['pipe', 'pipe', log],
    });
    closeSync(log);
    // A write to a process that has just gone is told by its end, too.
    this.#child.stdin?.on('error', () => undefined);
    this.#ended = new Promise((resolve) => {
      this.#child.once('error', (error) => resolve(error.message));
      this.#child.once('exit', (code, signal) => resolve(`ended with ${signal ?? code}`));
    });
    if (!this.#child.stdout) throw new Error('no standard output');
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  /** The largest resident set so far, of it and all below it. */
  get peakBytes(): number {
    return this.#peakBytes;
  }

  /** CPU time so far of all threads, of it and all below it. */
  get cpuMs(): number {
    return this.#tree().reduce((sum, pid) => sum + cpuMs(pid), 0);
  }

  /** The next line it prints; throws `ProcessLost`. */
  async next(): Promise<string> {
    const { timeoutMs, residentBytesMax } = this.#options;
    const end = (why: string): void => {
      this.#excess ??= why;
      this.#kill();
    };
    const timer = setTimeout(() => end(`no answer in ${timeoutMs / 1000} s`), timeoutMs);
    const sampler = setInterval(() => {
      if (this.#residentBytes() > residentBytesMax) end('out of memory');
    }, sampleMs);
    try {
      const { value, done } = await this.#lines.next();
      if (done !== true) return value;
      this.#kill();
      const how = await this.#ended;
      throw new ProcessLost(this.#excess ?? how);
    } finally {
      clearTimeout(timer);
      clearInterval(sampler);
      this.#residentBytes();
    }
  }

  async ask(line: string): Promise<string> {
    this.#child.stdin?.write(`${line}\n`);
    return this.next();
  }

  async stop(): Promise<void> {
    this.#kill();
    await this.#ended;
  }

  #residentBytes(): number {
    const bytes = this.#tree().reduce((sum, pid) => sum + peakResidentBytes(pid), 0);
    this.#peakBytes = Math.max(this.#peakBytes, bytes);
    return bytes;
  }

  #tree(): number[] {
    const { pid, exitCode, signalCode } = this.#child;
    if (pid === undefined || exitCode !== null || signalCode !== null) return [];
    return [pid, ...descendants(pid)];
  }

  #kill(): void {
    for (const pid of this.#tree()) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It ended by itself meanwhile.
      }
    }
  }
}
