/**
 * The worker's shuffle service: `GET /parts?path=…` with a `Range` of bytes, answered as fast as the
 * caller takes it, or with the failure as JSON. Never: reads ahead of a caller, or holds more blocks
 * than its pool has.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { bearerIn, tokenMatches } from '../../shared/endpoints.js';
import { fail, toFailure } from '../../shared/failure.js';
import type { BlockPool } from './block-pool.js';
import { type PartRange, partsPath, readRange, statusOf } from './parts-protocol.js';
import type { ServedFiles } from './served-files.js';

export interface PartsServiceDependencies {
  readonly files: Pick<ServedFiles, 'open'>;
  readonly blocks: BlockPool;
  /** What callers must bring; undefined admits everyone (UNIX socket, loopback). */
  readonly token?: string | undefined;
}

export class PartsService {
  constructor(private readonly deps: PartsServiceDependencies) {}

  readonly listener: RequestListener = (request, response) => void this.serve(request, response);

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    try {
      this.authorize(request);
      await this.answer(asked(request), response, gone.signal);
    } catch (error) {
      refuse(response, error);
    }
  }

  private authorize({ headers }: IncomingMessage): void {
    const { token } = this.deps;
    if (token === undefined || tokenMatches(bearerIn(headers.authorization), token)) return;
    fail('invalidSpec', 'E_UNAUTHENTICATED', 'the token of the worker that asks is not ours', {
      hint: 'start all workers with the same --token-file',
    });
  }

  /** One block at a time: the next is read once this one is on its way. */
  private async answer(range: PartRange, response: ServerResponse, gone: AbortSignal) {
    const { path, offset, bytes } = range;
    const file = await this.deps.files.open(path);
    try {
      const { size } = await file.stat();
      if (size < offset + bytes) endsEarly(path, size);
      response.writeHead(206, {
        'content-type': 'application/octet-stream',
        'content-length': bytes,
        'content-range': `bytes ${offset}-${offset + bytes - 1}/${size}`,
      });
      for (let at = 0; at < bytes && !gone.aborted;) {
        at += await this.deps.blocks.with(async (block) => {
          const wanted = Math.min(block.length, bytes - at);
          const { bytesRead } = await file.read(block, 0, wanted, offset + at);
          if (bytesRead === 0) endsEarly(path, offset + at);
          await taken(response, block.subarray(0, bytesRead), gone);
          return bytesRead;
        });
      }
      response.end();
    } finally {
      // It was only read: nothing is lost when that fails.
      await file.close().catch(() => undefined);
    }
  }
}

/** @throws WindrowError E_WORKER_PROTOCOL */
function asked({ method, url = '', headers }: IncomingMessage): PartRange {
  const { pathname, searchParams } = new URL(url, 'http://worker');
  const path = searchParams.get('path');
  const range = readRange(headers.range ?? '');
  if (method === 'GET' && pathname === partsPath && path !== null && range) {
    return { path, ...range };
  }
  return fail('invalidSpec', 'E_WORKER_PROTOCOL', `a worker asks for ${method} ${pathname}`, {
    hint: 'use the same version of windrow on all machines',
  });
}

function endsEarly(path: string, bytes: number): never {
  fail('fetchFailed', 'E_CHUNK_LOST', `a shuffle file ends after ${bytes} bytes`, {
    at: { file: path },
  });
}

/** What was begun cannot be taken back: an answer that ends early says that something is wrong. */
function refuse(response: ServerResponse, error: unknown): void {
  if (response.headersSent) return void response.destroy();
  const failure = toFailure(error, { kind: 'io', code: 'E_IO' });
  const body = Buffer.from(JSON.stringify(failure));
  response.writeHead(statusOf(failure), {
    'content-type': 'application/json',
    'content-length': body.length,
  });
  response.end(body);
}

/** Resolves when the transport has taken the bytes, or nobody wants them any more. */
function taken(response: ServerResponse, bytes: Buffer, gone: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (gone.aborted) return resolve();
    const done = (): void => {
      gone.removeEventListener('abort', done);
      resolve();
    };
    gone.addEventListener('abort', done);
    response.write(bytes, done);
  });
}
