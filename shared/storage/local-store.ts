/**
 * The object store on a local or shared file system: temp name, fsync, link or rename, fsync of the
 * directory. Never: a name visible before its bytes are durable, a symlink followed in a listing.
 */
import { createHash, randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import type { Dirent, Stats } from 'node:fs';
import {
  copyFile,
  link,
  lstat,
  open,
  readFile,
  readdir,
  rename,
  rm,
  unlink,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { makeDirectory } from './directories.js';
import type { ListedObject, ObjectHead, ObjectStore, TransferResult } from './object-store.js';
import { temporaryPath } from './paths.js';

const readBytes = 1024 * 1024;

export class LocalStore implements ObjectStore {
  private readonly directories = new DirectorySync();

  async create(path: string, bytes: Uint8Array): Promise<boolean> {
    if (bytes.length === 0) return this.createEmpty(path);
    const temporary = await this.writeTemporary(path, bytes);
    try {
      return (await this.linkTo(temporary, path)) === 'done';
    } finally {
      await rm(temporary, { force: true });
    }
  }

  async replace(path: string, bytes: Uint8Array): Promise<void> {
    const temporary = await this.writeTemporary(path, bytes);
    try {
      await rename(temporary, path);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
    await this.directories.sync(dirname(path));
  }

  async get(path: string): Promise<Buffer | undefined> {
    return absentAsUndefined(readFile(path));
  }

  async head(path: string): Promise<ObjectHead | undefined> {
    const stats = await absentAsUndefined(lstat(path));
    return stats?.isFile() ? headOf(stats) : undefined;
  }

  async digest(path: string): Promise<string | undefined> {
    const file = await absentAsUndefined(open(path, 'r'));
    if (!file) return undefined;
    try {
      const hash = createHash('sha256');
      const buffer = Buffer.allocUnsafe(readBytes);
      for (;;) {
        const { bytesRead } = await file.read(buffer, 0, readBytes);
        if (bytesRead === 0) return hash.digest('hex');
        hash.update(buffer.subarray(0, bytesRead));
      }
    } finally {
      await file.close();
    }
  }

  async list(directory: string, most = Infinity): Promise<ListedObject[]> {
    const found: ListedObject[] = [];
    await collect(directory, most, found);
    return found;
  }

  async move(from: string, to: string): Promise<TransferResult> {
    await makeDirectory(dirname(to));
    const result = await this.linkTo(from, to).catch((error: unknown) => {
      // No hard links between disks: the copy is as durable, only slower.
      if (codeOf(error) === 'EXDEV') return this.copy(from, to);
      throw error;
    });
    if (result === 'done') await absentAsUndefined(unlink(from));
    return result;
  }

  async copy(from: string, to: string): Promise<TransferResult> {
    await makeDirectory(dirname(to));
    if (await this.head(to)) return 'exists';
    const temporary = temporaryPath(to, randomUUID());
    try {
      try {
        await copyFile(from, temporary, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
      } catch (error) {
        if (codeOf(error) === 'ENOENT') return 'missing';
        throw error;
      }
      await syncFile(temporary);
      return await this.linkTo(temporary, to);
    } finally {
      await rm(temporary, { force: true });
    }
  }

  async delete(path: string): Promise<boolean> {
    const gone = await absentAsUndefined(unlink(path).then(() => true));
    if (gone) await this.directories.sync(dirname(path));
    return gone ?? false;
  }

  async probe(directory: string): Promise<void> {
    const path = await this.writeTemporary(join(directory, '.probe'), Buffer.alloc(0));
    await unlink(path);
  }

  /** Whole as soon as it has its name: no other name is left where somebody is killed on the way. */
  private async createEmpty(path: string): Promise<boolean> {
    await makeDirectory(dirname(path));
    try {
      const file = await open(path, 'wx');
      await file.close();
    } catch (error) {
      if (codeOf(error) === 'EEXIST') return false;
      throw error;
    }
    await this.directories.sync(dirname(path));
    return true;
  }

  private async writeTemporary(path: string, bytes: Uint8Array): Promise<string> {
    await makeDirectory(dirname(path));
    const temporary = temporaryPath(path, randomUUID());
    const file = await open(temporary, 'wx');
    try {
      await file.writeFile(bytes);
      await file.sync();
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    } finally {
      await file.close();
    }
    return temporary;
  }

  /** link(2) is the one call that names a file without replacing what has that name. */
  private async linkTo(from: string, to: string): Promise<TransferResult> {
    try {
      await link(from, to);
    } catch (error) {
      if (codeOf(error) === 'EEXIST') return 'exists';
      if (codeOf(error) === 'ENOENT') return 'missing';
      throw error;
    }
    await this.directories.sync(dirname(to));
    return 'done';
  }
}

/** Callers that wait for the same directory share one fsync, if it has not begun yet. */
class DirectorySync {
  private readonly running = new Map<string, Promise<void>>();
  private readonly waiting = new Map<string, Promise<void>>();

  sync(directory: string): Promise<void> {
    const joined = this.waiting.get(directory);
    if (joined) return joined;
    const before = this.running.get(directory);
    if (!before) return this.start(directory);
    const next = before
      .catch(() => undefined)
      .then(() => {
        this.waiting.delete(directory);
        return this.start(directory);
      });
    this.waiting.set(directory, next);
    return next;
  }

  private start(directory: string): Promise<void> {
    const run = syncFile(directory).finally(() => this.running.delete(directory));
    this.running.set(directory, run);
    return run;
  }
}

async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/** In order of path, which a directory at a time brings about without one sort of everything. */
async function collect(directory: string, most: number, found: ListedObject[]): Promise<void> {
  const entries: Dirent[] =
    (await absentAsUndefined(readdir(directory, { withFileTypes: true }))) ?? [];
  // What lies below a directory has a slash after its name.
  const names = entries
    .filter((entry) => entry.isDirectory() || entry.isFile())
    .map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name))
    .sort();
  for (const name of names) {
    if (found.length >= most) return;
    const path = join(directory, name);
    if (name.endsWith('/')) {
      await collect(path, most, found);
    } else {
      const stats = await absentAsUndefined(lstat(path));
      if (stats) found.push({ path, ...headOf(stats) });
    }
  }
}

function headOf(stats: Stats): ObjectHead {
  return { bytes: stats.size, changedMs: Math.max(stats.mtimeMs, stats.ctimeMs) };
}

async function absentAsUndefined<T>(result: Promise<T>): Promise<T | undefined> {
  try {
    return await result;
  } catch (error) {
    // Nothing lies below a file either.
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown } | null)?.code;
}
