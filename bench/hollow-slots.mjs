/**
 * Stands in for worker/slots.js where scaling is measured: a slot takes BENCH_CHUNK_MS for each chunk and only waits,
 * so that eight workers fit on two cores. Never: starts a thread, reads or writes a row.
 */
import { setTimeout as wait } from 'node:timers/promises';

const chunkMs = Number(process.env.BENCH_CHUNK_MS);
const counts = { rowsIn: 0, rowsOut: 0, filtered: 0, dead: 0, inferred: 0, warnings: {} };

/** What the chunks of this process took in truth, as a timer may be late. */
export const taken = { chunks: 0, ms: 0 };

export class Slots {
  #free;
  #queue = [];
  #running = new Set();

  constructor({ slots }, events) {
    this.#free = slots;
    this.events = events;
  }

  get busy() {
    return this.#running.size;
  }

  attempts() {
    return [...this.#running].map(({ ref }) => ref);
  }

  start(task) {
    this.#running.add(task);
    this.#queue.push(task);
    this.#next();
  }

  #next() {
    if (this.#free === 0) return;
    const task = this.#queue.shift();
    if (task === undefined) return;
    this.#free -= 1;
    void this.#run(task);
  }

  async #run(task) {
    for (const { chunk, identity } of task.chunks) {
      const started = performance.now();
      await wait(chunkMs);
      taken.chunks += 1;
      taken.ms += performance.now() - started;
      this.events.chunk(task.ref, chunk, { identity, files: [], counts });
    }
    this.#running.delete(task);
    this.events.ended(task.ref, undefined);
    this.#free += 1;
    this.#next();
  }

  cancel() {
    return false;
  }

  drain() {}

  close() {
    return Promise.resolve();
  }
}
