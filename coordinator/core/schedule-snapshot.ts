/** A schedule as one row of text, so that a journal need not replay what led to it. Never: I/O. */
import { WindrowError } from '../../shared/failure.js';
import type { BackfillState, RunState, ScheduleState } from './schedule-state.js';

const format = 1;
/** Rows of schedules begin like this; those of jobs never do. */
const mark = '{"scheduleFormat":';

type ScheduleRow = Omit<ScheduleState, 'runs' | 'backfills' | 'wakeMs'> & {
  readonly scheduleFormat: number;
  readonly runs: readonly RunState[];
  readonly backfills: readonly BackfillState[];
};

export function isScheduleRow(row: string): boolean {
  return row.startsWith(mark);
}

export function scheduleToRow({ runs, backfills, wakeMs: _, ...plain }: ScheduleState): string {
  const row: ScheduleRow = {
    scheduleFormat: format,
    ...plain,
    runs: [...runs.values()],
    backfills: [...backfills.values()],
  };
  return JSON.stringify(row);
}

/** @throws WindrowError E_SNAPSHOT_FORMAT when a newer version wrote the row */
export function scheduleFromRow(row: string): ScheduleState {
  const { scheduleFormat, runs, backfills, ...plain } = JSON.parse(row) as ScheduleRow;
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
    // Whether there is something to do is found out at the first look.
    wakeMs: 0,
  };
}
