/**
 * Other machines: workers' shuffle services over real sockets, whose files have names that mean nothing
 * here; and the wire to them, which can be cut, stopped and spoilt at a given byte.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';
import { sha256Hex } from '../../../shared/chunk-identity.js';
import { chunkFilePath } from '../../../shared/storage/paths.js';
import type { FileRange } from '../../../worker/shuffle/arrival.js';
import type { WantedFile } from '../../../worker/shuffle/fetch.js';
import { BlockPool } from '../../../worker/shuffle/block-pool.js';
import { shuffleLimits } from '../../../worker/shuffle/limits.js';
import { PartsService } from '../../../worker/shuffle/parts-service.js';
import type { PeerAccess } from '../../../worker/shuffle/peers.js';
import { ServedFiles } from '../../../worker/shuffle/served-files.js';
import { ShuffleDoor } from '../../../worker/shuffle/shuffle-door.js';

export interface MachineOptions extends PeerAccess {
  readonly listen?: string;
  readonly blocks?: BlockPool;
  /** What its root is called; default a name that means nothing here. */
  readonly root?: string;
}

export class OtherMachine {
  private constructor(
    /** Its root as it lies here. */
    private readonly directory: string,
    private readonly root: string,
    private readonly door: ShuffleDoor,
  ) {}

  static async start(directory: string, options: MachineOptions = {}): Promise<OtherMachine> {
    const { listen = '127.0.0.1:0', root = '/another machine' } = options;
    const { blocks = new BlockPool(8, shuffleLimits.blockBytes) } = options;
    const served = new ServedFiles();
    served.toldToWrite(directory);
    const open = (path: string) => served.open(join(directory, path.slice(root.length)));
    const service = new PartsService({ files: { open }, blocks, token: options.token });
    return new OtherMachine(directory, root, await ShuffleDoor.open(listen, service, options));
  }

  get address(): string {
    return this.door.address;
  }

  /** What a file that lies here is called there. */
  nameOf(path: string): string {
    return this.root + path.slice(this.directory.length);
  }

  close(): void {
    this.door.close();
  }
}

/** A chunk's file of bytes that differ everywhere. */
export function writeChunk(directory: string, bytes: number, tag = 'a'): string {
  const path = chunkFilePath(directory, sha256Hex(tag), tag);
  mkdirSync(dirname(path), { recursive: true });
  const words = new Uint32Array(Math.ceil(bytes / 4));
  for (let at = 0; at < words.length; at += 1) words[at] = Math.imul(at, 2654435761);
  writeFileSync(path, Buffer.from(words.buffer).subarray(0, bytes));
  return path;
}

/** Ranges of that many bytes that make up the file. */
export function rangesOf(
  path: string,
  content: Uint8Array,
  rangeBytes: number,
  servedBy: string,
): FileRange[] {
  const ranges: FileRange[] = [];
  for (let offset = 0; offset < content.length; offset += rangeBytes) {
    const slice = content.subarray(offset, offset + rangeBytes);
    ranges.push({ path, offset, bytes: slice.length, checksum: crc32(slice), servedBy });
  }
  return ranges;
}

/** The files that these are ranges of, each with all of its ranges. */
export function wantedOf(ranges: readonly FileRange[]): WantedFile[] {
  const files = new Map<string, FileRange[]>();
  for (const range of ranges) files.set(range.path, [...(files.get(range.path) ?? []), range]);
  return [...files].map(([path, parts]) => {
    const { servedBy } = parts[0]!;
    const bytes = Math.max(...parts.map((part) => part.offset + part.bytes));
    return { path, bytes, ranges: parts, ...(servedBy === undefined ? {} : { servedBy }) };
  });
}

/** Done to what comes from the other side; what it returns is passed on. */
export type Spoil = (data: Buffer, connection: Connection) => Buffer | undefined;

export interface Connection {
  /** From 1. */
  readonly number: number;
  /** Of this connection, what is passed now not counted. */
  readonly bytesBefore: number;
  /** Ends it, as a network does. */
  cut(): void;
}

export class Wire {
  connections = 0;
  bytes = 0;
  private readonly ends: Promise<unknown>[] = [];

  private constructor(private readonly server: net.Server) {}

  static async to(address: string, spoil: Spoil): Promise<Wire> {
    const [host, port] = [address.slice(0, address.lastIndexOf(':')), address.split(':').at(-1)];
    const server = net.createServer();
    const wire = new Wire(server);
    server.on('connection', (near) => {
      const number = (wire.connections += 1);
      let bytesBefore = 0;
      const far = net.connect(Number(port), host);
      const cut = (): void => {
        near.destroy();
        far.destroy();
      };
      for (const socket of [near, far]) socket.on('error', cut).on('close', cut);
      wire.ends.push(new Promise((closed) => near.once('close', closed)));
      near.pipe(far);
      far.on('data', (data: Buffer) => {
        const passed = spoil(data, { number, bytesBefore, cut });
        bytesBefore += data.length;
        wire.bytes += data.length;
        if (passed && near.writable) near.write(passed);
      });
    });
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    return wire;
  }

  get address(): string {
    return `127.0.0.1:${(this.server.address() as net.AddressInfo).port}`;
  }

  /** Resolves when no connection is left of those there were. */
  async idle(): Promise<void> {
    await Promise.all(this.ends);
  }

  close(): void {
    this.server.close();
  }
}
