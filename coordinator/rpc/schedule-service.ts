/**
 * Speaks the client's wire about schedules: every verb of ScheduleService, each a call into the
 * coordinator's rooms. Turns failures into statuses; decides nothing.
 */
import type { Metadata } from '@grpc/grpc-js';
import type { CreateBackfillRequest, ScheduleServiceServer } from '../../shared/gen/windrow.js';
import { fail } from '../../shared/failure.js';
import { reprocessPolicies } from '../../shared/schedule-views.js';
import type { BackfillRequest, Backfills } from '../schedules/backfills.js';
import type { Schedules } from '../schedules/schedules.js';
import { unaryFor } from './unary.js';

/** @param authorize throws when the call may not be made (token) */
export function scheduleService(
  schedules: Schedules,
  backfills: Backfills,
  authorize: (metadata: Metadata) => void,
): ScheduleServiceServer {
  const unary = unaryFor(authorize);
  const scheduleReply = (view: unknown) => ({ scheduleJson: JSON.stringify(view) });
  const backfillReply = (view: unknown) => ({ backfillJson: JSON.stringify(view) });
  return {
    putSchedule: unary(async ({ specJson, jobJson, files }) =>
      scheduleReply(await schedules.put(specJson, { specJson: jobJson, files })),
    ),
    getSchedule: unary(async ({ name }) => scheduleReply(schedules.get(name))),
    listSchedules: unary(async () => ({
      schedulesJson: schedules.list().map((view) => JSON.stringify(view)),
    })),
    pauseSchedule: unary(async ({ name }) => scheduleReply(await schedules.pause(name, true))),
    resumeSchedule: unary(async ({ name }) => scheduleReply(await schedules.pause(name, false))),
    triggerSchedule: unary(async ({ name, requestId, interval }) => ({
      runJson: JSON.stringify(await schedules.trigger(name, keyOf(requestId), interval)),
    })),
    deleteSchedule: unary(async ({ name }) => {
      await schedules.delete(name);
      return {};
    }),
    createBackfill: unary(async (request) =>
      backfillReply(await backfills.create(backfillOf(request))),
    ),
    previewBackfill: unary(async (request) => ({
      previewJson: JSON.stringify(await backfills.preview(backfillOf(request))),
    })),
    listBackfills: unary(async ({ schedule }) => ({
      backfillsJson: backfills.list(schedule || undefined).map((view) => JSON.stringify(view)),
    })),
    getBackfill: unary(async ({ backfill }) => backfillReply(backfills.get(backfill))),
    cancelBackfill: unary(async ({ backfill }) => backfillReply(await backfills.cancel(backfill))),
  };
}

function keyOf(requestId: string): string {
  if (requestId !== '') return requestId;
  return fail('invalidSpec', 'E_REQUEST_ID', 'the call has no request_id', {
    hint: 'send a new one with each call that is not a repetition',
  });
}

function backfillOf(request: CreateBackfillRequest): BackfillRequest {
  const { schedule, fromMs, toMs, maxActiveRuns, reverse, many, requestId } = request;
  const wanted = request.reprocess || 'none';
  const reprocess = reprocessPolicies.find((policy) => policy === wanted);
  if (reprocess === undefined || maxActiveRuns < 0) {
    return fail('invalidSpec', 'E_BACKFILL_INVALID', 'no such reprocess policy or number of runs', {
      hint: `reprocess is ${reprocessPolicies.join(', ')}; runs at a time are at least 1`,
    });
  }
  return {
    schedule,
    fromMs,
    toMs,
    reprocess,
    ...(maxActiveRuns > 0 ? { maxActiveRuns } : {}),
    reverse,
    many,
    requestId: keyOf(requestId),
  };
}
