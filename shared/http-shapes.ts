/**
 * What travels through the HTTP door as JSON, as zod schemas: requests are checked by them, and the
 * OpenAPI document is made of them. The compiler holds them to the views that they describe.
 */
import * as z from 'zod';
import type { Failure } from './failure.js';
import { count, describes, digest, files, requestId, time } from './http-values.js';
import { identifier } from './spec-values.js';
import { jobStateNames } from './views.js';
import type { EventView, JobView, LogView, WhyView, WorkerView } from './views.js';

export const failureShape = describes<Failure>()(
  z
    .strictObject({
      kind: z.enum([
        'invalidSpec',
        'userCode',
        'badData',
        'io',
        'resource',
        'fetchFailed',
        'workerLost',
        'cancelled',
        'broken',
      ]),
      code: z
        .string()
        .regex(/^E_[A-Z0-9_]+$/)
        .describe('stable; docs/ERRORS.md lists all'),
      message: z.string(),
      at: z
        .strictObject({
          step: z.string().exactOptional(),
          file: z.string().exactOptional(),
          rowGroup: count.exactOptional(),
          row: z.int().exactOptional(),
          column: z.string().exactOptional(),
          line: count.exactOptional(),
          col: count.exactOptional(),
        })
        .exactOptional(),
      hint: z.string().exactOptional().describe('what to do next'),
      lost: z.array(z.string()).exactOptional(),
    })
    .meta({ id: 'Failure' }),
);

/** RFC 9457, with the members of a Failure beside its own. */
export const problemShape = failureShape
  .extend({
    title: z.string().describe('the reason phrase of the status'),
    status: z.int().min(400).max(599),
    detail: z.string().describe('code, message, place and hint in one line'),
    problems: z
      .array(failureShape)
      .exactOptional()
      .describe('all that was found, where several problems are reported at once'),
  })
  .meta({ id: 'Problem' });
export type Problem = z.output<typeof problemShape>;

const stateName = z.enum(jobStateNames);

const progress = z.strictObject({
  rowsDone: count,
  rowsTotal: count,
  rowsPerSecond: z.number().min(0),
  chunksDone: count,
  chunksTotal: count,
  etaSeconds: z.number().min(0).exactOptional(),
  tasksRunning: count,
  waitingFor: z.string().exactOptional(),
});

export const jobShape = describes<JobView>()(
  z
    .strictObject({
      job: z.string(),
      name: z.string(),
      state: stateName,
      submittedAt: time,
      endedAt: time.exactOptional(),
      rows: z.strictObject({ in: count, out: count, filtered: count, deadLettered: count }),
      rowsInferred: count,
      rowsReused: count,
      upToDate: z.boolean(),
      progress,
      stages: z.array(
        z.strictObject({
          id: z.string(),
          state: z.string(),
          tasks: count,
          tasksDone: count,
          tasksRunning: count,
          chunks: count,
          chunksDone: count,
        }),
      ),
      outputs: z.array(
        z.strictObject({
          name: z.string(),
          path: z.string(),
          rows: count.exactOptional(),
          files: count.exactOptional(),
          manifestHash: z.string().exactOptional(),
        }),
      ),
      warnings: z.record(z.string(), count),
      retries: count,
      failure: failureShape.exactOptional(),
    })
    .meta({ id: 'Job' }),
);

export const eventShape = describes<EventView>()(
  z
    .looseObject({
      event: z.string().describe('its kind, as docs/CLI.md lists them; other members depend on it'),
      job: z.string(),
      seq: count.describe('counts up within the job; 0 for what is not kept, such as progress'),
      time,
    })
    .meta({ id: 'Event' }),
);

/** The last line of a stream that cannot go on. */
export const brokenOffShape = z
  .strictObject({
    event: z.literal('brokenOff'),
    problem: problemShape,
  })
  .meta({ id: 'BrokenOff' });

export const logShape = describes<LogView>()(
  z
    .strictObject({ time, level: z.string(), worker: z.string(), text: z.string() })
    .meta({ id: 'Log' }),
);

export const whyShape = describes<WhyView>()(
  z
    .strictObject({
      answer: z.string().describe('a sentence for people'),
      detail: z.looseObject({ reason: z.string().describe('a stable word for programs') }),
    })
    .meta({ id: 'Why' }),
);

export const workerShape = describes<WorkerView>()(
  z
    .strictObject({
      worker: z.string(),
      state: z.enum(['connected', 'disconnected', 'draining']),
      host: z.string(),
      pid: z.int(),
      pools: z.array(z.string()),
      slots: count,
      busy: count,
      devices: z.array(z.string()),
      rssBytes: count,
    })
    .meta({ id: 'Worker' }),
);

/** Checked as every spec is, with its own errors; the document has the whole schema under this id. */
export const jobSpecShape = z
  .record(z.string(), z.unknown())
  .meta({ id: 'Spec', description: 'a job, all paths absolute' });

/** A job as it is handed in. */
export const jobRequestShape = z.strictObject({
  spec: jobSpecShape,
  params: z
    .record(identifier, z.union([z.string(), z.number(), z.boolean()]))
    .default({})
    .describe('values of params that the spec declares'),
  files,
});

export const submitShape = jobRequestShape.extend({ requestId });
export const retryShape = z.strictObject({
  requestId,
  onlyDeadLetters: z.boolean().default(false),
});
export const resubmitShape = z.strictObject({ requestId });
export const digestsShape = z.strictObject({ digests: z.array(digest).max(10_000) });
export const blobShape = z.strictObject({ digest, bytes: count });

export const submittedShape = z.strictObject({
  job: z.string(),
  existing: z.boolean().describe('the request had been made before, and the job is that one'),
});

export const validityShape = z.strictObject({
  valid: z.boolean(),
  problems: z.array(failureShape).describe('empty where it is valid'),
});

export const planShape = z.strictObject({
  plan: z.looseObject({ stages: z.array(z.looseObject({ id: z.string() })) }),
  text: z.string().describe('the same for people'),
});

export const descriptionShape = jobShape.extend({
  why: whyShape,
  events: z.array(eventShape).describe('the last 20'),
});
