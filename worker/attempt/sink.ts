/**
 * The files of one chunk: written under temporary names, made durable, then given names that only
 * this attempt uses. Leaves nothing behind that was not reported. Never publishes, never overwrites.
 */
import { createHash } from 'node:crypto';
import { mkdir, open, readdir, rename, rm, type FileHandle } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { parquetMetadata } from 'hyparquet';
import { failpoint } from '../../shared/failpoint.js';
import { fail } from '../../shared/failure.js';
import { checksumOfBlocks } from '../../shared/divided-file.js';
import type { ChunkFile, ChunkPart } from '../../shared/plan.js';
import { makeDirectorySync } from '../../shared/storage/directories.js';
import { blocksOfFile } from '../shuffle/divided-file.js';
import {
  chunkFilePath,
  deadLetterFilePath,
  nullPartition,
  temporaryPath,
} from '../../shared/storage/paths.js';

type Partition = ChunkFile['partition'];

const readBytes = 1024 * 1024;

export interface ChunkSinkOptions {
  readonly directory: string;
  readonly identity: string;
  readonly attemptTag: string;
  /** Rows come in several files: by their values, or by the size that is wanted. */
  readonly several: boolean;
  /** The files may be gone after a power cut: their checksums tell, and they are made again. */
  readonly expendable: boolean;
}

export class ChunkSink {
  /** What DuckDB writes to: a file, or a directory where there may be several. */
  readonly target: string;
  readonly deadLetterTarget: string;
  /** For what is gone again before the chunk is finished. */
  readonly scratch: string;
  private readonly taken: string[] = [];

  constructor(private readonly options: ChunkSinkOptions) {
    const { directory, identity, attemptTag } = options;
    this.target = temporaryPath(chunkFilePath(directory, identity, attemptTag), 'w');
    this.deadLetterTarget = temporaryPath(deadLetterFilePath(directory, identity, attemptTag), 'w');
    this.scratch = temporaryPath(chunkFilePath(directory, identity, attemptTag), 'scratch');
    makeDirectorySync(dirname(this.target));
  }

  /**
   * Makes what was written durable, under its staged names; in the order of their partitions.
   * @param parts rows of each partition, where the file is divided for an exchange
   */
  async finish(parts?: readonly ChunkPart[]): Promise<ChunkFile[]> {
    const { directory, identity, attemptTag, several } = this.options;
    if (parts) return [await this.finishDivided(parts)];
    if (!several) {
      const path = chunkFilePath(directory, identity, attemptTag);
      return [await this.stage(this.target, path, [])];
    }
    const files: ChunkFile[] = [];
    for (const written of await writtenFiles(this.target)) {
      const path = chunkFilePath(directory, identity, attemptTag, files.length);
      const file = await this.stage(written, path, partitionValues(this.target, written));
      // Where the last row fills a file DuckDB has begun another one.
      if (file.rows > 0 || files.length === 0) files.push(file);
      else await rm(path);
    }
    await rm(this.target, { recursive: true, force: true });
    return files;
  }

  private async finishDivided(parts: readonly ChunkPart[]): Promise<ChunkFile> {
    const { directory, identity, attemptTag } = this.options;
    if (!this.options.expendable) await synced(this.target);
    const blocks = await blocksOfFile(this.target);
    const path = chunkFilePath(directory, identity, attemptTag);
    await this.rename(this.target, path);
    return {
      path,
      bytes: blocks.reduce((sum, block) => sum + block.bytes, 0),
      rows: blocks.reduce((sum, block) => sum + block.rows, 0),
      sha256: checksumOfBlocks(blocks),
      partition: [],
      divided: { parts, blocks },
    };
  }

  finishDeadLetters(): Promise<ChunkFile> {
    const { directory, identity, attemptTag } = this.options;
    const path = deadLetterFilePath(directory, identity, attemptTag);
    return this.stage(this.deadLetterTarget, path, []);
  }

  /** Removes everything of this chunk: after a failure, while nothing was reported. */
  async discard(): Promise<void> {
    for (const path of [this.target, this.scratch, this.deadLetterTarget, ...this.taken]) {
      await rm(path, { recursive: true, force: true });
    }
  }

  private async stage(written: string, path: string, partition: Partition): Promise<ChunkFile> {
    const file = await open(written, 'r+');
    let content: { bytes: number; rows: number; sha256: string };
    try {
      if (!this.options.expendable) await file.sync();
      content = await readBack(file, path);
    } finally {
      await file.close();
    }
    await this.rename(written, path);
    return { path, ...content, partition };
  }

  private async rename(written: string, path: string): Promise<void> {
    this.taken.push(path);
    failpoint('sink.rename.before');
    await rename(written, path);
    failpoint('sink.rename.after');
    if (!this.options.expendable) await synced(dirname(path));
  }
}

/** Row count from the footer that really was written, checksum of the bytes that really are there. */
async function readBack(file: FileHandle, path: string) {
  const { size } = await file.stat();
  const hash = createHash('sha256');
  const block = Buffer.allocUnsafe(Math.min(size, readBytes));
  for (let at = 0; at < size;) {
    const { bytesRead } = await file.read(block, 0, block.length, at);
    if (bytesRead === 0) fail('io', 'E_IO_SHORT_READ', `file ended at ${at} of ${size} bytes`);
    hash.update(block.subarray(0, bytesRead));
    at += bytesRead;
  }
  return { bytes: size, rows: await parquetRows(file, size, path), sha256: hash.digest('hex') };
}

/** Rows of a Parquet file, from the footer that really is there. */
async function parquetRows(file: FileHandle, size: number, path: string): Promise<number> {
  const end = Buffer.alloc(8);
  await file.read(end, 0, 8, Math.max(0, size - 8));
  const footerBytes = end.readUInt32LE(0);
  if (end.toString('latin1', 4) !== 'PAR1' || footerBytes + 12 > size) {
    fail('broken', 'E_SINK_CORRUPT', `${path} has no Parquet footer after it was written`);
  }
  const tail = new Uint8Array(footerBytes + 8);
  await file.read(tail, 0, tail.length, size - tail.length);
  return Number(parquetMetadata(tail.buffer).num_rows);
}

/** Brings a file's bytes, or a directory's names, to the disk. */
async function synced(path: string): Promise<void> {
  const opened = await open(path, 'r');
  try {
    await opened.sync();
  } finally {
    await opened.close();
  }
}

async function writtenFiles(directory: string): Promise<string[]> {
  // DuckDB makes no directory where there are no rows.
  await mkdir(directory, { recursive: true });
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort((a, b) =>
      dirname(a) < dirname(b) ? -1 : dirname(a) > dirname(b) ? 1 : numberOf(a) - numberOf(b),
    );
}

/** DuckDB numbers the files of a directory from 0, in the order of their rows. */
function numberOf(path: string): number {
  return Number(/_(\d+)\.\w+$/.exec(path)?.[1] ?? 0);
}

function partitionValues(directory: string, path: string): Partition {
  const inside = relative(directory, dirname(path));
  if (inside === '') return [];
  const folders = inside.split(sep);
  return folders.map((folder) => {
    const at = folder.indexOf('=');
    const value = decodeURIComponent(folder.slice(at + 1));
    return {
      column: decodeURIComponent(folder.slice(0, at)),
      value: value === nullPartition ? null : value,
    };
  });
}
