/**
 * The schedule spec: one zod schema that gives the types, the validation and the JSON Schema. What
 * users write is in docs/SCHEDULES.md. Never: what the fields mean together; that is
 * schedule-meaning.ts.
 */
import * as z from 'zod';
import { duration, identifier, path } from './spec-values.js';

/** Data sets that one schedule may wait for. */
export const assetsMax = 50;
const cron = z.string().min(1).max(200).describe('five fields, or such as @daily');
/** A day, or a time of day with or without an offset. */
export const datePattern = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)?)?$/;
const date = z
  .string()
  .max(40)
  .regex(datePattern, 'must be a date such as 2026-01-31 or a time such as 2026-01-31T06:00:00Z');

/** A data set, or a condition of several: exactly one of `output`, `files`, `all` and `any`. */
export const assetSchema = z.strictObject({
  name: z.string().min(1).max(200).optional().describe('what runs call it; default its path'),
  output: path.optional().describe("a job's output: changes when a job publishes there"),
  files: path.optional().describe('a file, a directory, or a prefix that ends in *'),
  get all(): z.ZodOptional<z.ZodArray<typeof assetSchema>> {
    return z.array(assetSchema).min(1).max(assetsMax).optional();
  },
  get any(): z.ZodOptional<z.ZodArray<typeof assetSchema>> {
    return z.array(assetSchema).min(1).max(assetsMax).optional();
  },
});
// It holds itself: documents refer to it by this name.
z.globalRegistry.add(assetSchema, { id: 'Asset' });

const times = {
  cronInterval: cron.optional().describe('a run covers the time between two firings'),
  cronTrigger: cron.optional().describe('a run starts at a firing and covers no time'),
  delta: duration.optional().describe('a run covers so much time, whatever the wall clock does'),
};
/** Its runs are those of the one and those of the other. */
export const assetOrTimeSchema = z.strictObject({ asset: assetSchema, ...times });

export const triggerSchema = z.strictObject({
  ...times,
  asset: assetSchema.optional().describe('a run starts when data sets have changed'),
  assetOrTime: assetOrTimeSchema.optional().describe('by the calendar, and when they have changed'),
  checkEvery: duration.optional().describe('how often data sets are looked at; default PT30S'),
  timezone: z.string().min(1).max(100).default('UTC').describe('IANA name'),
  startDate: date.optional().describe('no logical date before; without offset: in timezone'),
  endDate: date.optional().describe('no logical date after'),
  catchup: z.boolean().default(false).describe('make the runs that were missed since startDate'),
});

export const webhookSchema = z.strictObject({
  url: z.string().min(1).max(2048).describe('http or https; gets the run as JSON by POST'),
  tries: z.int().min(1).max(20).default(5),
  timeout: duration.default('PT10S').describe('of one try'),
});

export const overlapPolicies = ['wait', 'skip', 'replace'] as const;

export const scheduleSpecSchema = z.strictObject({
  apiVersion: z.literal('windrow/v1'),
  kind: z.literal('Schedule'),
  metadata: z.strictObject({
    name: z
      .string()
      .regex(
        /^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$/,
        'must be letters, digits, . _ and -, beginning and ending with a letter or digit',
      )
      .max(100),
    labels: z.record(z.string(), z.string()).optional(),
  }),
  job: path.describe("the job spec's path, relative to this file"),
  params: z
    .record(identifier, z.union([z.string(), z.number(), z.boolean()]))
    .default({})
    .describe('values for params that the job declares'),
  trigger: triggerSchema,
  maxActiveRuns: z.int().min(1).max(1000).default(1).describe('unfinished runs, backfills aside'),
  overlap: z
    .enum(overlapPolicies)
    .default('wait')
    .describe('what becomes of a run that is due while maxActiveRuns are unfinished'),
  startWithin: duration
    .optional()
    .describe('a run that could not be made so long after its time is skipped'),
  dependsOnPast: z.boolean().default(false).describe('start only after the run before succeeded'),
  retries: z
    .strictObject({
      count: z.int().min(0).max(100).default(0),
      delay: duration.default('PT5M'),
    })
    .prefault({}),
  timeout: duration.optional().describe('of a run, its retries included'),
  onSuccess: webhookSchema.optional().describe('who is told of a run that succeeded'),
  onFailure: webhookSchema.optional().describe('who is told of a run that failed, retries over'),
  paused: z.boolean().optional().describe('absent: a new schedule runs, an old one stays as it is'),
});

/** A validated spec with defaults filled in. */
export type ScheduleSpec = z.output<typeof scheduleSpecSchema>;
/** What users may write. */
export type ScheduleSpecInput = z.input<typeof scheduleSpecSchema>;
export type TriggerSpec = ScheduleSpec['trigger'];
export type AssetSpec = z.output<typeof assetSchema>;
export type WebhookSpec = z.output<typeof webhookSchema>;
export type OverlapPolicy = ScheduleSpec['overlap'];
