/**
 * An object store in memory that can crash at any write: what is written before stays, and a move
 * may stop between naming the target and removing the source, as on a disk.
 */
import { createHash } from 'node:crypto';
import type {
  ListedObject,
  ObjectStore,
  TransferResult,
} from '../../shared/storage/object-store.js';

export class Crash extends Error {}

export class MemoryStore implements ObjectStore {
  readonly objects = new Map<string, Buffer>();
  /** Writes left before the crash. */
  writesLeft = Infinity;
  /** Called after each write, with the state a reader would see. */
  onWrite: () => void = () => undefined;

  private write(change: () => void): void {
    if (this.writesLeft <= 0) throw new Crash('crashed');
    this.writesLeft -= 1;
    change();
    this.onWrite();
  }

  async create(path: string, bytes: Uint8Array): Promise<boolean> {
    if (this.objects.has(path)) return false;
    this.write(() => this.objects.set(path, Buffer.from(bytes)));
    return true;
  }

  async replace(path: string, bytes: Uint8Array): Promise<void> {
    this.write(() => this.objects.set(path, Buffer.from(bytes)));
  }

  async get(path: string): Promise<Buffer | undefined> {
    return this.objects.get(path);
  }

  async head(path: string) {
    const bytes = this.objects.get(path);
    return bytes && { bytes: bytes.length, changedMs: 0 };
  }

  async digest(path: string): Promise<string | undefined> {
    const bytes = this.objects.get(path);
    return bytes && createHash('sha256').update(bytes).digest('hex');
  }

  async list(directory: string, most = Infinity): Promise<ListedObject[]> {
    return [...this.objects]
      .filter(([path]) => path.startsWith(`${directory}/`))
      .map(([path, bytes]) => ({ path, bytes: bytes.length, changedMs: 0 }))
      .sort((a, b) => (a.path < b.path ? -1 : 1))
      .slice(0, most);
  }

  async move(from: string, to: string): Promise<TransferResult> {
    const result = await this.copy(from, to);
    if (result === 'done') this.write(() => this.objects.delete(from));
    return result;
  }

  async copy(from: string, to: string): Promise<TransferResult> {
    const bytes = this.objects.get(from);
    if (!bytes) return 'missing';
    if (this.objects.has(to)) return 'exists';
    this.write(() => this.objects.set(to, bytes));
    return 'done';
  }

  async delete(path: string): Promise<boolean> {
    if (!this.objects.has(path)) return false;
    this.write(() => this.objects.delete(path));
    return true;
  }

  async probe(): Promise<void> {}
}
