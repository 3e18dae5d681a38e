/**
 * Which files other workers may read from this one: those of finished chunks, below the directories
 * that its attempts were told to write to. Never: follows a link out of them.
 */
import { constants } from 'node:fs';
import { type FileHandle, open, realpath } from 'node:fs/promises';
import { dirname, isAbsolute, join, normalize, relative, resolve } from 'node:path';
import { fail } from '../../shared/failure.js';
import { identityOfPath, isInside } from '../../shared/storage/paths.js';

/** Not the target of a link, and without waiting for somebody to write into a pipe. */
const openFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

export class ServedFiles {
  private readonly directories = new Set<string>();

  /** An attempt of this process was told to write there. */
  toldToWrite(directory: string): void {
    this.directories.add(resolve(directory));
  }

  /** @throws WindrowError E_URI_DENIED; E_CHUNK_LOST when it is not there */
  async open(path: string): Promise<FileHandle> {
    const directory = this.directoryOf(path);
    try {
      const folder = dirname(path);
      const real = join(await realpath(directory), relative(directory, folder));
      if ((await realpath(folder)) !== real) denied(path, 'it leads over a link');
      const file = await open(path, openFlags);
      if ((await file.stat()).isFile()) return file;
      await file.close();
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ELOOP') denied(path, 'it is a link');
      if (code !== 'ENOENT' && code !== 'ENOTDIR') throw error;
      fail('fetchFailed', 'E_CHUNK_LOST', 'a shuffle file is gone', { at: { file: path } });
    }
    return denied(path, 'it is no file');
  }

  private directoryOf(path: string): string {
    if (!isAbsolute(path) || path.includes('\0') || normalize(path) !== path) {
      return denied(path, 'it is not written plainly');
    }
    const directory = [...this.directories].find((each) => isInside(each, path));
    if (directory === undefined) return denied(path, 'no attempt of this worker writes there');
    if (identityOfPath(path) === undefined || !path.endsWith('.chunk')) {
      return denied(path, 'it is not the file of a finished chunk');
    }
    return directory;
  }
}

function denied(path: string, why: string): never {
  return fail('invalidSpec', 'E_URI_DENIED', `path ${JSON.stringify(path)} is refused: ${why}`);
}
