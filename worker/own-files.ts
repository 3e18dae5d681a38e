/**
 * Files of finished chunks that this process wrote, as far as their names tell. Never: deletes
 * another's file, whoever asks.
 */
import { rm } from 'node:fs/promises';
import { basename } from 'node:path';
import { identityOfPath, isInside } from '../shared/storage/paths.js';

export class OwnFiles {
  private readonly directories = new Set<string>();

  constructor(private readonly incarnation: string) {}

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
    return (
      [...this.directories].some((directory) => isInside(directory, path)) &&
      identityOfPath(path) !== undefined &&
      basename(path).includes(`-${this.incarnation}.`)
    );
  }
}
