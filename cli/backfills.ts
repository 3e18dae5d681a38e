/** `windrow backfill …`: verbs of backfills. Never: decides what runs again. */
import type { ReprocessPolicy } from '../shared/schedule-views.js';
import { openClient } from './connection.js';
import { exitCodes, type ExitCode } from './exit.js';
import type { ReadFlags } from './jobs.js';
import { print, terminalWidth } from './output.js';
import { backfillPage, backfillTable, previewPage } from './schedule-page.js';
import { formatValue } from './table.js';

export interface CreateBackfillFlags extends ReadFlags {
  readonly from: number;
  readonly to: number;
  readonly reprocess: ReprocessPolicy;
  readonly maxActiveRuns?: number;
  readonly reverse?: boolean;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
  readonly requestId?: string;
}

export async function createBackfill(
  schedule: string,
  flags: CreateBackfillFlags,
): Promise<ExitCode> {
  const { from, to, reprocess, maxActiveRuns, reverse, yes, requestId } = flags;
  const options = {
    from: new Date(from),
    to: new Date(to),
    reprocess,
    ...(maxActiveRuns === undefined ? {} : { maxActiveRuns }),
    reverse: reverse ?? false,
    many: yes ?? false,
    ...(requestId === undefined ? {} : { requestId }),
  };
  const { schedules } = await openClient(flags);
  if (flags.dryRun) {
    const preview = await schedules.previewBackfill(schedule, options);
    print(await formatValue(preview, flags.output, () => previewPage(preview)));
  } else {
    const backfill = await schedules.backfill(schedule, options);
    print(await formatValue(backfill, flags.output, () => backfillPage(backfill)));
  }
  return exitCodes.done;
}

export async function listBackfills(flags: ReadFlags & { schedule?: string }): Promise<ExitCode> {
  const backfills = await (await openClient(flags)).schedules.backfills(flags.schedule);
  const table = (): string => backfillTable(backfills, terminalWidth());
  print(await formatValue(backfills, flags.output, table));
  return exitCodes.done;
}

export async function getBackfill(id: string, flags: ReadFlags): Promise<ExitCode> {
  const backfill = await (await openClient(flags)).schedules.getBackfill(id);
  print(await formatValue(backfill, flags.output, () => backfillPage(backfill)));
  return exitCodes.done;
}

export async function cancelBackfill(id: string, flags: ReadFlags): Promise<ExitCode> {
  const backfill = await (await openClient(flags)).schedules.cancelBackfill(id);
  print(await formatValue(backfill, flags.output, () => backfillPage(backfill)));
  return exitCodes.done;
}
