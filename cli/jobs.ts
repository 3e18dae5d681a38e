/** Verbs that read jobs: `list`, `get`, `describe`, `events`, `logs`, `why`, `wait`. */
import type { EventView, JobView, LogView } from '../shared/views.js';
import type { ConnectionFlags } from './connection.js';
import { findClient, openReader, remoteAddress } from './connection.js';
import type { ExitCode } from './exit.js';
import { exitCodeOfState, exitCodes, isUnreachable } from './exit.js';
import { interruption } from './interrupt.js';
import {
  eventRow,
  eventTable,
  jobFields,
  jobPage,
  jobTable,
  logLine,
  logRow,
  logTable,
} from './job-page.js';
import { print, reportError, terminalWidth } from './output.js';
import type { OutputFormat } from './table.js';
import { cellText, formatJson, formatValue } from './table.js';
import { WindrowError } from '../shared/failure.js';
import { unlessAborted } from '../shared/unless-aborted.js';

export interface ReadFlags extends ConnectionFlags {
  readonly output: OutputFormat;
}

export async function listJobs(
  flags: ReadFlags & { status?: string; limit?: number },
): Promise<ExitCode> {
  const reader = await openReader(flags);
  const jobs = await reader.list({
    ...(flags.status === undefined ? {} : { state: flags.status }),
    ...(flags.limit === undefined ? {} : { limit: flags.limit }),
  });
  print(await formatValue(jobs, flags.output, () => jobTable(jobs, terminalWidth())));
  return exitCodes.done;
}

export async function getJob(job: string, flags: ReadFlags): Promise<ExitCode> {
  const view = await (await openReader(flags)).get(job);
  print(await formatValue(view, flags.output, () => jobFields(view)));
  return exitCodes.done;
}

export async function describeJob(job: string, flags: ReadFlags): Promise<ExitCode> {
  const reader = await openReader(flags);
  const view = await reader.get(job);
  // Of a run more is to be said than of the job of its last try.
  const why = await reader.why(job);
  const events = (await collectEvents(reader.events(view.job, { follow: false }))).slice(-20);
  const page = { ...view, why, events };
  const text = (): string => jobPage(view, why, events, terminalWidth());
  print(await formatValue(page, flags.output, text));
  return exitCodes.done;
}

export async function whyJob(job: string, flags: ReadFlags): Promise<ExitCode> {
  const why = await (await openReader(flags)).why(job);
  print(await formatValue(why, flags.output, () => cellText(why.answer)));
  return exitCodes.done;
}

export async function showEvents(
  job: string,
  flags: ReadFlags & { follow?: boolean; after?: number },
): Promise<ExitCode> {
  const after = flags.after === undefined ? {} : { afterSeq: flags.after };
  if (flags.follow !== true) {
    const reader = await openReader(flags);
    const events = await collectEvents(reader.events(job, { follow: false, ...after }));
    print(await formatValue(events, flags.output, () => eventTable(events, terminalWidth())));
    return exitCodes.done;
  }
  const client = await findClient(flags);
  if (!client) {
    const reader = await openReader(flags);
    for await (const event of reader.events(job, { follow: false, ...after })) {
      print(await formatItem(event, flags.output, () => eventRow(event)));
    }
    failIfUnfinished(await reader.get(job));
    return exitCodes.done;
  }
  return followed(job, flags, async (signal) => {
    for await (const event of client.events(job, { follow: true, signal, ...after })) {
      print(await formatItem(event, flags.output, () => eventRow(event)));
    }
  });
}

export async function showLogs(
  job: string,
  flags: ReadFlags & { follow?: boolean },
): Promise<ExitCode> {
  if (flags.follow !== true) {
    const lines: LogView[] = [];
    for await (const line of (await openReader(flags)).logs(job)) lines.push(logLine(line));
    print(await formatValue(lines, flags.output, () => logTable(lines, terminalWidth())));
    return exitCodes.done;
  }
  const client = await findClient(flags);
  if (!client) {
    const reader = await openReader(flags);
    for await (const line of reader.logs(job)) await printLine(line, flags);
    failIfUnfinished(await reader.get(job));
    return exitCodes.done;
  }
  return followed(job, flags, async (signal) => {
    for await (const line of client.logs(job, { follow: true, signal })) {
      await printLine(line, flags);
    }
  });
}

/** Tells of a job until it has ended; where its coordinator goes for good, what became of it is in the journal. */
function followed(
  job: string,
  flags: ReadFlags,
  tell: (signal: AbortSignal) => Promise<void>,
): Promise<ExitCode> {
  return untilInterrupted(async (signal) => {
    try {
      await tell(signal);
    } catch (error) {
      if (remoteAddress(flags) !== undefined || !isUnreachable(error)) throw error;
      failIfUnfinished(await (await openReader(flags)).get(job));
    }
    return exitCodes.done;
  });
}

async function printLine(line: Parameters<typeof logLine>[0], flags: ReadFlags): Promise<void> {
  const view = logLine(line);
  print(await formatItem(view, flags.output, () => logRow(view)));
}

export async function waitForJob(
  job: string,
  flags: ReadFlags & { timeout?: number },
): Promise<ExitCode> {
  const untilMs = flags.timeout === undefined ? undefined : performance.now() + flags.timeout;
  return untilInterrupted(async (signal) => {
    for (;;) {
      const client = await findClient(flags);
      if (!client) {
        // Nobody works on it, so waiting helps only if it has ended already.
        const view = await (await openReader(flags)).get(job);
        failIfUnfinished(view);
        return conclude(view, flags);
      }
      const timeout =
        untilMs === undefined ? {} : { timeoutMs: Math.max(1, untilMs - performance.now()) };
      try {
        return await conclude(await client.wait(job, { signal, ...timeout }), flags);
      } catch (error) {
        // The owner of the state directory has ended: another may have taken over, or nobody.
        if (remoteAddress(flags) !== undefined || !isUnreachable(error)) throw error;
        client.close();
      }
    }
  });
}

/** @throws WindrowError E_UNREACHABLE: nobody works on it */
function failIfUnfinished({ job, name, state, endedAt }: JobView): void {
  if (endedAt !== undefined) return;
  throw new WindrowError({
    kind: 'io',
    code: 'E_UNREACHABLE',
    message: `job ${job} (${name}) is ${state}, and no coordinator works on it`,
    hint: 'run its spec again to go on with it',
  });
}

async function conclude(view: JobView, flags: ReadFlags): Promise<ExitCode> {
  print(await formatValue(view, flags.output, () => jobFields(view)));
  if (view.failure) reportError(new WindrowError(view.failure), false);
  return exitCodeOfState(view.state);
}

/** Runs until its end or Ctrl-C; the work on the job is not touched by that. */
async function untilInterrupted(
  work: (signal: AbortSignal) => Promise<ExitCode>,
): Promise<ExitCode> {
  const interrupt = interruption();
  try {
    return await unlessAborted(work(interrupt.signal), interrupt.signal);
  } catch (error) {
    if (interrupt.signal.aborted) return exitCodes.interrupted;
    throw error;
  } finally {
    interrupt.restore();
  }
}

async function collectEvents(events: AsyncIterable<EventView>): Promise<EventView[]> {
  const all: EventView[] = [];
  for await (const event of events) all.push(event);
  return all;
}

/** One item of a stream: NDJSON, a YAML document, or a line. */
async function formatItem(value: unknown, format: OutputFormat, line: () => string) {
  if (format === 'json') return formatJson(value, 0);
  if (format === 'table') return line();
  return `---\n${await formatValue(value, 'yaml', line)}`;
}
