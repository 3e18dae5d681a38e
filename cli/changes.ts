/** Verbs that start or stop work: `submit`, `cancel`, `retry`, `resubmit`, `drain`, `workers`. */
import { randomUUID } from 'node:crypto';
import { availableParallelism } from 'node:os';
import type { Client, LocalFile } from '../client/types.js';
import { toFailure } from '../shared/failure.js';
import { checkRetry, unlessWithoutJob } from '../shared/retry-check.js';
import type { RunView } from '../shared/schedule-views.js';
import type { JobView } from '../shared/views.js';
import type { ConnectionFlags } from './connection.js';
import { findClient, openClient, openReader, stateDirectoryOf } from './connection.js';
import { openEmbedded } from './embedded.js';
import type { ExitCode } from './exit.js';
import { exitCodes } from './exit.js';
import { jobFields, workerTable } from './job-page.js';
import type { ReadFlags } from './jobs.js';
import { note, print } from './output.js';
import { runPage } from './schedule-page.js';
import { formatValue } from './table.js';

/** Prints the job's id and nothing else, for scripts. */
export async function submitSpec(
  spec: string,
  flags: ConnectionFlags & { set?: readonly string[]; requestId?: string },
): Promise<ExitCode> {
  const { loadJob } = await import('../client/load.js');
  const job = await loadJob(spec, { set: flags.set ?? [] });
  const client = await openClient(flags);
  const { jobId } = await client.submit(job, { requestId: flags.requestId ?? randomUUID() });
  print(jobId);
  return exitCodes.done;
}

export async function cancelJob(job: string, flags: ReadFlags): Promise<ExitCode> {
  const client = await findClient(flags);
  const view = client ? await client.cancel(job) : await cancelSuspended(job, flags);
  const what = 'run' in view ? `run ${view.run}` : `job ${view.job}`;
  // What is cancelled now and what was before end the same.
  if (view.endedAt !== undefined && view.state !== 'cancelled') {
    note(`${what} had ended already: ${view.state}`);
  }
  const page = (): string => ('run' in view ? runPage(view) : jobFields(view));
  print(await formatValue(view, flags.output, page));
  return exitCodes.done;
}

/** A suspended job has no process; one without workers is enough to end it. */
async function cancelSuspended(name: string, flags: ReadFlags): Promise<JobView | RunView> {
  const reader = await openReader(flags);
  if ((await reader.why(name)).detail.reason === 'ended') return reader.get(name);
  const engine = await openEmbedded({
    stateDirectory: stateDirectoryOf(flags),
    workers: 0,
  });
  try {
    const asked = await engine.client.cancel(name);
    if ('run' in asked) return asked;
    return await engine.client.wait(asked.job, { timeoutMs: 10_000 });
  } finally {
    await engine.suspend();
  }
}

type BeginAgain = (client: Client, requestId: string) => Promise<{ jobId: string }>;

export interface AgainFlags extends ConnectionFlags {
  readonly workers?: number;
}

/** The spec of an ended job once more, because it failed or because of its dead letters. */
export async function retryJob(
  job: string,
  flags: AgainFlags & { onlyDeadLetters?: boolean },
): Promise<ExitCode> {
  const onlyDeadLetters = flags.onlyDeadLetters ?? false;
  let found: Again | undefined;
  const begin: BeginAgain = async (client, requestId) => {
    // Asked for once more after its owner's end, it is the same.
    found ??= await lookAt(client, job, onlyDeadLetters);
    return doAgain(client, found, { requestId, onlyDeadLetters });
  };
  if (!onlyDeadLetters) return again(job, flags, begin);
  return again(job, flags, begin, (command) => `${command('retry')} --only-dead-letters`);
}

/** A job that is to be retried, and what has changed since. */
interface Again {
  readonly job: string;
  readonly changed: readonly string[];
  /** What is sent of it. */
  readonly files: ReadonlyMap<string, LocalFile>;
}

async function lookAt(client: Client, job: string, onlyDeadLetters: boolean): Promise<Again> {
  const view = await unlessWithoutJob(client.get(job));
  if (!view) return { job, changed: [], files: new Map() };
  checkRetry(view, onlyDeadLetters);
  const { changedFiles, filesNow } = await import('./changed-files.js');
  const changed = await changedFiles(client, view.job);
  const files = onlyDeadLetters ? await filesNow(changed) : new Map<string, LocalFile>();
  return { job: view.job, changed: changed.paths, files };
}

async function doAgain(
  client: Client,
  { job, changed, files }: Again,
  options: { readonly requestId: string; readonly onlyDeadLetters: boolean },
): Promise<{ jobId: string }> {
  const what = `${changed.join(', ')}: changed since job ${job} was submitted`;
  if (files.size > 0) {
    try {
      const accepted = await client.retry(job, { ...options, files });
      note(`${what}, and taken as it is now; chunks without dead letters stay as they are`);
      return accepted;
    } catch (error) {
      if (toFailure(error).code !== 'E_RUN_FILES') throw error;
      note(`${what}, but a run is done with the files of its schedule; create that again for them`);
    }
  } else if (changed.length > 0) {
    note(`${what}, but a retry does what that job did; run its spec again for what has changed`);
  }
  return client.retry(job, options);
}

/** The spec of an ended job once more, whatever its end was. */
export async function resubmitJob(job: string, flags: AgainFlags): Promise<ExitCode> {
  return again(job, flags, (client, requestId) => client.retry(job, { requestId }));
}

/** On a running coordinator the new job's id is printed; without one it is run here. */
async function again(
  job: string,
  flags: AgainFlags,
  begin: BeginAgain,
  goOn = (command: (verb: string) => string): string => command('resubmit'),
): Promise<ExitCode> {
  const requestId = randomUUID();
  const client = await findClient(flags);
  if (client) {
    print((await begin(client, requestId)).jobId);
    return exitCodes.done;
  }
  const { commandAgain, runHere } = await import('./run.js');
  return runHere({
    stateDirectory: stateDirectoryOf(flags),
    workers: flags.workers ?? availableParallelism(),
    again: goOn((verb) => commandAgain(verb, job, flags)),
    begin: (here) => begin(here, requestId),
  });
}

export async function listWorkers(flags: ReadFlags): Promise<ExitCode> {
  const workers = await (await openClient(flags)).workers();
  print(await formatValue(workers, flags.output, () => workerTable(workers)));
  return exitCodes.done;
}

export async function drainWorker(worker: string, flags: ConnectionFlags): Promise<ExitCode> {
  await (await openClient(flags)).drain(worker);
  note(`worker ${worker} finishes what it runs, then leaves`);
  return exitCodes.done;
}
