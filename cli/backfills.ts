/** `windrow backfill …`: verbs of backfills. Never: decides what runs again. */
import type { BackfillOptions } from '../client/schedules.js';
import type { Client } from '../client/types.js';
import { WindrowError } from '../shared/failure.js';
import type { BackfillView, ReprocessPolicy } from '../shared/schedule-views.js';
import { openClient, openReader } from './connection.js';
import { exitCodes, type ExitCode } from './exit.js';
import type { ReadFlags } from './jobs.js';
import { note, print, terminalWidth } from './output.js';
import { canAsk, confirmed } from './question.js';
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
    const backfill = await madeOrAsked(schedules, schedule, options);
    if (!backfill) {
      note('nothing was started');
      return exitCodes.usage;
    }
    print(await formatValue(backfill, flags.output, () => backfillPage(backfill)));
  }
  return exitCodes.done;
}

/** At a terminal, one of very many runs is made once somebody has said so; undefined: they said no. */
async function madeOrAsked(
  schedules: Client['schedules'],
  schedule: string,
  options: BackfillOptions,
): Promise<BackfillView | undefined> {
  try {
    return await schedules.backfill(schedule, options);
  } catch (error) {
    if (options.many || !canAsk() || !isLarge(error)) throw error;
    // Of far too many it says so itself.
    const { total } = await schedules.previewBackfill(schedule, options);
    if (!(await confirmed(`This is ${String(total)} runs of ${schedule}. Go ahead?`))) return;
    return schedules.backfill(schedule, { ...options, many: true });
  }
}

function isLarge(error: unknown): boolean {
  return error instanceof WindrowError && error.failure.code === 'E_BACKFILL_LARGE';
}

export async function listBackfills(flags: ReadFlags & { schedule?: string }): Promise<ExitCode> {
  const backfills = await (await openReader(flags)).schedules.backfills(flags.schedule);
  const table = (): string => backfillTable(backfills, terminalWidth());
  print(await formatValue(backfills, flags.output, table));
  return exitCodes.done;
}

export async function getBackfill(id: string, flags: ReadFlags): Promise<ExitCode> {
  const backfill = await (await openReader(flags)).schedules.getBackfill(id);
  print(await formatValue(backfill, flags.output, () => backfillPage(backfill)));
  return exitCodes.done;
}

export async function cancelBackfill(id: string, flags: ReadFlags): Promise<ExitCode> {
  const backfill = await (await openClient(flags)).schedules.cancelBackfill(id);
  print(await formatValue(backfill, flags.output, () => backfillPage(backfill)));
  return exitCodes.done;
}
