/**
 * The verbs of the HTTP door: each turns what was asked into a call of the one verb there is, and its
 * answer into what shared/http-operations.ts says; those of schedules are in schedule-handlers.ts.
 * Never: decides about jobs, or who may ask.
 */
import type * as z from 'zod';
import { type FailureKind, WindrowError } from '../../shared/failure.js';
import type { SubmitResponse } from '../../shared/gen/windrow.js';
import { mediaTypes } from '../../shared/http-operation.js';
import type { jobRequestShape } from '../../shared/http-shapes.js';
import type { JobVerbs } from '../job-verbs.js';
import { eventView } from '../notices.js';
import { type Handlers, nothing, ok, type Reply } from './asked.js';
import { problemOf } from './problems.js';
import { submitRequest } from './requests.js';
import { scheduleHandlers, type ScheduleVerbs } from './schedule-handlers.js';
import { begun, type SentStream } from './sent-streams.js';

export interface HandlersDependencies extends ScheduleVerbs {
  readonly jobs: JobVerbs;
  readonly metrics: () => Promise<string>;
}

const faultsOfJobs: ReadonlySet<FailureKind> = new Set(['invalidSpec', 'userCode', 'badData']);

/** Of a description, as `windrow describe` has it. */
const lastEvents = 20;

export function handlers({ jobs, metrics, ...scheduleVerbs }: HandlersDependencies): Handlers {
  return {
    ...scheduleHandlers(scheduleVerbs),
    submitJob: async ({ body, gone }) =>
      submitted(await jobs.submit(submitRequest(body, body.requestId), gone)),
    listJobs: async ({ query }) => ok({ jobs: await jobs.list(query.state, query.limit) }),
    getJob: async ({ params }) => ok(await jobs.get(params['job']!)),
    describeJob: async ({ params, gone }) => ok(await description(jobs, params['job']!, gone)),
    whyJob: async ({ params }) => ok(await jobs.why(params['job']!)),
    watchJob: async ({ params, query, gone }) => {
      const { job } = await jobs.get(params['job']!);
      const notices = jobs.watch(job, query.after, query.follow === 'true', gone);
      return { stream: lines(notices, eventView) };
    },
    readLogs: async ({ params }) => {
      const logs = await jobs.logs(params['job']!);
      return {
        stream: lines(logs, ({ timeMs, level, workerId, text }) => {
          return { time: new Date(timeMs).toISOString(), level, worker: workerId, text };
        }),
      };
    },
    readResult: async ({ params, query: { output, maxRows } }) =>
      arrow(await begun(jobs.result(params['job']!, output, maxRows || undefined))),
    cancelJob: async ({ params }) => ok(await jobs.cancel(params['job']!)),
    retryJob: async ({ params, body: { requestId, onlyDeadLetters }, gone }) =>
      submitted(await jobs.retry(params['job']!, requestId, onlyDeadLetters, gone)),
    resubmitJob: async ({ params, body: { requestId }, gone }) =>
      submitted(
        await jobs.again(params['job']!, { requestId, onlyDeadLetters: false, files: {} }, gone),
      ),
    validateJob: async ({ body }) => validity(jobs, body),
    explainJob: async ({ body }) => {
      const { planJson, text } = await jobs.explain(submitRequest(body));
      return ok({ plan: JSON.parse(planJson) as unknown, text });
    },
    previewJob: async ({ body, query, gone }) => {
      const rows = jobs.preview({ job: submitRequest(body), ...query }, gone);
      const parts = await begun(rows);
      return arrow(
        (async function* () {
          for await (const { data } of parts) yield data;
        })(),
      );
    },
    missingBlobs: async ({ body }) => ok({ digests: jobs.missingBlobs(body.digests) }),
    putBlob: async ({ params, bytes }) => {
      const digest = params['digest']!;
      const parts = (async function* () {
        // The digest goes ahead, so that a wrong one is refused before any bytes are asked for.
        yield { digest, name: digest, data: Buffer.alloc(0) };
        for await (const data of bytes) {
          const part = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
          yield { digest, name: '', data: part };
        }
      })();
      return { status: 201, json: await jobs.putBlob(parts) };
    },
    listWorkers: async () => ok({ workers: jobs.workers() }),
    drainWorker: async ({ params }) => {
      await jobs.drain(params['worker']!);
      return nothing;
    },
    readOpenApi: async () => {
      const { openApiDocument } = await import('../../shared/openapi.js');
      return ok(openApiDocument());
    },
    readMetrics: async () => ({ text: await metrics(), mediaType: mediaTypes.metrics }),
  };
}

function submitted({ jobId, existing }: SubmitResponse): Reply {
  return {
    status: existing ? 200 : 201,
    json: { job: jobId, existing },
    location: `/v1/jobs/${encodeURIComponent(jobId)}`,
  };
}

/** Whatever is wrong with the job is the answer; what is wrong with us is a problem. */
async function validity(jobs: JobVerbs, body: z.output<typeof jobRequestShape>): Promise<Reply> {
  try {
    await jobs.explain(submitRequest(body));
    return ok({ valid: true, problems: [] });
  } catch (error) {
    if (!(error instanceof WindrowError) || !faultsOfJobs.has(error.failure.kind)) throw error;
    return { status: 422, json: { valid: false, problems: error.problems } };
  }
}

async function description(jobs: JobVerbs, name: string, gone: AbortSignal) {
  const view = await jobs.get(name);
  const events = [];
  for await (const notice of jobs.watch(view.job, 0, false, gone)) {
    events.push(eventView(notice));
    if (events.length > lastEvents) events.shift();
  }
  return { ...view, why: await jobs.why(name), events };
}

function arrow(parts: AsyncIterable<Uint8Array>): Reply {
  return { stream: { mediaType: mediaTypes.arrow, parts } };
}

function lines<Item>(
  items: AsyncIterable<Item> | Iterable<Item>,
  view: (item: Item) => object,
): SentStream {
  const parts = (async function* () {
    for await (const item of items) yield `${JSON.stringify(view(item))}\n`;
  })();
  const lastWords = (error: unknown): string =>
    `${JSON.stringify({ event: 'brokenOff', problem: problemOf(error) })}\n`;
  return { mediaType: mediaTypes.lines, parts, lastWords };
}
