/** Verbs that start or stop work: `submit`, `cancel`, `retry`, `resubmit`, `drain`, `workers`. */
import { randomUUID } from 'node:crypto';
import { availableParallelism } from 'node:os';
import type { Client } from '../client/types.js';
import { checkRetry } from '../shared/retry-check.js';
import type { JobView } from '../shared/views.js';
import type { ConnectionFlags } from './connection.js';
import { findClient, openClient, openReader, stateDirectoryOf } from './connection.js';
import { openEmbedded } from './embedded.js';
import type { ExitCode } from './exit.js';
import { exitCodes } from './exit.js';
import { jobFields, workerTable } from './job-page.js';
import type { ReadFlags } from './jobs.js';
import { note, print } from './output.js';
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
  const before = await (client ?? (await openReader(flags))).get(job);
  if (before.endedAt !== undefined) {
    note(`job ${before.job} had ended already: ${before.state}`);
    print(await formatValue(before, flags.output, () => jobFields(before)));
    return exitCodes.done;
  }
  const view = client ? await client.cancel(before.job) : await cancelSuspended(before.job, flags);
  print(await formatValue(view, flags.output, () => jobFields(view)));
  return exitCodes.done;
}

/** A suspended job has no process; one without workers is enough to end it. */
async function cancelSuspended(job: string, flags: ReadFlags): Promise<JobView> {
  const engine = await openEmbedded({
    stateDirectory: stateDirectoryOf(flags),
    workers: 0,
  });
  try {
    const asked = await engine.client.cancel(job);
    return await engine.client.wait(asked.job, { timeoutMs: 10_000 });
  } finally {
    await engine.suspend();
  }
}

export interface AgainFlags extends ConnectionFlags {
  readonly workers?: number;
}

/** The spec of an ended job once more, because it failed or because of its dead letters. */
export async function retryJob(
  job: string,
  flags: AgainFlags & { onlyDeadLetters?: boolean },
): Promise<ExitCode> {
  const onlyDeadLetters = flags.onlyDeadLetters ?? false;
  return again(job, flags, async (client, requestId) => {
    const view = await client.get(job);
    checkRetry(view, onlyDeadLetters);
    return client.retry(view.job, { requestId, onlyDeadLetters });
  });
}

/** The spec of an ended job once more, whatever its end was. */
export async function resubmitJob(job: string, flags: AgainFlags): Promise<ExitCode> {
  return again(job, flags, (client, requestId) => client.retry(job, { requestId }));
}

/** On a running coordinator the new job's id is printed; without one it is run here. */
async function again(
  job: string,
  flags: AgainFlags,
  begin: (client: Client, requestId: string) => Promise<{ jobId: string }>,
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
    again: commandAgain('resubmit', job, flags),
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
