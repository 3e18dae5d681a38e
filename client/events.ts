/**
 * Events of a job as one unbroken sequence: reconnects after the coordinator went, and goes on after
 * the last event seen. Never: an event twice.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Metadata } from '@grpc/grpc-js';
import type { JobEvent, JobServiceClient } from '../shared/gen/windrow.js';
import { isUnreachable, statusToError } from '../shared/rpc.js';
import type { EventView } from '../shared/views.js';
import { rawStream, StreamEnded } from './streams.js';

const backoffFirstMs = 50;
const backoffMaxMs = 2_000;

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
  let outageSince: number | undefined;
  while (!signal?.aborted) {
    const request = { jobId, afterSeq, follow };
    try {
      for await (const event of rawStream(() => service.watchJob(request, metadata), signal)) {
        outageSince = undefined;
        backoffMs = backoffFirstMs;
        if (event.seq > 0 && event.seq <= afterSeq) continue;
        if (event.seq > 0) afterSeq = event.seq;
        yield eventView(event, jobId);
      }
      return;
    } catch (error) {
      if (!(error instanceof StreamEnded)) throw error;
      if (!isUnreachable(error.status)) throw statusToError(error.status);
      const nowMs = performance.now();
      outageSince ??= nowMs;
      const leftMs = outageSince + reconnectMs - nowMs;
      if (leftMs <= 0) throw statusToError({ ...error.status, code: 14 });
      await pause(Math.min(leftMs, backoffMs * (0.5 + Math.random() / 2)), signal);
      backoffMs = Math.min(2 * backoffMs, backoffMaxMs);
    }
  }
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
