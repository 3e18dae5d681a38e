/**
 * Streams that go out as fast as their reader takes them. One who stops reading is waited for a
 * while, then told so and let go. Never: keeps what a reader has not taken, beyond one part.
 */
import type { ServerResponse } from 'node:http';
import { WindrowError } from '../../shared/failure.js';

export interface SentStream {
  readonly mediaType: string;
  readonly parts: AsyncIterable<string | Uint8Array>;
  /** What is said last when it cannot go on; without it the answer just breaks off. */
  readonly lastWords?: (error: unknown) => string;
}

/**
 * @param gone aborted once the reader has hung up
 * @param stallMs how long a reader may take nothing
 */
export async function sendStream(
  response: ServerResponse,
  { mediaType, parts, lastWords }: SentStream,
  gone: AbortSignal,
  stallMs: number,
): Promise<void> {
  response.writeHead(200, { 'content-type': mediaType });
  response.flushHeaders();
  try {
    for await (const part of parts) {
      if (gone.aborted) return;
      if (!response.write(part)) await taken(response, gone, stallMs);
    }
    response.end();
  } catch (error) {
    if (gone.aborted) return;
    if (!lastWords) return void response.destroy();
    response.end(lastWords(error));
    const late = setTimeout(() => response.destroy(), stallMs);
    response.once('close', () => clearTimeout(late));
  }
}

function taken(response: ServerResponse, gone: AbortSignal, stallMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    if (gone.aborted) return resolve();
    const settle = (after: () => void) => (): void => {
      clearTimeout(timer);
      response.off('drain', onTaken);
      gone.removeEventListener('abort', onTaken);
      after();
    };
    const onTaken = settle(resolve);
    const onStall = settle(() => reject(stalled(stallMs)));
    const timer = setTimeout(onStall, stallMs);
    response.once('drain', onTaken);
    gone.addEventListener('abort', onTaken);
  });
}

function stalled(stallMs: number): WindrowError {
  return new WindrowError({
    kind: 'io',
    code: 'E_SLOW_READER',
    message: `nothing was read for ${String(stallMs)} ms`,
    hint: 'read faster; of events, go on after the last one with ?after=SEQ',
  });
}

/** The same parts once the first is there, so that what fails before it still has a status. */
export async function begun<Part>(parts: AsyncIterable<Part>): Promise<AsyncIterable<Part>> {
  const iterator = parts[Symbol.asyncIterator]();
  const first = await iterator.next();
  return (async function* () {
    try {
      for (let next = first; next.done !== true; next = await iterator.next()) yield next.value;
    } finally {
      await iterator.return?.();
    }
  })();
}
