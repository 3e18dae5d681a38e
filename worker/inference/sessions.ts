/**
 * The sessions of this thread: one for each model and device, kept for the next attempt, because
 * making and releasing sessions over and over leaks. Never: shares a session between threads.
 */
import type { RunnableModel } from './host-tensor.js';
import type { ModelSource } from './session-options.js';

/** Idle sessions kept; the one unused for longest goes first. */
const idleMax = 4;

interface Entry {
  readonly model: Promise<RunnableModel>;
  users: number;
}

export class SessionCache {
  // A Map keeps insertion order: released entries are put back at the end.
  private readonly entries = new Map<string, Entry>();

  constructor(
    private readonly load: (source: ModelSource) => Promise<RunnableModel>,
    private readonly keep = idleMax,
  ) {}

  get size(): number {
    return this.entries.size;
  }

  /** Resolves to the shared model; call the returned `release` once. */
  async acquire(source: ModelSource): Promise<RunnableModel> {
    const key = keyOf(source);
    let entry = this.entries.get(key);
    if (!entry) {
      entry = { model: this.load(source), users: 0 };
      this.entries.set(key, entry);
    }
    const held = entry;
    held.users++;
    let model: RunnableModel;
    try {
      model = await held.model;
    } catch (error) {
      if (this.entries.get(key) === held) this.entries.delete(key);
      throw error;
    }
    let released = false;
    return {
      run: (feeds, request) => model.run(feeds, request),
      release: () => {
        if (released) return;
        released = true;
        held.users--;
        // Put back at the end: the front is what was unused for longest.
        this.entries.delete(key);
        this.entries.set(key, held);
        this.trim();
      },
    };
  }

  private trim(): void {
    const idle = [...this.entries].filter(([, entry]) => entry.users === 0);
    for (const [key, entry] of idle.slice(0, Math.max(0, idle.length - this.keep))) {
      this.entries.delete(key);
      void entry.model.then((model) => model.release());
    }
  }
}

function keyOf(source: ModelSource): string {
  const external = Object.entries(source.externalPaths).sort();
  return JSON.stringify([source.modelPath, external, source.device, source.intraOpThreads]);
}
