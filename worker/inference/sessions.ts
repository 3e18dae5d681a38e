/**
 * The sessions of this thread: one for each model and device, kept for the next attempt, because
 * making and releasing sessions over and over leaks. Never: shares a session between threads.
 */
import type { RunnableModel } from './host-tensor.js';
import type { ModelSource } from './session-options.js';

/** Idle sessions kept; the one unused for longest goes first. */
const idleMax = 4;

interface Entry {
  readonly model: RunnableModel;
  users: number;
}

export class SessionCache {
  // A Map keeps insertion order: what was used last stands at the end.
  private readonly entries = new Map<string, Entry>();

  constructor(
    private readonly load: (source: ModelSource) => RunnableModel,
    private readonly keep = idleMax,
  ) {}

  get size(): number {
    return this.entries.size;
  }

  /** The shared model, loaded if need be; call its `release` once. */
  acquire(source: ModelSource): RunnableModel {
    const key = keyOf(source);
    const entry = this.entries.get(key) ?? { model: this.load(source), users: 0 };
    entry.users++;
    this.touch(key, entry);
    let released = false;
    return {
      run: (feeds, request) => entry.model.run(feeds, request),
      release: () => {
        if (released) return;
        released = true;
        entry.users--;
        this.touch(key, entry);
        this.trim();
      },
    };
  }

  private touch(key: string, entry: Entry): void {
    this.entries.delete(key);
    this.entries.set(key, entry);
  }

  private trim(): void {
    const idle = [...this.entries].filter(([, entry]) => entry.users === 0);
    for (const [key, entry] of idle.slice(0, Math.max(0, idle.length - this.keep))) {
      this.entries.delete(key);
      entry.model.release();
    }
  }
}

function keyOf(source: ModelSource): string {
  const external = Object.entries(source.externalPaths).sort();
  return JSON.stringify([source.modelPath, external, source.device, source.intraOpThreads]);
}
