/**
 * Where a worker leaves the files that later stages of a query read. It outlives the process, so that
 * the next one has them, and loses what nobody came for. Never: removes what is not a chunk's file.
 */
import { lstat, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fail } from '../../shared/failure.js';
import { makeDirectory } from '../../shared/storage/directories.js';
import { identityOfPath } from '../../shared/storage/paths.js';

/**
 * As long as chunks are kept where a job does not say so. One that is needed after that, too, is made
 * again.
 */
export const shuffleKeepMs = 7 * 24 * 3_600_000;

/** Beside the spill directory, the same for each start of the same command. */
export function defaultShuffleDirectory(spillDirectory: string | undefined): string {
  if (spillDirectory !== undefined) return `${resolve(spillDirectory)}-shuffle`;
  return join(tmpdir(), `windrow-shuffle-${process.getuid?.() ?? 'files'}`);
}

/**
 * Makes the directory. Its name can be known to others of the machine, so it has to be ours.
 * @throws WindrowError E_SHUFFLE_DIRECTORY
 */
export async function makeShuffleDirectory(directory: string): Promise<void> {
  const refuse = (why: string, cause?: unknown): never =>
    fail(
      'invalidSpec',
      'E_SHUFFLE_DIRECTORY',
      `cannot leave shuffle files in ${directory}: ${why}`,
      {
        hint: 'name a directory of your own with --shuffle-dir',
        cause,
      },
    );
  const found = await makeDirectory(directory, 0o700)
    .then(() => lstat(directory))
    .catch((error: Error) => refuse(error.message, error));
  if (!found.isDirectory()) refuse('it is a link');
  if (process.getuid && found.uid !== process.getuid()) refuse('it belongs to another user');
}

/**
 * Removes what has lain there for longer than `shuffleKeepMs`: what a killed process was writing, and
 * what jobs left that nobody went on with.
 */
export async function removeOldShuffleFiles(directory: string, nowMs: number): Promise<void> {
  for (const folder of await readdir(directory, { withFileTypes: true })) {
    if (!folder.isDirectory()) continue;
    for (const name of await readdir(join(directory, folder.name))) {
      if (identityOfPath(name) === undefined) continue;
      const path = join(directory, folder.name, name);
      const found = await lstat(path).catch(() => undefined);
      if (found && nowMs - found.mtimeMs > shuffleKeepMs) {
        await rm(path, { recursive: true, force: true });
      }
    }
  }
}
