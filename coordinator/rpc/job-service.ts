/**
 * Speaks the client's wire: every verb of JobService, each a call into the coordinator's rooms.
 * Turns failures into statuses; decides nothing.
 */
import type { ServerUnaryCall, sendUnaryData, ServerWritableStream } from '@grpc/grpc-js';
import type { BlobPart, JobServiceServer, SubmitRequest } from '../../shared/gen/windrow.js';
import { fail } from '../../shared/failure.js';
import type { Catalogue } from '../catalogue.js';
import type { Previews } from '../previews.js';
import type { Submission } from '../submission.js';
import type { BlobStore } from '../blob-store.js';
import type { Notice } from '../notices.js';
import type { ResultReader } from '../result-reader.js';
import { sendAll, statusOf } from './streams.js';
import type { LogEntry } from './worker-service.js';

export interface JobServiceDependencies {
  readonly submission: Submission;
  readonly previews: Previews;
  readonly catalogue: Catalogue;
  readonly blobs: BlobStore;
  readonly results: Pick<ResultReader, 'output'>;
  readonly logs: (job: string) => readonly LogEntry[];
  readonly drainWorker: (id: string) => Promise<void>;
  /** Throws when the call may not be made (token). */
  readonly authorize: (metadata: ServerUnaryCall<unknown, unknown>['metadata']) => void;
}

/** Notices a watcher may have waiting before it is dropped. */
const slowReaderNotices = 10_000;

export function jobService(deps: JobServiceDependencies): JobServiceServer {
  const { submission, previews, catalogue, blobs, results } = deps;

  const unary =
    <Request, Response>(act: (request: Request, aborted: AbortSignal) => Promise<Response>) =>
    (call: ServerUnaryCall<Request, Response>, reply: sendUnaryData<Response>): void => {
      const abort = new AbortController();
      call.on('cancelled', () => abort.abort());
      const run = async (): Promise<Response> => {
        deps.authorize(call.metadata);
        return act(call.request, abort.signal);
      };
      run().then(
        (response) => reply(null, response),
        (error: unknown) => reply(statusOf(error)),
      );
    };

  const streamed =
    <Request, Item>(act: (request: Request, aborted: AbortSignal) => AsyncIterable<Item>) =>
    (call: ServerWritableStream<Request, Item>): void =>
      sendAll(call, (aborted) => {
        deps.authorize(call.metadata);
        return act(call.request, aborted);
      });

  return {
    submit: unary((request: SubmitRequest, aborted) => submission.submit(request, aborted)),
    explain: unary((request: SubmitRequest) => submission.explain(request)),
    preview: streamed((request, aborted) => previews.rows(request, aborted)),
    putBlob: (call, reply) => {
      const run = async () => {
        deps.authorize(call.metadata);
        return blobs.put(call as unknown as AsyncIterable<BlobPart>);
      };
      run().then(
        (info) => reply(null, info),
        (error: unknown) => reply(statusOf(error)),
      );
    },
    missingBlobs: unary(async ({ digests }) => ({ digests: blobs.missing(digests) })),
    getJob: unary(async ({ jobId }) => ({ jobJson: JSON.stringify(await catalogue.get(jobId)) })),
    listJobs: unary(async ({ state, limit }) => ({
      jobsJson: (await catalogue.list(state || undefined, limit || 100)).map((view) =>
        JSON.stringify(view),
      ),
    })),
    watchJob: streamed(async function* ({ jobId, afterSeq, follow }, aborted) {
      for await (const notice of catalogue.watch(
        jobId,
        afterSeq,
        follow,
        aborted,
        slowReaderNotices,
      )) {
        yield eventOf(notice);
      }
    }),
    why: unary(async ({ jobId }) => {
      const { answer, detail } = await catalogue.why(jobId);
      return { answer, detailJson: JSON.stringify(detail) };
    }),
    cancelJob: unary(async ({ jobId }) => ({
      jobJson: JSON.stringify(await submission.cancel(jobId)),
    })),
    retryJob: unary(({ jobId, requestId, onlyDeadLetters }, aborted) =>
      submission.retry(jobId, requestId, onlyDeadLetters, aborted),
    ),
    fetchResult: streamed(async function* ({ jobId, output, maxRows }) {
      const view = await catalogue.get(jobId);
      const found = view.outputs.find(({ name }) => output === '' || name === output);
      if (!found) {
        const names = view.outputs.map(({ name }) => name).join(', ');
        fail('invalidSpec', 'E_NO_OUTPUT', `job ${view.job} has no output '${output}'`, {
          hint: `its outputs are ${names}`,
        });
      }
      if (view.state !== 'succeeded') {
        fail(
          'invalidSpec',
          'E_NOT_FINISHED',
          `job ${view.job} is ${view.state}, so there is no result`,
          {
            hint: `wait for it with: windrow wait ${view.job}`,
          },
        );
      }
      for await (const data of results.output(found.path, maxRows || undefined)) yield { data };
    }),
    logs: streamed(async function* ({ jobId }) {
      const { job } = await catalogue.get(jobId);
      for (const entry of deps.logs(job)) yield entry;
    }),
    listWorkers: unary(async () => ({
      workersJson: catalogue.workers().map((view) => JSON.stringify(view)),
    })),
    drainWorker: unary(async ({ workerId }) => {
      await deps.drainWorker(workerId);
      return {};
    }),
  };
}

function eventOf({ seq, timeMs, kind, data }: Notice) {
  return { seq, timeMs, kind, dataJson: data };
}
