/**
 * Files of finished chunks that this process may delete: those that it wrote, as far as their names
 * tell, and all in its shuffle directory, which processes before it have left. Never: deletes any
 * other, whoever asks.
 */
import { rm } from 'node:fs/promises';
import { basename } from 'node:path';
import { identityOfPath, isInside } from '../shared/storage/paths.js';

export class OwnFiles {
  private readonly directories = new Set<string>();

  constructor(
    private readonly incarnation: string,
    private readonly shuffleDirectory: string,
  ) {}

  /** An attempt of this process was told to write there. */
  toldToWrite(directory: string): void {
    this.directories.add(directory);
  }

  /** Deletes what is ours; names what is not. */
  async discard(paths: readonly string[]): Promise<string[]> {
    const ours = paths.filter((path) => this.has(path));
    // What cannot be deleted stays an orphan, which the coordinator cleans away one day.
    await Promise.allSettled(ours.map((path) => rm(path, { force: true })));
    return paths.filter((path) => !this.has(path));
  }

  private has(path: string): boolean {
    if (identityOfPath(path) === undefined) return false;
    if (isInside(this.shuffleDirectory, path)) return true;
    const isTold = [...this.directories].some((directory) => isInside(directory, path));
    return isTold && basename(path).includes(`-${this.incarnation}.`);
  }
}
