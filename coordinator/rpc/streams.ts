/**
 * A server's stream: what is produced goes out as fast as the caller takes it, and production ends
 * when the caller has gone. Never: leaves a source open, or a caller without a status.
 */
import type { ServerWritableStream } from '@grpc/grpc-js';
import { toFailure, WindrowError } from '../../shared/failure.js';
import { failureToStatus } from '../../shared/rpc.js';

/** @param produce may throw at once; is told when the caller hangs up */
export function sendAll<Request, Item>(
  call: ServerWritableStream<Request, Item>,
  produce: (aborted: AbortSignal) => AsyncIterable<Item>,
): void {
  const abort = new AbortController();
  call.on('cancelled', () => abort.abort());
  const run = async (): Promise<void> => {
    for await (const item of produce(abort.signal)) {
      if (abort.signal.aborted) return;
      if (!call.write(item)) await drained(call, abort.signal);
    }
    call.end();
  };
  // gRPC sends the status of an emitted error; a destroyed stream would leave the client waiting.
  run().catch((error: unknown) => call.emit('error', statusOf(error)));
}

/** An error as the status a call ends with, all its problems included. */
export function statusOf(error: unknown): ReturnType<typeof failureToStatus> {
  const problems = error instanceof WindrowError ? error.problems : [];
  return failureToStatus(toFailure(error), problems);
}

function drained(
  call: ServerWritableStream<unknown, unknown>,
  aborted: AbortSignal,
): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      call.off('drain', done);
      aborted.removeEventListener('abort', done);
      resolve();
    };
    // A listener added after the abort would never be called.
    if (aborted.aborted) return resolve();
    call.once('drain', done);
    aborted.addEventListener('abort', done);
  });
}
