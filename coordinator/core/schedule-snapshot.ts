/** A schedule as one row of text, so that a journal need not replay what led to it. Never: I/O. */
import { WindrowError } from '../../shared/failure.js';
import type { BackfillState, RunState, ScheduleState, WebhookCall } from './schedule-state.js';

const format = 1;
/** Rows of schedules begin like this; those of jobs never do. */
const mark = '{"scheduleFormat":';

type ScheduleRow = Omit<ScheduleState, 'runs' | 'backfills' | 'calls' | 'wakeMs'> & {
  readonly scheduleFormat: number;
  readonly runs: readonly RunState[];
  readonly backfills: readonly BackfillState[];
  /** Absent in rows of older versions. */
  readonly calls?: readonly WebhookCall[];
};

export function isScheduleRow(row: string): boolean {
  return row.startsWith(mark);
}

export function scheduleToRow(schedule: ScheduleState): string {
  const { runs, backfills, calls, wakeMs: _, ...plain } = schedule;
  const row: ScheduleRow = {
    scheduleFormat: format,
    ...plain,
    runs: [...runs.values()],
    backfills: [...backfills.values()],
    calls: [...calls.values()],
  };
  return JSON.stringify(row);
}

/** @throws WindrowError E_SNAPSHOT_FORMAT when a newer version wrote the row */
export function scheduleFromRow(row: string): ScheduleState {
  const { scheduleFormat, runs, backfills, calls = [], ...plain } = JSON.parse(row) as ScheduleRow;
  if (scheduleFormat !== format) {
    throw new WindrowError({
      kind: 'broken',
      code: 'E_SNAPSHOT_FORMAT',
      message: `the journal holds a schedule in format ${scheduleFormat}, this version reads ${format}`,
      hint: 'use the version of windrow that wrote this state directory',
    });
  }
  return {
    ...plain,
    runs: new Map(runs.map((run) => [run.id, run])),
    backfills: new Map(backfills.map((backfill) => [backfill.id, backfill])),
    calls: new Map(calls.map((call) => [call.id, call])),
    // Whether there is something to do is found out at the first look.
    wakeMs: 0,
  };
}
