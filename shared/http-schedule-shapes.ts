/**
 * Schedules, runs and backfills as they travel through the HTTP door, as zod schemas: requests are
 * checked by them, and the OpenAPI document is made of them.
 */
import * as z from 'zod';
import type { AssetEvents } from './asset-condition.js';
import type { RunTimes } from './calendar/intervals.js';
import { failureShape, jobSpecShape } from './http-shapes.js';
import { count, describes, files, instant, requestId, time } from './http-values.js';
import { triggerSchema } from './schedule-spec.js';
import {
  reprocessPolicies,
  runKinds,
  runStateNames,
  type AssetView,
  type BackfillPreview,
  type BackfillView,
  type RunView,
  type ScheduleView,
  type WebhookView,
} from './schedule-views.js';

const times = z.strictObject({
  logicalDate: time,
  dataIntervalStart: time,
  dataIntervalEnd: time,
  runAt: time,
});
export const runTimesShape = describes<RunTimes>()(times.meta({ id: 'RunTimes' }));

const assetEvents = describes<AssetEvents>()(
  z.record(
    z.string(),
    z.array(
      z.strictObject({
        uri: z.string(),
        timestamp: time,
        extra: z.record(z.string(), z.union([z.string(), z.number()])),
      }),
    ),
  ),
);

const webhook = describes<WebhookView>()(
  z.strictObject({
    on: z.enum(['success', 'failure']),
    state: z.enum(['owed', 'delivered', 'givenUp']),
    tries: count,
    failure: failureShape.exactOptional().describe('of the last try'),
  }),
);

const asset = describes<AssetView>()(
  z.strictObject({
    name: z.string(),
    kind: z.enum(['output', 'files']),
    path: z.string(),
    changed: z.boolean().describe('since the last run that was made for its changes'),
    version: z.string().exactOptional().describe('absent while nothing is there'),
    failure: failureShape.exactOptional().describe('why it could not be looked at'),
  }),
);

export const runShape = describes<RunView>()(
  times
    .extend({
      run: z.string(),
      kind: z.enum(runKinds),
      state: z.enum(runStateNames),
      tries: count,
      job: z.string().exactOptional().describe('the job of the last try'),
      backfill: z.string().exactOptional(),
      startedAt: time.exactOptional(),
      endedAt: time.exactOptional(),
      failure: failureShape.exactOptional(),
      because: z.string().exactOptional().describe('what it waits for, or why it was skipped'),
      triggeringAssetEvents: assetEvents.exactOptional().describe('the changes it was made for'),
      webhook: webhook.exactOptional(),
    })
    .meta({ id: 'Run' }),
);

export const scheduleShape = describes<ScheduleView>()(
  z
    .strictObject({
      schedule: z.string(),
      state: z.enum(['active', 'paused']),
      job: z.string().describe("the job spec's path, as the schedule names it"),
      trigger: triggerSchema,
      params: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
      maxActiveRuns: count,
      next: runTimesShape.exactOptional(),
      assets: z.array(asset).exactOptional().describe('of schedules of data sets'),
      awaits: z.string().exactOptional().describe('changes that the next run is made for'),
      runs: z.array(runShape).describe('newest intervals first, at most 100'),
    })
    .meta({ id: 'Schedule' }),
);

const reprocess = z.enum(reprocessPolicies);

export const backfillShape = describes<BackfillView>()(
  z
    .strictObject({
      backfill: z.string(),
      schedule: z.string(),
      state: z.enum(['running', 'cancelling', 'succeeded', 'failed', 'cancelled']),
      from: time,
      to: time,
      reprocess,
      maxActiveRuns: count,
      reverse: z.boolean(),
      runs: z.strictObject({
        total: count,
        passed: count,
        unfinished: count,
        succeeded: count,
        failed: count,
        cancelled: count,
      }),
    })
    .meta({ id: 'Backfill' }),
);

export const backfillPreviewShape = describes<BackfillPreview>()(
  z
    .strictObject({
      total: count,
      passed: count,
      runs: z.array(runTimesShape).describe('the first 100 that would be made'),
    })
    .meta({ id: 'BackfillPreview' }),
);

/** Checked as every schedule is, with its own errors; the document has the whole schema. */
export const scheduleSpecShape = z.record(z.string(), z.unknown()).meta({
  id: 'ScheduleSpec',
  description: 'a schedule; the path in `job` is a name, and not read',
});

export const scheduleRequestShape = z.strictObject({
  spec: scheduleSpecShape,
  job: jobSpecShape,
  files,
});

export const triggerShape = z.strictObject({
  start: instant.optional().describe('of its data interval; absent: the latest complete one'),
  end: instant.optional(),
  requestId,
});

export const backfillRequestShape = z.strictObject({
  schedule: z.string(),
  from: instant.describe('the first logical date'),
  to: instant.describe('the last logical date'),
  reprocess: reprocess.default('none'),
  maxActiveRuns: z.int().min(1).max(1000).optional().describe("absent: the schedule's"),
  reverse: z.boolean().default(false).describe('newest first'),
  many: z.boolean().default(false).describe('go ahead although it is more than 1000 runs'),
  requestId,
});
