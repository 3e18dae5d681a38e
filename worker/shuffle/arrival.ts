/**
 * Bytes of a finished chunk's file on their way into a file of this machine: written block by block,
 * their checksum taken as they pass. Never: decides where they come from.
 */
import { createHash, type Hash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { writeAll } from './join-parts.js';

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

export class Arrival {
  /** How many of the bytes lie here. */
  written = 0;
  /** All of them, and they are what they were. */
  complete = false;
  /** Why it does not come, as it goes on after "a shuffle file". */
  wrong: string | undefined;
  private file: FileHandle | undefined;
  private sum: number | Hash;

  /** @param target a file of its own, made anew */
  constructor(
    readonly range: FileRange,
    readonly target: string,
  ) {
    this.sum = this.startOfSum();
  }

  /** The next bytes; after the last of them it is complete or wrong. */
  async take(block: Uint8Array): Promise<void> {
    this.file ??= await open(this.target, 'w');
    if (typeof this.sum === 'number') this.sum = crc32(block, this.sum);
    else this.sum.update(block);
    await writeAll(this.file, block, this.written);
    this.written += block.length;
    if (this.written < this.range.bytes) return;
    await this.close();
    const sum = typeof this.sum === 'number' ? this.sum : this.sum.digest('hex');
    this.complete = sum === this.range.checksum;
    if (!this.complete) this.wrong = 'has another checksum';
  }

  /** From the first byte again, from somewhere else. */
  async restart(): Promise<void> {
    await this.close();
    this.written = 0;
    this.complete = false;
    this.wrong = undefined;
    this.sum = this.startOfSum();
  }

  async close(): Promise<void> {
    const { file } = this;
    this.file = undefined;
    await file?.close();
  }

  private startOfSum(): number | Hash {
    return typeof this.range.checksum === 'number' ? 0 : createHash('sha256');
  }
}
