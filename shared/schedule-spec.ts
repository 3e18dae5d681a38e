/**
 * The schedule spec: one zod schema that gives the types, the validation and the JSON Schema. What
 * users write is in docs/SCHEDULES.md. Never: what the fields mean together; that is
 * schedule-meaning.ts.
 */
import * as z from 'zod';
import { duration, identifier, path } from './spec-values.js';

const cron = z.string().min(1).max(200).describe('five fields, or such as @daily');
/** A day, or a time of day with or without an offset. */
export const datePattern = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)?)?$/;
const date = z
  .string()
  .max(40)
  .regex(datePattern, 'must be a date such as 2026-01-31 or a time such as 2026-01-31T06:00:00Z');

export const triggerSchema = z.strictObject({
  cronInterval: cron.optional().describe('a run covers the time between two firings'),
  cronTrigger: cron.optional().describe('a run starts at a firing and covers no time'),
  delta: duration.optional().describe('a run covers so much time, whatever the wall clock does'),
  timezone: z.string().min(1).max(100).default('UTC').describe('IANA name'),
  startDate: date.optional().describe('no logical date before; without offset: in timezone'),
  endDate: date.optional().describe('no logical date after'),
  catchup: z.boolean().default(false).describe('make the runs that were missed since startDate'),
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
  paused: z.boolean().optional().describe('absent: a new schedule runs, an old one stays as it is'),
});

/** A validated spec with defaults filled in. */
export type ScheduleSpec = z.output<typeof scheduleSpecSchema>;
/** What users may write. */
export type ScheduleSpecInput = z.input<typeof scheduleSpecSchema>;
export type TriggerSpec = ScheduleSpec['trigger'];
export type OverlapPolicy = ScheduleSpec['overlap'];
