/**
 * The verbs of the HTTP door: each turns what was asked into a call of the one verb there is, and its
 * answer into what shared/http-operations.ts says. Never: decides about jobs, or who may ask.
 */
import type * as z from 'zod';
import { WindrowError } from '../../shared/failure.js';
import type { SubmitRequest, SubmitResponse } from '../../shared/gen/windrow.js';
import { mediaTypes, type OperationId, type operations } from '../../shared/http-operations.js';
import type { jobRequestShape } from '../../shared/http-shapes.js';
import { applyParams } from '../../shared/spec-params.js';
import { pasteTemplates } from '../../shared/spec-paths.js';
import { validateSpec } from '../../shared/spec-file.js';
import type { JobVerbs } from '../job-verbs.js';
import { eventView } from '../notices.js';
import { problemOf } from './problems.js';
import { begun, type SentStream } from './sent-streams.js';

export type Reply =
  | { readonly status: number; readonly json?: unknown; readonly location?: string }
  | { readonly stream: SentStream }
  | { readonly text: string; readonly mediaType: string };

type Shape<Part> = Part extends z.ZodType ? z.output<Part> : undefined;
type Member<Operation, Name extends string> = Operation extends {
  readonly [key in Name]: infer Part;
}
  ? Shape<Part>
  : undefined;

/** What was asked, checked by the operation's shapes. */
export interface Asked<Operation> {
  /** Of the path, by name. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: Member<Operation, 'query'>;
  readonly body: Member<Operation, 'body'>;
  /** The body where it is bytes. */
  readonly bytes: AsyncIterable<Uint8Array>;
  /** Aborted once the caller has hung up. */
  readonly gone: AbortSignal;
}

export type Handlers = {
  readonly [Id in OperationId]: (asked: Asked<(typeof operations)[Id]>) => Promise<Reply>;
};

export interface HandlersDependencies {
  readonly verbs: JobVerbs;
  readonly metrics: () => Promise<string>;
}

/** Of a description, as `windrow describe` has it. */
const lastEvents = 20;

export function handlers({ verbs, metrics }: HandlersDependencies): Handlers {
  return {
    submitJob: async ({ body, gone }) =>
      submitted(await verbs.submit(submitRequest(body, body.requestId), gone)),
    listJobs: async ({ query }) => ok({ jobs: await verbs.list(query.state, query.limit) }),
    getJob: async ({ params }) => ok(await verbs.get(params['job']!)),
    describeJob: async ({ params, gone }) => ok(await description(verbs, params['job']!, gone)),
    whyJob: async ({ params }) => ok(await verbs.why(params['job']!)),
    watchJob: async ({ params, query, gone }) => {
      const { job } = await verbs.get(params['job']!);
      const notices = verbs.watch(job, query.after, query.follow === 'true', gone);
      return { stream: lines(notices, eventView) };
    },
    readLogs: async ({ params }) => {
      const logs = await verbs.logs(params['job']!);
      return {
        stream: lines(logs, ({ timeMs, level, workerId, text }) => {
          return { time: new Date(timeMs).toISOString(), level, worker: workerId, text };
        }),
      };
    },
    readResult: async ({ params, query: { output, maxRows } }) =>
      arrow(await begun(verbs.result(params['job']!, output, maxRows || undefined))),
    cancelJob: async ({ params }) => ok(await verbs.cancel(params['job']!)),
    retryJob: async ({ params, body: { requestId, onlyDeadLetters }, gone }) =>
      submitted(await verbs.retry(params['job']!, requestId, onlyDeadLetters, gone)),
    resubmitJob: async ({ params, body: { requestId }, gone }) =>
      submitted(await verbs.again(params['job']!, requestId, false, gone)),
    validateJob: async ({ body }) => ok(await validity(verbs, body)),
    explainJob: async ({ body }) => {
      const { planJson, text } = await verbs.explain(submitRequest(body));
      return ok({ plan: JSON.parse(planJson) as unknown, text });
    },
    previewJob: async ({ body, query, gone }) => {
      const rows = verbs.preview({ job: submitRequest(body), ...query }, gone);
      const parts = await begun(rows);
      return arrow(
        (async function* () {
          for await (const { data } of parts) yield data;
        })(),
      );
    },
    missingBlobs: async ({ body }) => ok({ digests: verbs.missingBlobs(body.digests) }),
    putBlob: async ({ params, bytes }) => {
      const digest = params['digest']!;
      const parts = (async function* () {
        let name = digest;
        for await (const data of bytes) {
          yield { digest, name, data: Buffer.from(data.buffer, data.byteOffset, data.byteLength) };
          name = '';
        }
        // A blob of no bytes has a digest, too.
        yield { digest, name: '', data: Buffer.alloc(0) };
      })();
      return { status: 201, json: await verbs.putBlob(parts) };
    },
    listWorkers: async () => ok({ workers: verbs.workers() }),
    drainWorker: async ({ params }) => {
      await verbs.drain(params['worker']!);
      return { status: 204 };
    },
    readOpenApi: async () => {
      const { openApiDocument } = await import('../../shared/openapi.js');
      return ok(openApiDocument());
    },
    readMetrics: async () => ({ text: await metrics(), mediaType: mediaTypes.metrics }),
  };
}

const ok = (json: unknown): Reply => ({ status: 200, json });

function submitted({ jobId, existing }: SubmitResponse): Reply {
  return {
    status: existing ? 200 : 201,
    json: { job: jobId, existing },
    location: `/v1/jobs/${encodeURIComponent(jobId)}`,
  };
}

/** The spec made ready as the client makes it ready, as far as no file has to be read for it. */
function submitRequest(body: z.output<typeof jobRequestShape>, requestId = ''): SubmitRequest {
  const set = Object.entries(body.params).map(([name, value]) => `${name}=${String(value)}`);
  const spec = validateSpec(pasteTemplates(applyParams(validateSpec(body.spec), set)));
  const files = Object.entries(body.files).map(([path, file]) => {
    const external = file.external.map((each) => ({ ...each, external: [] }));
    return [path, { ...file, external }] as const;
  });
  return {
    requestId,
    specJson: JSON.stringify(spec),
    files: Object.fromEntries(files),
    redoDeadLetters: false,
  };
}

/** What is wrong with the request itself is the answer; what is wrong with us is a problem. */
async function validity(verbs: JobVerbs, body: z.output<typeof jobRequestShape>) {
  try {
    await verbs.explain(submitRequest(body));
    return { valid: true, problems: [] };
  } catch (error) {
    if (!(error instanceof WindrowError) || error.failure.kind !== 'invalidSpec') throw error;
    return { valid: false, problems: error.problems };
  }
}

async function description(verbs: JobVerbs, name: string, gone: AbortSignal) {
  const view = await verbs.get(name);
  const events = [];
  for await (const notice of verbs.watch(view.job, 0, false, gone)) {
    events.push(eventView(notice));
    if (events.length > lastEvents) events.shift();
  }
  return { ...view, why: await verbs.why(view.job), events };
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
