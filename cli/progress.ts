/**
 * How a job's way looks: live lines and a summary for people, NDJSON for programs. Pure: values in,
 * text out. Never: clocks, streams, the environment.
 */
import type { Failure } from '../shared/failure.js';
import type { EventView, JobView, ProgressView } from '../shared/views.js';
import { cellText, displayWidth, formatTable } from './table.js';

export function formatCount(value: number): string {
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+(?!\d))/g, ',');
}

/** Three significant digits with k, M or G: `438k`, `1.24M`. */
export function formatRate(perSecond: number): string {
  for (const [unit, size] of [
    ['G', 1e9],
    ['M', 1e6],
    ['k', 1e3],
  ] as const) {
    const scaled = perSecond / size;
    if (scaled >= 0.9995) {
      return `${scaled >= 99.95 ? scaled.toFixed(0) : scaled >= 9.995 ? scaled.toFixed(1) : scaled.toFixed(2)}${unit}`;
    }
  }
  return perSecond >= 10 || perSecond === 0 ? perSecond.toFixed(0) : perSecond.toFixed(1);
}

/** `0.4s`, `12.3s`, `2m05s`, `1h02m`, `3d04h`. */
export function formatSeconds(seconds: number): string {
  if (seconds < 59.95) return `${seconds.toFixed(1)}s`;
  const whole = Math.round(seconds);
  const two = (value: number): string => String(value).padStart(2, '0');
  if (whole < 3600) return `${String(Math.floor(whole / 60))}m${two(whole % 60)}s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 24 * 60) return `${String(Math.floor(minutes / 60))}h${two(minutes % 60)}m`;
  const hours = Math.floor(minutes / 60);
  return `${String(Math.floor(hours / 24))}d${two(hours % 24)}h`;
}

/** What is left is a guess: no tenths of a second. */
export function formatEta(seconds: number): string {
  return seconds < 59.5 ? `${String(Math.max(1, Math.round(seconds)))}s` : formatSeconds(seconds);
}

/** From 0 to 1; a job without rows is measured by its chunks. Never 1 before all is done. */
export function fractionDone(progress: ProgressView): number {
  const [done, total] =
    progress.rowsTotal > 0
      ? [progress.rowsDone, progress.rowsTotal]
      : [progress.chunksDone, progress.chunksTotal];
  if (total <= 0) return 0;
  return Math.min(1, Math.max(0, done / total));
}

export function formatBar(fraction: number, width: number): string {
  const eighths = Math.floor(fraction * width * 8);
  const full = Math.floor(eighths / 8);
  const rest = full < width ? ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'][eighths % 8]! : '';
  return ('█'.repeat(full) + rest).padEnd(width, '░');
}

const style = { dim: [2, 22], bold: [1, 22], red: [31, 39], yellow: [33, 39], green: [32, 39] };
export type Paint = (text: string, look: keyof typeof style) => string;

export function painter(color: boolean): Paint {
  return (text, look) =>
    color ? `\u001b[${String(style[look][0])}m${text}\u001b[${String(style[look][1])}m` : text;
}

export interface LiveState {
  readonly name: string;
  readonly state: string;
  readonly progress: ProgressView;
  readonly elapsedSeconds: number;
}

/** The one or two lines at the bottom of the terminal, none wider than `width`. */
export function liveLines(live: LiveState, width: number, paint: Paint): string[] {
  const { progress } = live;
  const fraction = fractionDone(progress);
  const percent = `${String(Math.floor(fraction * 100)).padStart(3)}%`;
  const counts = `${formatCount(progress.rowsDone)} / ${formatCount(progress.rowsTotal)} rows`;
  const speed = `${formatRate(progress.rowsPerSecond)} rows/s`;
  const chunks = `chunks ${formatCount(progress.chunksDone)}/${formatCount(progress.chunksTotal)}`;
  const time =
    progress.etaSeconds === undefined
      ? formatSeconds(live.elapsedSeconds)
      : `ETA ${formatEta(progress.etaSeconds)}`;
  // On a narrow terminal the time that is left is missed most.
  const wishes = [
    [counts, speed, chunks, time],
    [counts, speed, time],
    [counts, time],
  ];
  const fits = (facts: string[]): boolean => displayWidth(facts.join('  ')) + 7 <= width;
  const text = (wishes.find(fits) ?? [counts]).join('  ');
  const room = Math.min(30, width - displayWidth(text) - percent.length - 4);
  const bar = room >= 5 ? `${paint(formatBar(fraction, room), 'green')} ` : '';
  const first = `${bar}${paint(percent, 'bold')}  ${clipTo(text, width - percent.length - 2)}`;
  const doing =
    progress.waitingFor === undefined
      ? live.state === 'running'
        ? ''
        : live.state
      : `waiting: ${progress.waitingFor}`;
  return doing === '' ? [first] : [first, paint(clipTo(cellText(doing), width), 'dim')];
}

/** Events whose news the live lines or the summary tell anyway. */
const silent = new Set(['progress', 'result', 'started', 'stage', 'committing', 'files']);
const alarming = new Set(['retry', 'warning', 'workerLost', 'isolated', 'deadLetters']);

/** Events that deserve a line of their own above the live ones; undefined for all others. */
export function noticeLine(event: EventView, paint: Paint): string | undefined {
  if (silent.has(event.event)) return undefined;
  const text = eventText(event);
  if (event.event === 'submitted') {
    const reused = event['rowsReused'];
    return typeof reused === 'number' && reused > 0
      ? paint(`${formatCount(reused)} rows are done already and reused`, 'green')
      : undefined;
  }
  // The failure itself follows on stderr, with its hint.
  if (event.event === 'failure') return undefined;
  if (event.event === 'note') return paint(text, 'dim');
  const line = text === '' ? event.event : `${event.event}: ${text}`;
  return paint(line, alarming.has(event.event) ? 'yellow' : 'dim');
}

const envelope = new Set(['event', 'job', 'seq', 'time', 'message', 'text', 'code', 'failure']);

/** What an event says, in one line: its message or failure first, then its other members. */
export function eventText(event: EventView): string {
  const text = event['text'] ?? wellKnownText(event);
  if (typeof text === 'string') return cellText(text);
  const { code, message } = (event['failure'] ?? event) as Partial<Failure>;
  const what = [code, message].filter((part) => typeof part === 'string').join(': ');
  const rest = Object.entries(event)
    .filter(([name, value]) => !envelope.has(name) && value !== undefined)
    .map(([name, value]) => `${name} ${cellText(value)}`)
    .join(', ');
  if (what === '') return rest;
  return cellText(rest === '' ? what : `${what} (${rest})`);
}

/** Events that every job has, as sentences; undefined for all others and for shapes unheard of. */
function wellKnownText(event: EventView): string | undefined {
  const count = (field: string): string => formatCount(Number(event[field]));
  const { worker, reason } = event as { worker?: unknown; reason?: unknown };
  switch (event.event) {
    case 'submitted':
      return typeof event['rowsTotal'] === 'number'
        ? `${count('rowsTotal')} rows in ${count('chunksTotal')} chunks, ${count('rowsReused')} rows reused`
        : undefined;
    case 'started':
      return typeof worker === 'string' ? `on ${worker}` : undefined;
    case 'stage':
      return typeof event['stage'] === 'string' && typeof event['state'] === 'string'
        ? `${event['stage']} is ${event['state']}, ${count('chunksDone')} of ${count('chunks')} chunks done`
        : undefined;
    case 'committing':
      return 'the output is being published';
    case 'cancelled':
      return reason === 'user' ? 'on request' : typeof reason === 'string' ? reason : undefined;
    case 'result': {
      const rows = event['rows'] as JobView['rows'] | undefined;
      const how = event['upToDate'] === true ? 'up to date' : String(event['state']);
      return rows ? `${how}: ${booksText(rows)}` : undefined;
    }
    default:
      return undefined;
  }
}

/** `in = out + filtered + dead`, or `in`, `out` alone where rows are not kept one to one. */
export function booksLine(view: JobView): string {
  return booksText(view.rows);
}

function booksText(rows: JobView['rows']): string {
  const books = `${formatCount(rows.in)} in = ${formatCount(rows.out)} out + ${formatCount(rows.filtered)} filtered + ${formatCount(rows.deadLettered)} dead-lettered`;
  return rows.in === rows.out + rows.filtered + rows.deadLettered
    ? books
    : books.replace(' = ', ', ').replaceAll(' + ', ', ');
}

/** What stands on the terminal when a job has ended. */
export function summary(view: JobView, elapsedSeconds: number, paint: Paint): string {
  const good = view.state === 'succeeded';
  const title = view.upToDate ? 'up to date' : view.state;
  const lines = [
    `${paint(title, good ? 'green' : 'red')}  ${paint(view.name, 'bold')}  ${view.job}  ${paint(formatSeconds(elapsedSeconds), 'dim')}`,
    `rows      ${booksLine(view)}`,
    `inferred  ${formatCount(view.rowsInferred)} rows by a model now, ${formatCount(view.rowsReused)} rows reused from earlier work`,
  ];
  const warnings = Object.entries(view.warnings);
  if (warnings.length > 0) {
    lines.push(
      `warnings  ${warnings.map(([name, count]) => `${cellText(name)} ${formatCount(count)}`).join(', ')}`,
    );
  }
  if (view.retries > 0) lines.push(`retries   ${formatCount(view.retries)}`);
  if (good && view.outputs.length > 0) {
    lines.push(
      '',
      formatTable(
        view.outputs,
        [
          { title: 'OUTPUT', value: (output) => output.name },
          { title: 'ROWS', value: (output) => countOrBlank(output.rows), align: 'right' },
          { title: 'FILES', value: (output) => countOrBlank(output.files), align: 'right' },
          { title: 'PATH', value: (output) => output.path },
        ],
        200,
      ),
    );
  }
  return lines.join('\n');
}

/** The NDJSON line of any event that is not the result. */
export function eventLine({ event, job, ...members }: EventView): string {
  return JSON.stringify({ event, job, ...members });
}

export function progressLine(job: string, progress: ProgressView): string {
  return JSON.stringify({ event: 'progress', job, ...progress });
}

/** The last NDJSON line. */
export function resultLine(view: JobView, elapsedSeconds: number): string {
  return JSON.stringify({
    event: 'result',
    job: view.job,
    name: view.name,
    state: view.state,
    rows: view.rows,
    rowsInferred: view.rowsInferred,
    rowsReused: view.rowsReused,
    upToDate: view.upToDate,
    outputs: view.outputs,
    ...(Object.keys(view.warnings).length > 0 ? { warnings: view.warnings } : {}),
    ...(view.failure ? { failure: view.failure } : {}),
    elapsedSeconds: Number(elapsedSeconds.toFixed(3)),
  });
}

function countOrBlank(value: number | undefined): string {
  return value === undefined ? '' : formatCount(value);
}

function clipTo(text: string, width: number): string {
  return displayWidth(text) <= width
    ? text
    : `${[...text].slice(0, Math.max(0, width - 1)).join('')}…`;
}
