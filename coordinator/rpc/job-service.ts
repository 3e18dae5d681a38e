/**
 * Speaks the client's wire: every verb of JobService, each a call into the coordinator's rooms.
 * Turns failures into statuses; decides nothing.
 */
import type { Metadata, ServerWritableStream } from '@grpc/grpc-js';
import type { BlobPart, JobServiceServer, SubmitRequest } from '../../shared/gen/windrow.js';
import type { JobVerbs } from '../job-verbs.js';
import type { Notice } from '../notices.js';
import { sendAll, statusOf } from './streams.js';
import { unaryFor } from './unary.js';

/** @param authorize throws when the call may not be made (token) */
export function jobService(
  verbs: JobVerbs,
  authorize: (metadata: Metadata) => void,
): JobServiceServer {
  const unary = unaryFor(authorize);

  const streamed =
    <Request, Item>(act: (request: Request, aborted: AbortSignal) => AsyncIterable<Item>) =>
    (call: ServerWritableStream<Request, Item>): void =>
      sendAll(call, (aborted) => {
        authorize(call.metadata);
        return act(call.request, aborted);
      });

  return {
    submit: unary((request: SubmitRequest, aborted) => verbs.submit(request, aborted)),
    explain: unary((request: SubmitRequest) => verbs.explain(request)),
    preview: streamed((request, aborted) => verbs.preview(request, aborted)),
    putBlob: (call, reply) => {
      const run = async () => {
        authorize(call.metadata);
        return verbs.putBlob(call as unknown as AsyncIterable<BlobPart>);
      };
      run().then(
        (info) => reply(null, info),
        (error: unknown) => reply(statusOf(error)),
      );
    },
    missingBlobs: unary(async ({ digests }) => ({ digests: verbs.missingBlobs(digests) })),
    getJob: unary(async ({ jobId }) => ({ jobJson: JSON.stringify(await verbs.get(jobId)) })),
    listJobs: unary(async ({ state, limit }) => ({
      jobsJson: (await verbs.list(state || undefined, limit || 100)).map((view) =>
        JSON.stringify(view),
      ),
    })),
    watchJob: streamed(async function* ({ jobId, afterSeq, follow }, aborted) {
      for await (const notice of verbs.watch(jobId, afterSeq, follow, aborted)) {
        yield eventOf(notice);
      }
    }),
    why: unary(async ({ jobId }) => {
      const { answer, detail } = await verbs.why(jobId);
      return { answer, detailJson: JSON.stringify(detail) };
    }),
    cancelJob: unary(async ({ jobId }) => ({
      jobJson: JSON.stringify(await verbs.cancel(jobId)),
    })),
    retryJob: unary(({ jobId, ...how }, aborted) => verbs.again(jobId, how, aborted)),
    fetchResult: streamed(async function* ({ jobId, output, maxRows }) {
      for await (const data of verbs.result(jobId, output, maxRows || undefined)) yield { data };
    }),
    logs: streamed(async function* ({ jobId, follow, afterSeq }, aborted) {
      if (follow) yield* verbs.followLogs(jobId, afterSeq, aborted);
      else for (const line of await verbs.logs(jobId)) if (line.seq > afterSeq) yield line;
    }),
    listWorkers: unary(async () => ({
      workersJson: verbs.workers().map((view) => JSON.stringify(view)),
    })),
    drainWorker: unary(async ({ workerId }) => {
      await verbs.drain(workerId);
      return {};
    }),
  };
}

function eventOf({ seq, timeMs, kind, data }: Notice) {
  return { seq, timeMs, kind, dataJson: data };
}
