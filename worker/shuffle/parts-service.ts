/**
 * The worker's shuffle service: reads what other workers ask for, block by block, as fast as they take
 * it. Never: reads ahead of a caller, or holds more blocks than its pool has.
 */
import type { FileHandle } from 'node:fs/promises';
import { crc32 } from '@node-rs/crc32';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { bearerToken, tokenMatches } from '../../shared/endpoints.js';
import { fail, toFailure } from '../../shared/failure.js';
import type { PartBytes, PartRange, ShuffleServiceServer } from '../../shared/gen/windrow.js';
import { failureToStatus } from '../../shared/rpc.js';
import type { BlockPool } from './block-pool.js';
import { shuffleLimits } from './limits.js';
import type { ServedFiles } from './served-files.js';

type Call = ServerDuplexStream<PartRange, PartBytes>;

export interface PartsServiceDependencies {
  readonly files: Pick<ServedFiles, 'open'>;
  readonly blocks: BlockPool;
  /** What callers must bring; undefined admits everyone (UNIX socket, loopback). */
  readonly token?: string | undefined;
}

export class PartsService {
  constructor(private readonly deps: PartsServiceDependencies) {}

  implementation(): ShuffleServiceServer {
    return { readParts: (call: Call) => void this.serve(call) };
  }

  private async serve(call: Call): Promise<void> {
    const gone = new AbortController();
    call.on('cancelled', () => gone.abort());
    const last = new LastFile(this.deps.files);
    try {
      this.authorize(call);
      for await (const range of call.iterator({ destroyOnReturn: false })) {
        await this.answer(call, checked(range as PartRange), last, gone.signal);
      }
      call.end();
    } catch (error) {
      // gRPC sends the status of an emitted error; who is gone wants none.
      if (!gone.signal.aborted) call.emit('error', failureToStatus(toFailure(error)));
    } finally {
      // It was only read: nothing is lost when that fails.
      await last.close().catch(() => undefined);
    }
  }

  private authorize({ metadata }: Call): void {
    const { token } = this.deps;
    if (token === undefined || tokenMatches(bearerToken(metadata), token)) return;
    fail('invalidSpec', 'E_UNAUTHENTICATED', 'the token of the worker that asks is not ours', {
      hint: 'start all workers with the same --token-file',
    });
  }

  /** One block at a time: the next range is read once this one is on its way. */
  private answer(call: Call, range: PartRange, last: LastFile, gone: AbortSignal): Promise<void> {
    return this.deps.blocks.with(async (block) => {
      if (gone.aborted) return;
      await written(call, await reply(range, last, block), gone);
    });
  }
}

/** @throws WindrowError E_WORKER_PROTOCOL */
function checked(range: PartRange): PartRange {
  const { offset, bytes } = range;
  if (offset >= 0 && bytes >= 0 && bytes <= shuffleLimits.blockBytes) return range;
  return fail(
    'invalidSpec',
    'E_WORKER_PROTOCOL',
    `a worker asks for ${bytes} bytes at ${offset}; one reply holds ${shuffleLimits.blockBytes}`,
    { at: { file: range.path }, hint: 'use the same version of windrow on all machines' },
  );
}

async function reply(range: PartRange, last: LastFile, block: Buffer): Promise<PartBytes> {
  try {
    const file = await last.open(range.path);
    const data = block.subarray(0, range.bytes);
    for (let at = 0; at < data.length;) {
      const { bytesRead } = await file.read(data, at, data.length - at, range.offset + at);
      if (bytesRead === 0) {
        const text = `a shuffle file ends after ${range.offset + at} bytes`;
        fail('fetchFailed', 'E_CHUNK_LOST', text, { at: { file: range.path } });
      }
      at += bytesRead;
    }
    return { data, crc32: crc32(data) };
  } catch (error) {
    const failure = toFailure(error, { kind: 'io', code: 'E_IO' });
    return { data: Buffer.alloc(0), crc32: 0, failureJson: JSON.stringify(failure) };
  }
}

/** Resolves when the transport has taken the message, or nobody wants it any more. */
function written(call: Call, message: PartBytes, gone: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (gone.aborted) return resolve();
    const done = (): void => {
      gone.removeEventListener('abort', done);
      resolve();
    };
    gone.addEventListener('abort', done);
    call.write(message, done);
  });
}

/** Parts of one file are asked for one after the other. */
class LastFile {
  private path: string | undefined;
  private file: FileHandle | undefined;

  constructor(private readonly files: Pick<ServedFiles, 'open'>) {}

  async open(path: string): Promise<FileHandle> {
    if (this.file && this.path === path) return this.file;
    await this.close();
    this.file = await this.files.open(path);
    this.path = path;
    return this.file;
  }

  async close(): Promise<void> {
    const { file } = this;
    this.file = undefined;
    await file?.close();
  }
}
