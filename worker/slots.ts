/**
 * The worker's slots: a piscina pool in whose threads attempts run, and what it takes to start,
 * watch and stop them. Never touches the network; never ends a thread that may be in native code.
 */
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { fileURLToPath } from 'node:url';
import { Piscina } from 'piscina';
import { type Failure, formatFailure, toFailure } from '../shared/failure.js';
import { attemptKey, type AttemptRef } from '../shared/ids.js';
import type { ModelRuns } from '../shared/model-runs.js';
import type { ChunkRecord } from '../shared/plan.js';
import {
  type AttemptMessage,
  type AttemptResult,
  type AttemptTask,
  controlWord,
} from './attempt/protocol.js';
import { threadFailure } from './thread-failure.js';

export interface SlotEvents {
  chunk(ref: AttemptRef, chunk: number, record: ChunkRecord): void;
  progress(ref: AttemptRef, rows: number, rowsTotal: number, doing: string): void;
  modelRuns(runs: readonly ModelRuns[]): void;
  log(ref: AttemptRef, level: string, text: string): void;
  ended(ref: AttemptRef, failure: Failure | undefined): void;
  /** An attempt was told to stop and did not: the process has to go. */
  stuck(ref: AttemptRef): void;
}

export type SlotTask = Omit<AttemptTask, 'control' | 'port'>;

interface Running {
  readonly ref: AttemptRef;
  readonly word: Int32Array;
  readonly port: MessagePort;
  stuckTimer?: NodeJS.Timeout;
}

export interface SlotOptions {
  readonly slots: number;
  /** How long a cancelled attempt may take to come back. */
  readonly cancelGraceMs: number;
  /** JavaScript heap of one thread, at most. */
  readonly heapBytes: number;
}

export class Slots {
  private readonly pool: Piscina;
  private readonly running = new Map<string, Running>();

  constructor(
    private readonly options: SlotOptions,
    private readonly events: SlotEvents,
  ) {
    this.pool = new Piscina({
      filename: fileURLToPath(new URL('./attempt/thread.js', import.meta.url)),
      name: 'runAttempt',
      minThreads: options.slots,
      maxThreads: options.slots,
      idleTimeout: Infinity,
      concurrentTasksPerWorker: 1,
      resourceLimits: { maxOldGenerationSizeMb: Math.floor(options.heapBytes / 2 ** 20) },
      // An idle thread must stay reachable for messages (the default lets its event loop sleep).
      atomics: 'disabled',
    });
  }

  get busy(): number {
    return this.running.size;
  }

  attempts(): AttemptRef[] {
    return [...this.running.values()].map(({ ref }) => ref);
  }

  start(task: SlotTask): void {
    const { ref } = task;
    const { port1, port2 } = new MessageChannel();
    const shared = new SharedArrayBuffer(4);
    const entry: Running = { ref, word: new Int32Array(shared), port: port1 };
    this.running.set(attemptKey(ref), entry);
    const delivered = this.listen(entry);
    const whole: AttemptTask = { ...task, control: shared, port: port2 };
    const transferList = task.device ? [port2, task.device.port] : [port2];
    this.pool
      .run(whole, { transferList })
      .then(
        async (result: AttemptResult) => {
          // The port is a queue of its own: chunks it still holds come before the end.
          await delivered;
          this.finish(entry, result.failure);
        },
        async (error: unknown) => {
          // A thread that has ended has closed its port, too.
          await delivered;
          this.finish(entry, threadFailure(error, task.program));
        },
      )
      .catch((error: unknown) => {
        // Whoever started this process starts it again; the attempt goes elsewhere meanwhile.
        process.stderr.write(`error ${formatFailure(toFailure(error))}\n`);
        process.exit(1);
      });
  }

  /** False when no such attempt runs here. */
  cancel(ref: AttemptRef): boolean {
    const entry = this.running.get(attemptKey(ref));
    if (!entry) return false;
    if (entry.stuckTimer) return true;
    Atomics.store(entry.word, 0, controlWord.cancel);
    Atomics.notify(entry.word, 0);
    entry.port.postMessage({ type: 'interrupt' });
    entry.stuckTimer = setTimeout(() => this.events.stuck(ref), this.options.cancelGraceMs);
    entry.stuckTimer.unref();
    return true;
  }

  /** Attempts stop after the chunk they are at; what is left of them goes elsewhere. */
  drain(): void {
    for (const { word } of this.running.values()) {
      Atomics.compareExchange(word, 0, controlWord.go, controlWord.drain);
    }
  }

  /** Ends the idle threads. Call only when nothing runs. */
  async close(): Promise<void> {
    // A thread that is ended while it still loads native code takes the process along.
    const loaded = Array.from({ length: this.options.slots }, () =>
      this.pool.run(undefined, { name: 'loaded' }),
    );
    await Promise.allSettled(loaded);
    await this.pool.destroy();
  }

  /** Resolves when the thread has closed its end, that is after its last message. */
  private listen({ port, ref }: Running): Promise<void> {
    port.on('message', (message: AttemptMessage) => {
      switch (message.type) {
        case 'chunk':
          return this.events.chunk(ref, message.chunk, message.record);
        case 'progress':
          return this.events.progress(ref, message.rows, message.rowsTotal, message.doing);
        case 'modelRuns':
          return this.events.modelRuns(message.runs);
        case 'log':
          return this.events.log(ref, message.level, message.text);
      }
    });
    return new Promise((resolve) => port.once('close', () => resolve()));
  }

  private finish(entry: Running, failure: Failure | undefined): void {
    clearTimeout(entry.stuckTimer);
    entry.port.close();
    this.running.delete(attemptKey(entry.ref));
    this.events.ended(entry.ref, failure);
  }
}
