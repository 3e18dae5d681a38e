/**
 * The part of the chunk index that a commit works with: where each file lies now, and which
 * records changed and have to be written back. Never: touches the files themselves.
 */
import type { ChunkFile, ChunkRecord } from '../../shared/plan.js';
import type { ChunkIndex } from '../journal/journal.js';

/** Identities in one look-up or update. */
const batchIdentities = 10_000;

export class ChunkFiles {
  private readonly records = new Map<string, ChunkRecord>();
  private readonly known = new Set<string>();
  private readonly changed = new Set<string>();

  constructor(
    private readonly index: ChunkIndex,
    private readonly epoch: number,
  ) {}

  get(identity: string): ChunkRecord | undefined {
    return this.records.get(identity);
  }

  /** Looks up what has not been asked for yet. Nobody else moves chunks while a commit runs. */
  async load(identities: readonly string[]): Promise<void> {
    const unknown = [...new Set(identities)].filter((identity) => !this.known.has(identity));
    for (let at = 0; at < unknown.length; at += batchIdentities) {
      const batch = unknown.slice(at, at + batchIdentities);
      const found = await this.index.lookup(batch);
      for (const identity of batch) this.known.add(identity);
      for (const [identity, record] of found) this.records.set(identity, record);
    }
  }

  /** A file of this chunk went from one place to another; others of it stay where they are. */
  follow(identity: string, from: string, to: string): void {
    const record = this.records.get(identity);
    if (!record || from === to) return;
    const moved = (file: ChunkFile): ChunkFile =>
      file.path === from ? { ...file, path: to } : file;
    const named = record.files.some(({ path }) => path === from);
    if (!named && record.deadLetters?.path !== from) return;
    this.records.set(identity, {
      ...record,
      files: record.files.map(moved),
      ...(record.deadLetters ? { deadLetters: moved(record.deadLetters) } : {}),
    });
    this.changed.add(identity);
  }

  /** Writes back what changed since the last time; returns it. */
  async save(): Promise<{ identity: string; record: ChunkRecord }[]> {
    const moves = [...this.changed].flatMap((identity) => {
      const record = this.records.get(identity);
      return record ? [{ identity, record }] : [];
    });
    if (moves.length > 0) await this.index.relocate(this.epoch, moves);
    this.changed.clear();
    return moves;
  }
}
