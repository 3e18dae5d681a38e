/**
 * Events of a job as one unbroken sequence: reconnects after the coordinator went, and goes on after
 * the last event seen. Never: an event twice.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { status, type Metadata } from '@grpc/grpc-js';
import { WindrowError } from '../shared/failure.js';
import type { JobEvent, JobServiceClient } from '../shared/gen/windrow.js';
import { isUnreachable, statusToError } from '../shared/rpc.js';
import type { EventView } from '../shared/views.js';
import { rawStream, StreamEnded } from './streams.js';

const backoffFirstMs = 50;
const backoffMaxMs = 2_000;
/** A stream that held so long was no part of the outage before it, even if it was silent. */
const steadyMs = 5_000;

/**
 * @param options.reconnectMs how long one outage may last; default 60 000
 * @throws WindrowError E_UNREACHABLE after that, and what the coordinator answers
 */
export async function* watchEvents(
  service: JobServiceClient,
  metadata: Metadata,
  jobId: string,
  options: { afterSeq?: number; follow?: boolean; signal?: AbortSignal; reconnectMs?: number },
): AsyncGenerator<EventView, void, undefined> {
  const { signal, follow = true, reconnectMs = 60_000 } = options;
  let afterSeq = options.afterSeq ?? 0;
  let backoffMs = backoffFirstMs;
  let outageSinceMs = performance.now();
  while (!signal?.aborted) {
    await connected(service, outageSinceMs + reconnectMs - performance.now(), signal);
    const openedMs = performance.now();
    const request = { jobId, afterSeq, follow };
    let progressed = false;
    try {
      for await (const event of rawStream(() => service.watchJob(request, metadata), signal)) {
        progressed = true;
        if (event.seq > 0 && event.seq <= afterSeq) continue;
        if (event.seq > 0) afterSeq = event.seq;
        yield eventView(event, jobId);
      }
      return;
    } catch (error) {
      if (!(error instanceof StreamEnded)) throw error;
      if (!isUnreachable(error.status)) throw statusToError(error.status);
      if (progressed || performance.now() - openedMs > steadyMs) {
        outageSinceMs = performance.now();
        backoffMs = backoffFirstMs;
      }
      // A channel that is up says nothing about the deadline, so this does.
      if (performance.now() - outageSinceMs > reconnectMs) {
        throw statusToError({ ...error.status, code: status.UNAVAILABLE });
      }
      await pause(backoffMs * (0.5 + Math.random() / 2), signal);
      backoffMs = Math.min(2 * backoffMs, backoffMaxMs);
    }
  }
}

/** Resolves when the channel is up or the signal fires; the channel itself tries again meanwhile. */
function connected(service: JobServiceClient, withinMs: number, signal?: AbortSignal) {
  return new Promise<void>((resolve, reject) => {
    const stop = (): void => resolve();
    signal?.addEventListener('abort', stop, { once: true });
    service.waitForReady(Date.now() + withinMs, (cause) => {
      signal?.removeEventListener('abort', stop);
      if (!cause) return resolve();
      const message = `no connection to the coordinator within ${Math.max(0, Math.round(withinMs))} ms`;
      const hint = 'check its address and that it is running';
      reject(new WindrowError({ kind: 'io', code: 'E_UNREACHABLE', message, hint }, cause));
    });
  });
}

async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  try {
    await delay(ms, undefined, signal ? { signal } : {});
  } catch (error) {
    if (!signal?.aborted) throw error;
  }
}

function eventView(event: JobEvent, job: string): EventView {
  const data = event.dataJson === '' ? {} : (JSON.parse(event.dataJson) as object);
  return {
    job,
    ...data,
    event: event.kind,
    seq: event.seq,
    time: new Date(event.timeMs).toISOString(),
  };
}
