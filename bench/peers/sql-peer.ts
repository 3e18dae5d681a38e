/** A peer that answers SQL in a process of tpch_peer.py, started again after it was lost. Never judges an answer. */
import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { LineProcess, ProcessLost } from './line-process.js';
import type { Outcome } from './tpch-tally.js';

export interface SqlPeerOptions {
  /** As tpch_peer.py knows it. */
  readonly name: string;
  readonly python: string;
  /** A folder of Parquet files a table. */
  readonly tables: string;
  /** Gets its log; what it spills goes when it stops. */
  readonly place: string;
  /** For its start, and for each answer. */
  readonly timeoutMs: number;
  readonly residentBytesMax: number;
}

interface Started {
  readonly peer: string;
  readonly startupSeconds: number;
}
type Answered = { readonly seconds: number } | { readonly error: string };

export class SqlPeer {
  readonly #options: SqlPeerOptions;
  readonly #scratch: string;
  #living: LineProcess | undefined;
  #refusal: string | undefined;
  #title: string;
  #startupMs = 0;
  #peakBytes = 0;

  constructor(options: SqlPeerOptions) {
    this.#options = options;
    this.#title = options.name;
    this.#scratch = path.join(options.place, 'scratch');
    mkdirSync(this.#scratch, { recursive: true });
  }

  /** Name and version, once it has started. */
  get title(): string {
    return this.#title;
  }

  /** Of its last start. */
  get startupMs(): number {
    return this.#startupMs;
  }

  get peakBytes(): number {
    return Math.max(this.#peakBytes, this.#living?.peakBytes ?? 0);
  }

  /** Has the answer written to the file, as Parquet, after its clock has stopped. */
  async answer(sql: string, file: string): Promise<Outcome> {
    if (this.#refusal !== undefined) return { done: false, why: this.#refusal };
    try {
      const living = this.#living ?? (await this.#start());
      const cpuBefore = living.cpuMs;
      const said = JSON.parse(await living.ask(JSON.stringify({ sql, answer: file }))) as Answered;
      if ('error' in said) return { done: false, why: said.error };
      return { done: true, ms: said.seconds * 1000, cpuMs: living.cpuMs - cpuBefore };
    } catch (error) {
      if (!(error instanceof ProcessLost)) throw error;
      await this.#end();
      return { done: false, why: this.#refusal ?? error.message };
    }
  }

  async stop(): Promise<void> {
    await this.#end();
    rmSync(this.#scratch, { recursive: true, force: true });
  }

  async #start(): Promise<LineProcess> {
    const { name, python, tables, place, timeoutMs, residentBytesMax } = this.#options;
    const program = path.join(import.meta.dirname, 'tpch_peer.py');
    const log = path.join(place, 'log.txt');
    const command = [python, program, name, tables] as const;
    const limits = { timeoutMs, residentBytesMax };
    this.#living = new LineProcess({ command, folder: this.#scratch, log, ...limits });
    try {
      const started = JSON.parse(await this.#living.next()) as Started;
      this.#title = started.peer;
      this.#startupMs = started.startupSeconds * 1000;
      return this.#living;
    } catch (error) {
      // What does not start now will not start for the next query either.
      if (error instanceof ProcessLost) this.#refusal = `did not start: ${error.message}`;
      throw error;
    }
  }

  async #end(): Promise<void> {
    this.#peakBytes = this.peakBytes;
    await this.#living?.stop();
    this.#living = undefined;
  }
}
