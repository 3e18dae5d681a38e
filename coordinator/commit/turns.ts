/**
 * One at a time among those that share a key, in the order asked for: for shells whose reads and
 * writes belong together. Never: lets a turn that fails stop those behind it.
 */
import type { ChunkIndex } from '../journal/journal.js';

export class Turns {
  private readonly last = new Map<string, Promise<unknown>>();

  /** All keys are queued for at once, so two turns never wait for each other. */
  run<T>(action: () => Promise<T>, keys: readonly string[] = ['']): Promise<T> {
    const result = Promise.all(keys.map((key) => this.last.get(key))).then(action);
    const over = result
      .catch(() => undefined)
      .then(() => {
        for (const key of keys) if (this.last.get(key) === over) this.last.delete(key);
      });
    for (const key of keys) this.last.set(key, over);
    return result;
  }
}

/** One for each chunk index of this process. */
const commitTurns = new WeakMap<ChunkIndex, Turns>();

/**
 * Whatever moves chunk files, or removes them, or concludes from their absence: each must see what
 * the others have done to files and index alike.
 */
export function inCommitTurn<T>(index: ChunkIndex, action: () => Promise<T>): Promise<T> {
  const turns = commitTurns.get(index) ?? new Turns();
  commitTurns.set(index, turns);
  return turns.run(action);
}
