/**
 * The verbs of the HTTP door, as data: the coordinator serves exactly these, and the OpenAPI document
 * lists exactly these. Never: how they are done.
 */
import * as z from 'zod';
import {
  blobShape,
  brokenOffShape,
  descriptionShape,
  digestsShape,
  eventShape,
  jobRequestShape,
  jobShape,
  logShape,
  planShape,
  resubmitShape,
  retryShape,
  submitShape,
  submittedShape,
  validityShape,
  whyShape,
  workerShape,
} from './http-shapes.js';
import { json, type Operation } from './http-operation.js';
import { runShape } from './http-schedule-shapes.js';
import { scheduleOperations } from './http-schedule-operations.js';
import { flag, number } from './http-values.js';
import { jobStateNames } from './views.js';

const jobsMax = 10_000;
const safe = Number.MAX_SAFE_INTEGER;

export const operations = {
  submitJob: {
    method: 'POST',
    path: '/v1/jobs',
    summary: 'Hands a job over; nothing is started where it fails. 201: a new job.',
    body: submitShape,
    answer: json(submittedShape, 201, 200),
  },
  listJobs: {
    method: 'GET',
    path: '/v1/jobs',
    summary: 'Jobs, newest first.',
    query: z.strictObject({
      state: z.enum(jobStateNames).optional().describe('only jobs in this state'),
      limit: number(0, jobsMax).default(100),
    }),
    answer: json(z.strictObject({ jobs: z.array(jobShape) })),
  },
  getJob: {
    method: 'GET',
    path: '/v1/jobs/{job}',
    summary: 'A job, by its id or its name (then the newest of that name).',
    answer: json(jobShape),
  },
  describeJob: {
    method: 'GET',
    path: '/v1/jobs/{job}/description',
    summary: 'A job with its last events, and why it is not done yet.',
    answer: json(descriptionShape),
  },
  whyJob: {
    method: 'GET',
    path: '/v1/jobs/{job}/why',
    summary: 'Why a job, or a run of a schedule, is not done yet.',
    answer: json(whyShape),
  },
  watchJob: {
    method: 'GET',
    path: '/v1/jobs/{job}/events',
    summary: 'Events of a job, one a line, until it ends or the reader goes.',
    query: z.strictObject({
      after: number(0, safe).default(0).describe('only events with a larger seq'),
      follow: flag('true').describe('false: events so far, then the end'),
    }),
    answer: { kind: 'lines', shape: z.union([eventShape, brokenOffShape]) },
  },
  readLogs: {
    method: 'GET',
    path: '/v1/jobs/{job}/logs',
    summary: "Workers' log lines about a job, as long as this coordinator has them.",
    answer: { kind: 'lines', shape: z.union([logShape, brokenOffShape]) },
  },
  readResult: {
    method: 'GET',
    path: '/v1/jobs/{job}/result',
    summary: "Rows of a finished job's output as an Arrow IPC stream.",
    query: z.strictObject({
      output: z.string().default('').describe('name of the output; absent: the first'),
      maxRows: number(0, safe).default(0).describe('0: all'),
    }),
    answer: { kind: 'arrow' },
  },
  cancelJob: {
    method: 'POST',
    path: '/v1/jobs/{job}/cancel',
    summary: 'Ends a job, or a run of a schedule, for good; refused once it publishes.',
    answer: json(z.union([jobShape, runShape])),
  },
  retryJob: {
    method: 'POST',
    path: '/v1/jobs/{job}/retry',
    summary: 'The spec of a failed or cancelled job again; finished work is kept.',
    body: retryShape,
    answer: json(submittedShape, 201, 200),
  },
  resubmitJob: {
    method: 'POST',
    path: '/v1/jobs/{job}/resubmit',
    summary: 'The spec of any ended job as a new run.',
    body: resubmitShape,
    answer: json(submittedShape, 201, 200),
  },
  validateJob: {
    method: 'POST',
    path: '/v1/validate',
    summary: 'Checks a job, its data and its models; starts nothing. 422: it is not valid.',
    body: jobRequestShape,
    answer: json(validityShape, 200, 422),
  },
  explainJob: {
    method: 'POST',
    path: '/v1/explain',
    summary: 'The plan of a job: stages, pushdown, exchanges, splits; starts nothing.',
    body: jobRequestShape,
    answer: json(planShape),
  },
  previewJob: {
    method: 'POST',
    path: '/v1/preview',
    summary: 'The first rows of a step, a source or an output as an Arrow IPC stream.',
    query: z.strictObject({
      step: z.string().default('').describe('step or source; absent: the first output'),
      rows: number(1, 10_000).default(20),
    }),
    body: jobRequestShape,
    answer: { kind: 'arrow' },
  },
  ...scheduleOperations,
  missingBlobs: {
    method: 'POST',
    path: '/v1/blobs/missing',
    summary: 'Which of these digests have to be uploaded.',
    body: digestsShape,
    answer: json(digestsShape),
  },
  putBlob: {
    method: 'PUT',
    path: '/v1/blobs/{digest}',
    summary: 'Uploads a model, its external data or a bundle; its SHA-256 is checked.',
    body: 'bytes',
    answer: json(blobShape, 201),
  },
  listWorkers: {
    method: 'GET',
    path: '/v1/workers',
    summary: 'The workers that are here.',
    answer: json(z.strictObject({ workers: z.array(workerShape) })),
  },
  drainWorker: {
    method: 'POST',
    path: '/v1/workers/{worker}/drain',
    summary: 'Lets a worker finish what it runs, then leave.',
    answer: { kind: 'nothing' },
  },
  readOpenApi: {
    method: 'GET',
    path: '/openapi.json',
    summary: 'This document.',
    answer: json(z.looseObject({ openapi: z.literal('3.1.0') })),
  },
  readMetrics: {
    method: 'GET',
    path: '/metrics',
    summary: 'Metrics in the text format of Prometheus; docs/METRICS.md lists them.',
    answer: { kind: 'metrics' },
  },
} as const satisfies Record<string, Operation>;

export type OperationId = keyof typeof operations;
