/**
 * Events and log lines of a job as one unbroken sequence: reconnects after the coordinator went, and
 * goes on after the last one seen. Never: one twice.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type ClientReadableStream, type Metadata, status } from '@grpc/grpc-js';
import { WindrowError } from '../shared/failure.js';
import type { JobEvent, JobServiceClient } from '../shared/gen/windrow.js';
import { isUnreachable, statusToError } from '../shared/rpc.js';
import type { EventView, LogView } from '../shared/views.js';
import { timerMsMax } from './calls.js';
import { rawStream, readStream, StreamEnded } from './streams.js';

const backoffFirstMs = 50;
const backoffMaxMs = 2_000;
/** A stream that held so long was no part of the outage before it, even if it was silent. */
const steadyMs = 5_000;

interface FollowOptions {
  readonly afterSeq?: number;
  readonly follow?: boolean;
  readonly signal?: AbortSignal;
  readonly reconnectMs?: number;
  readonly onOutage?: (reason: string | undefined) => void;
}

/**
 * @param options.reconnectMs how long one outage may last; default 60 000
 * @throws WindrowError E_UNREACHABLE after that, and what the coordinator answers
 */
export async function* watchEvents(
  service: JobServiceClient,
  metadata: Metadata,
  jobId: string,
  options: FollowOptions,
): AsyncGenerator<EventView, void, undefined> {
  const { follow = true } = options;
  const events = unbroken(service, options, (afterSeq) =>
    service.watchJob({ jobId, afterSeq, follow }, metadata),
  );
  for await (const event of events) yield eventView(event, jobId);
}

/** The same of what workers have said about a job. */
export async function* watchLogs(
  service: JobServiceClient,
  metadata: Metadata,
  jobId: string,
  options: FollowOptions,
): AsyncGenerator<Omit<LogView, 'time'> & { timeMs: number }, void, undefined> {
  const open = (afterSeq: number) =>
    service.logs({ jobId, afterSeq, follow: options.follow === true }, metadata);
  const lines =
    options.follow === true
      ? unbroken(service, options, open)
      : readStream(() => open(0), options.signal);
  for await (const { timeMs, level, workerId, text } of lines) {
    yield { timeMs, level, worker: workerId, text };
  }
}

/** @param open the stream behind a number; an item whose own is 0 is told as it comes */
async function* unbroken<Item extends { readonly seq: number }>(
  service: JobServiceClient,
  { signal, reconnectMs = 60_000, onOutage, ...options }: FollowOptions,
  open: (afterSeq: number) => ClientReadableStream<Item>,
): AsyncGenerator<Item, void, undefined> {
  let afterSeq = options.afterSeq ?? 0;
  let backoffMs = backoffFirstMs;
  let outageSinceMs = performance.now();
  let away = false;
  const tellOutage = (reason: string | undefined): void => {
    if (away === (reason !== undefined)) return;
    away = reason !== undefined;
    onOutage?.(reason);
  };
  while (!signal?.aborted) {
    await connected(service, outageSinceMs + reconnectMs - performance.now(), signal);
    const openedMs = performance.now();
    let progressed = false;
    try {
      for await (const item of rawStream(() => open(afterSeq), signal)) {
        progressed = true;
        tellOutage(undefined);
        if (item.seq > 0 && item.seq <= afterSeq) continue;
        if (item.seq > 0) afterSeq = item.seq;
        yield item;
      }
      return;
    } catch (error) {
      if (!(error instanceof StreamEnded)) throw error;
      if (!isUnreachable(error.status)) throw statusToError(error.status);
      tellOutage(error.status.details);
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
    service.waitForReady(Date.now() + Math.min(withinMs, timerMsMax), (cause) => {
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
