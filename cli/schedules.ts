/** `windrow schedule …`: verbs of schedules. Never: decides when anything runs. */
import { existsSync } from 'node:fs';
import { conditionText } from '../shared/asset-condition.js';
import { assetTriggerOf, comingRuns } from '../shared/schedule-meaning.js';
import type { TriggerSpec } from '../shared/schedule-spec.js';
import type { ScheduleView } from '../shared/schedule-views.js';
import type { ConnectionFlags } from './connection.js';
import { openClient, openReader } from './connection.js';
import { exitCodes, usageError, type ExitCode } from './exit.js';
import type { ReadFlags } from './jobs.js';
import { note, print, terminalWidth } from './output.js';
import { runPage, schedulePage, scheduleTable, timesTable } from './schedule-page.js';
import { formatValue } from './table.js';

export async function createSchedule(spec: string, flags: ReadFlags): Promise<ExitCode> {
  const { loadSchedule } = await import('../client/load-schedule.js');
  const loaded = await loadSchedule(spec);
  const client = await openClient(flags);
  return show(await client.schedules.create(loaded), flags);
}

export async function listSchedules(flags: ReadFlags): Promise<ExitCode> {
  const schedules = await (await openReader(flags)).schedules.list();
  const table = (): string => scheduleTable(schedules, terminalWidth());
  print(await formatValue(schedules, flags.output, table));
  return exitCodes.done;
}

export async function getSchedule(name: string, flags: ReadFlags): Promise<ExitCode> {
  return show(await (await openReader(flags)).schedules.get(name), flags);
}

/** Of a file without asking anybody; of a name as its coordinator has it. */
export async function nextOfSchedule(
  specOrName: string,
  flags: ReadFlags & { from?: number; count: number },
): Promise<ExitCode> {
  const { trigger, awaits } = await nextOf(specOrName, flags);
  const runs = comingRuns(trigger, flags.from ?? Date.now(), flags.count);
  if (awaits !== undefined) note(`a run is made once these have changed: ${awaits}`);
  print(await formatValue(runs, flags.output, () => timesTable(runs)));
  return exitCodes.done;
}

export async function pauseSchedule(name: string, flags: ReadFlags): Promise<ExitCode> {
  return show(await (await openClient(flags)).schedules.pause(name), flags);
}

export async function resumeSchedule(name: string, flags: ReadFlags): Promise<ExitCode> {
  return show(await (await openClient(flags)).schedules.resume(name), flags);
}

export async function triggerSchedule(
  name: string,
  flags: ReadFlags & { start?: number; end?: number; requestId?: string },
): Promise<ExitCode> {
  const { start, end, requestId } = flags;
  if ((start === undefined) !== (end === undefined) || (start ?? 0) > (end ?? 0)) {
    throw usageError('--start and --end do not make an interval', 'give both, --start first');
  }
  const client = await openClient(flags);
  const run = await client.schedules.trigger(name, {
    ...(start === undefined || end === undefined
      ? {}
      : { interval: { start: new Date(start), end: new Date(end) } }),
    ...(requestId === undefined ? {} : { requestId }),
  });
  print(await formatValue(run, flags.output, () => runPage(run)));
  return exitCodes.done;
}

export async function deleteSchedule(name: string, flags: ConnectionFlags): Promise<ExitCode> {
  await (await openClient(flags)).schedules.delete(name);
  note(`schedule ${name} is deleted; what its runs published stays`);
  return exitCodes.done;
}

async function show(schedule: ScheduleView, flags: ReadFlags): Promise<ExitCode> {
  const page = (): string => schedulePage(schedule, terminalWidth());
  print(await formatValue(schedule, flags.output, page));
  return exitCodes.done;
}

/** When it runs; of data sets, what is awaited: of a schedule that was made, what still is. */
async function nextOf(
  specOrName: string,
  flags: ReadFlags,
): Promise<{ trigger: TriggerSpec; awaits?: string | undefined }> {
  if (!/[/\\]|\.(ya?ml|json)$/i.test(specOrName) && !existsSync(specOrName)) {
    return (await openReader(flags)).schedules.get(specOrName);
  }
  const { readSchedule } = await import('../client/load-schedule.js');
  const { trigger } = await readSchedule(specOrName);
  const assets = assetTriggerOf(trigger);
  return { trigger, awaits: assets && conditionText(assets.condition) };
}
