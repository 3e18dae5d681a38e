/**
 * The verbs of schedules and backfills at the HTTP door, each a call of the one verb there is. Never:
 * decides when anything runs.
 */
import { randomUUID } from 'node:crypto';
import type * as z from 'zod';
import { fail } from '../../shared/failure.js';
import type { scheduleOperations } from '../../shared/http-schedule-operations.js';
import type { backfillRequestShape, triggerShape } from '../../shared/http-schedule-shapes.js';
import { instantOf } from '../../shared/schedule-meaning.js';
import type { BackfillRequest, Backfills } from '../schedules/backfills.js';
import type { Schedules } from '../schedules/schedules.js';
import { type Handlers, nothing, ok } from './asked.js';
import { scheduleRequest } from './requests.js';

export interface ScheduleVerbs {
  readonly schedules: Schedules;
  readonly backfills: Backfills;
}

export function scheduleHandlers({
  schedules,
  backfills,
}: ScheduleVerbs): Handlers<keyof typeof scheduleOperations> {
  return {
    putSchedule: async ({ body }) => {
      const { specJson, job } = scheduleRequest(body);
      return ok(await schedules.put(specJson, job));
    },
    listSchedules: async () => ok({ schedules: schedules.list() }),
    getSchedule: async ({ params }) => ok(schedules.get(params['schedule']!)),
    deleteSchedule: async ({ params }) => {
      await schedules.delete(params['schedule']!);
      return nothing;
    },
    nextRuns: async ({ params, query: { from, count } }) => {
      const fromMs = from === undefined ? undefined : utcMs(from);
      return ok({ runs: schedules.next(params['schedule']!, fromMs, count) });
    },
    pauseSchedule: async ({ params }) => ok(await schedules.pause(params['schedule']!, true)),
    resumeSchedule: async ({ params }) => ok(await schedules.pause(params['schedule']!, false)),
    triggerSchedule: async ({ params, body }) => {
      const interval = intervalOf(body);
      const requestId = body.requestId || randomUUID();
      return ok(await schedules.trigger(params['schedule']!, requestId, interval));
    },
    createBackfill: async ({ body }) => ok(await backfills.create(backfillRequest(body))),
    previewBackfill: async ({ body }) => ok(await backfills.preview(backfillRequest(body))),
    listBackfills: async ({ query }) => ok({ backfills: backfills.list(query.schedule) }),
    getBackfill: async ({ params }) => ok(backfills.get(params['backfill']!)),
    cancelBackfill: async ({ params }) => ok(await backfills.cancel(params['backfill']!)),
  };
}

/** @throws WindrowError E_REQUEST where it is half an interval, or ends before it begins */
function intervalOf({ start, end }: z.output<typeof triggerShape>) {
  if (start === undefined && end === undefined) return undefined;
  const startMs = start === undefined ? Infinity : utcMs(start);
  const endMs = end === undefined ? -Infinity : utcMs(end);
  if (startMs <= endMs) return { startMs, endMs };
  return fail('invalidSpec', 'E_REQUEST', 'start and end do not make an interval', {
    hint: 'give both, start first',
  });
}

function backfillRequest(body: z.output<typeof backfillRequestShape>): BackfillRequest {
  const { from, to, maxActiveRuns, requestId, ...rest } = body;
  return {
    ...rest,
    fromMs: utcMs(from),
    toMs: utcMs(to),
    ...(maxActiveRuns === undefined ? {} : { maxActiveRuns }),
    requestId: requestId || randomUUID(),
  };
}

function utcMs(text: string): number {
  return instantOf(text, 'UTC');
}
