/**
 * Bytes of a finished chunk's file on their way into a file of this machine: written block by block,
 * their checksum taken as they pass. Never: decides where they come from.
 */
import { createHash, type Hash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { crc32 } from '@node-rs/crc32';

/** Bytes [offset, offset + bytes) of a file. */
export interface FileRange {
  readonly path: string;
  readonly offset: number;
  readonly bytes: number;
  /** Of these bytes: CRC-32 as a number, SHA-256 in hex. */
  readonly checksum: number | string;
  /** Address of the worker to ask where the path is not to be read. */
  readonly servedBy?: string;
}

/** Not made empty: other ranges of the same file may lie in it. */
const openFlags = constants.O_WRONLY | constants.O_CREAT;

const altered = 'has another checksum';

export class Arrival {
  /** How many of the bytes lie here. */
  arrived = 0;
  /** All of them, and they are what they were. */
  complete = false;
  /** Why it does not come, as it goes on after "a shuffle file". */
  wrong: string | undefined;
  private file: FileHandle | undefined;
  private sum: Checksum;

  /** @param target a copy of the file, in which its bytes lie where they lie there */
  constructor(
    readonly range: FileRange,
    readonly target: string,
  ) {
    this.sum = new Checksum(range);
  }

  get missing(): number {
    return this.range.bytes - this.arrived;
  }

  /** All bytes came, and they are others than were written. */
  get altered(): boolean {
    return this.wrong === altered;
  }

  /** The next bytes; after the last of them it is complete or wrong. */
  async take(bytes: Uint8Array): Promise<void> {
    this.file ??= await open(this.target, openFlags);
    this.sum.take(bytes);
    await writeAll(this.file, bytes, this.range.offset + this.arrived);
    this.arrived += bytes.length;
    if (this.missing > 0) return;
    await this.close();
    this.complete = this.sum.value() === this.range.checksum;
    if (!this.complete) this.wrong = altered;
  }

  /** From the first byte again, from somewhere else. */
  async restart(): Promise<void> {
    await this.close();
    this.arrived = 0;
    this.complete = false;
    this.wrong = undefined;
    this.sum = new Checksum(this.range);
  }

  async close(): Promise<void> {
    const { file } = this;
    this.file = undefined;
    await file?.close();
  }
}

/** Of the kind that a range has, over its bytes as they pass. */
export class Checksum {
  private sum: number | Hash;

  constructor({ checksum }: Pick<FileRange, 'checksum'>) {
    this.sum = typeof checksum === 'number' ? 0 : createHash('sha256');
  }

  take(bytes: Uint8Array): void {
    if (typeof this.sum === 'number') this.sum = crc32(bytes, this.sum);
    else this.sum.update(bytes);
  }

  /** To be asked for once. */
  value(): FileRange['checksum'] {
    return typeof this.sum === 'number' ? this.sum : this.sum.digest('hex');
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, at + done);
    done += bytesWritten;
  }
}
