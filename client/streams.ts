/** A server's stream as an async iterator that leaves nothing behind. Never: retries. */
import type { ClientReadableStream, ServiceError } from '@grpc/grpc-js';
import { WindrowError } from '../shared/failure.js';
import { statusToError } from '../shared/rpc.js';

/** What a stream ended with, before it becomes a WindrowError. */
export class StreamEnded extends Error {
  constructor(readonly status: ServiceError) {
    super(status.message, { cause: status });
  }
}

/**
 * Messages as they come, the next read only when asked for. Leaving the loop, or the signal, cancels
 * the call; after the signal the iterator ends without an error.
 * @throws StreamEnded with the call's status
 */
export async function* rawStream<T>(
  open: () => ClientReadableStream<T>,
  signal?: AbortSignal,
): AsyncGenerator<T, void, undefined> {
  if (signal?.aborted) return;
  const call = open();
  const cancel = (): void => call.cancel();
  signal?.addEventListener('abort', cancel, { once: true });
  // A cancelled call reports so after nobody iterates any more, and an unheard 'error' is fatal.
  call.on('error', () => undefined);
  try {
    for await (const message of call) yield message as T;
  } catch (error) {
    if (signal?.aborted) return;
    throw isStatus(error) ? new StreamEnded(error) : error;
  } finally {
    signal?.removeEventListener('abort', cancel);
    call.cancel();
  }
}

/** The same for callers that do not reconnect. @throws WindrowError */
export async function* readStream<T>(
  open: () => ClientReadableStream<T>,
  signal?: AbortSignal,
): AsyncGenerator<T, void, undefined> {
  try {
    yield* rawStream(open, signal);
  } catch (error) {
    if (error instanceof WindrowError || !(error instanceof StreamEnded)) throw error;
    throw statusToError(error.status);
  }
}

/**
 * An iterator that can be left at any time: `return` ends what `make` gives at once, even while a
 * `next` waits, as does the signal, which `make` gets.
 */
export function leavable<T>(
  make: (signal: AbortSignal) => AsyncGenerator<T, void, undefined>,
  ...signals: readonly (AbortSignal | undefined)[]
): AsyncGenerator<T, void, undefined> {
  const left = new AbortController();
  const given = signals.filter((signal) => signal !== undefined);
  const items = make(AbortSignal.any([left.signal, ...given]));
  const leave = items.return.bind(items);
  items.return = (value) => {
    // A generator answers one call after the other: the one that waits has to end first.
    left.abort();
    return leave(value);
  };
  return items;
}

function isStatus(error: unknown): error is ServiceError {
  const status = error as Partial<ServiceError> | null;
  return typeof status?.code === 'number' && typeof status.details === 'string';
}
