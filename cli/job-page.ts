/** How jobs look as lists and pages. Pure: views in, text out. */
import { describeFailure } from './exit.js';
import {
  booksLine,
  eventText,
  formatCount,
  formatEta,
  formatRate,
  formatSeconds,
  fractionDone,
} from './progress.js';
import { cellText, formatFields, formatTable } from './table.js';
import type { EventView, JobView, LogView, WhyView, WorkerView } from '../shared/views.js';

/** Tables fit into `width` columns where they can. */
export function jobTable(jobs: readonly JobView[], width?: number): string {
  if (jobs.length === 0) return 'no jobs';
  return formatTable(
    jobs,
    [
      { title: 'JOB', value: (job) => job.job },
      { title: 'NAME', value: (job) => job.name },
      { title: 'STATE', value: (job) => (job.upToDate ? 'up to date' : job.state) },
      { title: 'DONE', value: (job) => percentText(job), align: 'right' },
      { title: 'ROWS IN', value: (job) => formatCount(job.rows.in), align: 'right', spare: true },
      { title: 'ROWS OUT', value: (job) => formatCount(job.rows.out), align: 'right', spare: true },
      { title: 'SUBMITTED', value: (job) => timeText(job.submittedAt), spare: true },
    ],
    60,
    width,
  );
}

/** `get` for people: one job in a few lines. */
export function jobFields(job: JobView): string {
  const { progress } = job;
  const ended = job.endedAt !== undefined;
  return formatFields([
    ['job', job.job],
    ['name', job.name],
    ['state', stateText(job)],
    ['submitted', job.submittedAt],
    ['ended', job.endedAt],
    ['took', ended ? tookText(job) : undefined],
    ['rows', booksLine(job)],
    ['inferred', `${formatCount(job.rowsInferred)} now, ${formatCount(job.rowsReused)} reused`],
    ['progress', ended ? undefined : progressText(job)],
    ['waiting', progress.waitingFor],
    ['retries', job.retries > 0 ? formatCount(job.retries) : undefined],
    [
      'warnings',
      Object.entries(job.warnings)
        .map(([name, count]) => `${name} ${formatCount(count)}`)
        .join(', '),
    ],
  ]);
}

/** `describe`: everything about one job on a page. */
export function jobPage(
  job: JobView,
  why: WhyView | undefined,
  events: readonly EventView[],
  width = Infinity,
): string {
  const parts = [jobFields(job)];
  if (why) parts.push(`why\n${indent(cellText(why.answer))}`);
  if (job.failure) parts.push(describeFailure(job.failure));
  if (job.stages.length > 0) {
    parts.push(
      `stages\n${indent(
        formatTable(job.stages, [
          { title: 'STAGE', value: (stage) => stage.id },
          { title: 'STATE', value: (stage) => stage.state },
          { title: 'TASKS', value: (stage) => `${String(stage.tasksDone)}/${String(stage.tasks)}` },
          { title: 'RUNNING', value: (stage) => stage.tasksRunning, align: 'right' },
          {
            title: 'CHUNKS',
            value: (stage) => `${String(stage.chunksDone)}/${String(stage.chunks)}`,
          },
        ]),
      )}`,
    );
  }
  if (job.outputs.length > 0) {
    parts.push(
      `outputs\n${indent(
        formatTable(
          job.outputs,
          [
            { title: 'OUTPUT', value: (output) => output.name },
            { title: 'ROWS', value: (output) => countText(output.rows), align: 'right' },
            { title: 'FILES', value: (output) => countText(output.files), align: 'right' },
            { title: 'PATH', value: (output) => output.path },
          ],
          200,
        ),
      )}`,
    );
  }
  if (events.length > 0) parts.push(`events\n${indent(eventTable(events, width - 2))}`);
  return parts.join('\n\n');
}

export function eventTable(events: readonly EventView[], width?: number): string {
  if (events.length === 0) return 'no events';
  return formatTable(
    events,
    [
      { title: 'SEQ', value: (event) => event.seq, align: 'right' },
      { title: 'TIME', value: (event) => timeText(event.time) },
      { title: 'EVENT', value: (event) => event.event },
      { title: 'WHAT', value: eventText },
    ],
    1000,
    width,
  );
}

/** One event as a line, for `events --follow`. */
export function eventRow(event: EventView): string {
  return `${event.time}  ${event.event.padEnd(12)}  ${eventText(event)}`.trimEnd();
}

/** A log line as the client tells it. */
export function logLine(line: Omit<LogView, 'time'> & { timeMs: number }): LogView {
  const { timeMs, ...more } = line;
  return { time: new Date(timeMs).toISOString(), ...more };
}

export function logTable(lines: readonly LogView[], width?: number): string {
  if (lines.length === 0) return 'no log lines';
  const columns = (['time', 'level', 'worker', 'text'] as const).map((name) => ({
    title: name.toUpperCase(),
    value: (line: LogView) => line[name],
  }));
  return formatTable(lines, columns, 10_000, width);
}

/** One log line, for `logs --follow`. */
export function logRow({ time, level, worker, text }: LogView): string {
  return `${time}  ${level.padEnd(5)}  ${worker}  ${cellText(text)}`;
}

export function workerTable(workers: readonly WorkerView[]): string {
  if (workers.length === 0) return 'no workers';
  return formatTable(workers, [
    { title: 'WORKER', value: (worker) => worker.worker },
    { title: 'STATE', value: (worker) => worker.state },
    { title: 'HOST', value: (worker) => worker.host },
    { title: 'PID', value: (worker) => worker.pid, align: 'right' },
    { title: 'POOLS', value: (worker) => worker.pools },
    {
      title: 'BUSY',
      value: (worker) => `${String(worker.busy)}/${String(worker.slots)}`,
      align: 'right',
    },
    { title: 'DEVICES', value: (worker) => worker.devices },
    {
      title: 'MEMORY',
      value: (worker) => `${String(Math.round(worker.rssBytes / 2 ** 20))} MiB`,
      align: 'right',
    },
  ]);
}

function countText(count: number | undefined): string | undefined {
  return count === undefined ? undefined : formatCount(count);
}

function stateText(job: JobView): string {
  return job.upToDate ? `${job.state} (up to date)` : job.state;
}

function percentText(job: JobView): string {
  if (job.state === 'succeeded') return '100%';
  return `${String(Math.floor(fractionDone(job.progress) * 100))}%`;
}

function progressText({ progress, state }: JobView): string {
  const { rowsDone, rowsTotal, rowsPerSecond, etaSeconds } = progress;
  return [
    `${String(Math.floor(fractionDone(progress) * 100))}%`,
    `${formatCount(rowsDone)} of ${formatCount(rowsTotal)} rows`,
    ...(state === 'suspended' ? [] : [`${formatRate(rowsPerSecond)} rows/s`]),
    ...(etaSeconds === undefined ? [] : [`ETA ${formatEta(etaSeconds)}`]),
  ].join(', ');
}

/** UTC to the second, as people read it; JSON has it whole. */
function timeText(time: string): string {
  return time.slice(0, 19).replace('T', ' ');
}

function tookText(job: JobView): string {
  return formatSeconds((Date.parse(job.endedAt!) - Date.parse(job.submittedAt)) / 1000);
}

function indent(text: string): string {
  return text
    .split('\n')
    .map((line) => `  ${line}`)
    .join('\n');
}
