/** How schedules, runs and backfills look as lists and pages. Pure: views in, text out. */
import { conditionOf, conditionText } from '../shared/asset-condition.js';
import type { RunTimes } from '../shared/calendar/intervals.js';
import type {
  AssetView,
  BackfillPreview,
  BackfillView,
  RunView,
  ScheduleView,
  WebhookView,
} from '../shared/schedule-views.js';
import { describeFailure } from './exit.js';
import { formatFields, formatTable } from './table.js';

const runsShown = 20;

export function scheduleTable(schedules: readonly ScheduleView[], width?: number): string {
  if (schedules.length === 0) return 'no schedules';
  return formatTable(
    schedules,
    [
      { title: 'SCHEDULE', value: ({ schedule }) => schedule },
      { title: 'STATE', value: ({ state }) => state },
      { title: 'TRIGGER', value: triggerText },
      { title: 'NEXT RUN', value: ({ next }) => timeText(next?.runAt) },
      { title: 'LAST RUN', value: ({ runs }) => runs[0]?.state, spare: true },
      { title: 'JOB', value: ({ job }) => job, spare: true },
    ],
    60,
    width,
  );
}

export function schedulePage(schedule: ScheduleView, width = Infinity): string {
  const { runs, next, trigger } = schedule;
  const fields = formatFields([
    ['schedule', schedule.schedule],
    ['state', schedule.state],
    ['trigger', triggerText(schedule)],
    ['from', trigger.startDate],
    ['to', trigger.endDate],
    ['catchup', trigger.catchup ? 'yes' : undefined],
    ['job', schedule.job],
    ['params', paramsText(schedule)],
    ['next run', next?.runAt],
    ['waits for', schedule.awaits],
  ]);
  const parts = [fields];
  if (schedule.assets) parts.push(assetTable(schedule.assets, width));
  if (runs.length > 0) parts.push(runTable(runs.slice(0, runsShown), width));
  return parts.join('\n\n');
}

function assetTable(assets: readonly AssetView[], width?: number): string {
  return formatTable(
    assets,
    [
      { title: 'DATA SET', value: ({ name }) => name },
      { title: 'STATE', value: assetState },
      { title: 'KIND', value: ({ kind }) => kind, spare: true },
      { title: 'PATH', value: ({ path }) => path, spare: true },
      { title: 'WHY', value: ({ failure }) => failure && `${failure.code}: ${failure.message}` },
    ],
    200,
    width,
  );
}

function assetState({ changed, version, failure }: AssetView): string {
  if (failure) return 'unseen';
  if (changed) return 'changed';
  return version === undefined ? 'awaited, not there yet' : 'awaited';
}

export function runTable(runs: readonly RunView[], width?: number): string {
  return formatTable(
    runs,
    [
      { title: 'RUN', value: ({ run }) => run },
      { title: 'STATE', value: ({ state }) => state },
      { title: 'KIND', value: ({ kind }) => kind, spare: true },
      { title: 'JOB', value: ({ job }) => job, spare: true },
      { title: 'FROM', value: (run) => timeText(run.dataIntervalStart), spare: true },
      { title: 'TO', value: (run) => timeText(run.dataIntervalEnd), spare: true },
      { title: 'WHY', value: ({ because, failure }) => because ?? failure?.code ?? '' },
    ],
    200,
    width,
  );
}

export function runPage(run: RunView): string {
  const fields = formatFields([
    ['run', run.run],
    ['state', run.state],
    ['why', run.because],
    ['kind', run.kind],
    ['data interval', `${run.dataIntervalStart} to ${run.dataIntervalEnd}`],
    ['job', run.job],
    ['tries', run.tries],
    ['backfill', run.backfill],
    ['started', run.startedAt],
    ['ended', run.endedAt],
    ['changes', changesText(run)],
    ['webhook', run.webhook && webhookText(run.webhook)],
  ]);
  return run.failure ? `${fields}\n${describeFailure(run.failure)}` : fields;
}

export function timesTable(runs: readonly RunTimes[]): string {
  if (runs.length === 0) return 'no runs';
  return formatTable(runs, [
    { title: 'LOGICAL DATE', value: ({ logicalDate }) => logicalDate },
    { title: 'DATA FROM', value: ({ dataIntervalStart }) => dataIntervalStart },
    { title: 'DATA TO', value: ({ dataIntervalEnd }) => dataIntervalEnd },
    { title: 'RUNS AT', value: ({ runAt }) => runAt },
  ]);
}

export function backfillTable(backfills: readonly BackfillView[], width?: number): string {
  if (backfills.length === 0) return 'no backfills';
  return formatTable(
    backfills,
    [
      { title: 'BACKFILL', value: ({ backfill }) => backfill },
      { title: 'SCHEDULE', value: ({ schedule }) => schedule },
      { title: 'STATE', value: ({ state }) => state },
      { title: 'FROM', value: ({ from }) => timeText(from) },
      { title: 'TO', value: ({ to }) => timeText(to) },
      { title: 'RUNS', value: countsText },
    ],
    100,
    width,
  );
}

export function backfillPage(backfill: BackfillView): string {
  return formatFields([
    ['backfill', backfill.backfill],
    ['schedule', backfill.schedule],
    ['state', backfill.state],
    ['from', backfill.from],
    ['to', backfill.to],
    ['reprocess', backfill.reprocess],
    ['at a time', backfill.maxActiveRuns],
    ['order', backfill.reverse ? 'newest first' : 'oldest first'],
    ['runs', countsText(backfill)],
  ]);
}

export function previewPage({ total, passed, runs }: BackfillPreview): string {
  const more = total - passed - runs.length;
  const rest = more > 0 ? `\n… and up to ${String(more)} more` : '';
  const counts = `${String(total)} intervals, ${String(passed)} of them known to need no run`;
  return `${counts}; nothing was started\n\n${timesTable(runs)}${rest}`;
}

function countsText({ runs }: BackfillView): string {
  const { total, passed, unfinished, succeeded, failed, cancelled } = runs;
  const parts = Object.entries({ succeeded, failed, cancelled, unfinished, passed })
    .filter(([, count]) => count > 0)
    .map(([name, count]) => `${String(count)} ${name}`);
  return [`${String(total)} in all`, ...parts].join(', ');
}

function changesText({ triggeringAssetEvents: events }: RunView): string | undefined {
  if (!events) return undefined;
  return Object.entries(events)
    .map(([name, changes]) => (changes.length === 1 ? name : `${name} (${String(changes.length)})`))
    .join(', ');
}

function webhookText({ on, state, tries, failure }: WebhookView): string {
  const words = { owed: 'owed', delivered: 'delivered', givenUp: 'given up' };
  const why = failure ? `: ${failure.message}` : '';
  return `on ${on}, ${words[state]}, tries ${String(tries)}${why}`;
}

function triggerText({ trigger }: ScheduleView): string {
  const { timezone, asset, assetOrTime } = trigger;
  const awaited = asset ?? assetOrTime?.asset;
  const changes = awaited && `changes of ${conditionText(conditionOf(awaited))}`;
  const { cronInterval, cronTrigger, delta } = assetOrTime ?? trigger;
  const cron = cronInterval ?? (cronTrigger && `at ${cronTrigger}`);
  const time = delta === undefined ? cron && `${cron} ${timezone}` : `every ${delta}`;
  return [time, changes].filter((part) => part !== undefined).join(', or ');
}

function paramsText({ params }: ScheduleView): string {
  return Object.entries(params)
    .map(([name, value]) => `${name}=${String(value)}`)
    .join(', ');
}

/** UTC to the second, as people read it; JSON has it whole. */
function timeText(time: string | undefined): string {
  return time === undefined ? '' : time.slice(0, 19).replace('T', ' ');
}
