/**
 * `windrow run`: the job of a spec from submit to its end, in this process or on the coordinator
 * that `--connect` names. Never: how it is worked on or how it looks.
 */
import { availableParallelism } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { randomUUID } from 'node:crypto';
import { workOnEngine } from '../client/engine.js';
import { followJob, type Followed } from '../client/follow.js';
import type { Client } from '../client/types.js';
import type { ConnectionFlags } from './connection.js';
import { connectRemote, defaultStateName, remoteAddress } from './connection.js';
import { openEmbedded } from './embedded.js';
import type { ExitCode } from './exit.js';
import { exitCodes } from './exit.js';
import { concludeJob } from './follow.js';
import { interruption } from './interrupt.js';
import { note, outliveReader } from './output.js';
import { unlessAborted } from '../shared/unless-aborted.js';
import { reporterFor } from './reporter.js';

export interface RunFlags extends ConnectionFlags {
  readonly workers?: number;
  /** Bytes. */
  readonly memory?: number;
  readonly set?: readonly string[];
}

/** Starts or finds the job; must give the same job when called again (after an owner's death). */
export type Begin = (client: Client) => Promise<{ jobId: string }>;

export async function runSpec(spec: string, flags: RunFlags): Promise<ExitCode> {
  const { loadJob } = await import('../client/load.js');
  const address = remoteAddress(flags);
  // Loading modules costs more than loading the spec: let both go on at once.
  const warm = address === undefined ? import('../coordinator/main.js') : undefined;
  warm?.catch(() => undefined);
  const job = await loadJob(spec, { set: flags.set ?? [] });
  const requestId = randomUUID();
  const begin: Begin = (client) => client.submit(job, { requestId });
  if (address !== undefined) {
    return runRemote(await connectRemote(address, flags), begin);
  }
  return runHere({
    stateDirectory: resolve(flags.state ?? join(dirname(spec), defaultStateName)),
    workers: flags.workers ?? availableParallelism(),
    ...(flags.memory === undefined ? {} : { memory: flags.memory }),
    again: commandAgain('run', spec, flags),
    begin,
  });
}

/** The same command as the user would type it, as far as it decides what is gone on with. */
export function commandAgain(
  verb: string,
  subject: string,
  { state, workers, memory, set = [] }: Pick<RunFlags, 'state' | 'workers' | 'memory' | 'set'>,
): string {
  return [
    `windrow ${verb} ${shellWord(subject)}`,
    ...(state === undefined ? [] : [`--state ${shellWord(state)}`]),
    ...(workers === undefined ? [] : [`--workers ${String(workers)}`]),
    ...(memory === undefined ? [] : [`--memory ${String(memory)}`]),
    ...set.map((pair) => `--set ${shellWord(pair)}`),
  ].join(' ');
}

function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

export interface RunHereOptions {
  readonly stateDirectory: string;
  readonly workers: number;
  readonly memory?: number;
  /** Command that goes on after a suspension. */
  readonly again: string;
  readonly begin: Begin;
}

/**
 * Runs a job with an engine in this process, or in the process that owns the state directory. When
 * that process ends before the job does, whoever comes first goes on with it.
 */
export async function runHere(options: RunHereOptions): Promise<ExitCode> {
  outliveReader();
  const interrupt = interruption();
  const followed: Followed = { lastSeq: 0 };
  /** What would go on without us: a job in another process. */
  let elsewhere: { pid: number; jobId?: string } | undefined;
  try {
    return await workOnEngine({
      signal: interrupt.signal,
      open: () => openEmbedded({ ...options, signal: interrupt.signal }),
      opened: ({ ownerPid }, gone) => {
        elsewhere = ownerPid === undefined ? undefined : { pid: ownerPid };
        if (ownerPid !== undefined) {
          note(
            `process ${String(ownerPid)} works on ${options.stateDirectory}: the job runs there`,
          );
        } else if (gone !== undefined) {
          note(`process ${String(gone)} is gone: going on here`);
        }
      },
      reached: () => followed.lastSeq,
      work: async ({ client }, signal) => {
        const reporter = reporterFor(processStartMs());
        try {
          const jobId = await unlessAborted(jobOf(client, options.begin, followed), signal);
          if (elsewhere) elsewhere.jobId = jobId;
          const following = followJob(client, jobId, reporter, signal, followed);
          return concludeJob(await unlessAborted(following, signal), reporter);
        } finally {
          reporter.close();
        }
      },
    });
  } catch (error) {
    if (!interrupt.signal.aborted) throw error;
    if (elsewhere?.jobId === undefined) return await concludeSuspended(followed, options);
    note(`detached: job ${elsewhere.jobId} goes on in process ${String(elsewhere.pid)}`);
    return exitCodes.interrupted;
  } finally {
    interrupt.restore();
  }
}

/**
 * The job to follow: the one from before, where its owner was just done with it, else what `begin` says.
 * It may have been another's, which no request of ours has made.
 */
async function jobOf(client: Client, begin: Begin, { jobId }: Followed): Promise<string> {
  const before = jobId === undefined ? undefined : await client.get(jobId).catch(() => undefined);
  return before?.endedAt === undefined ? (await begin(client)).jobId : before.job;
}

/** The result as the journal tells it, now that nobody works on the job any more. */
async function concludeSuspended(
  { jobId }: Followed,
  { stateDirectory, again }: RunHereOptions,
): Promise<ExitCode> {
  if (jobId === undefined) {
    note('stopped before the job was accepted; nothing was started');
    return exitCodes.interrupted;
  }
  const { readOnlyView } = await import('../coordinator/main.js');
  const view = await (await readOnlyView(stateDirectory)).get(jobId);
  const code = concludeJob(view, reporterFor(processStartMs()));
  // The wish to leave may have come when the job was just done.
  if (view.endedAt === undefined) {
    note(`suspended job ${jobId}; finished work is kept. Go on with: ${again}`);
  }
  return code;
}

/** Follows a job on a coordinator elsewhere; Ctrl-C leaves it running. */
export async function runRemote(client: Client, begin: Begin): Promise<ExitCode> {
  outliveReader();
  const interrupt = interruption();
  const reporter = reporterFor(processStartMs());
  let accepted: string | undefined;
  try {
    accepted = (await unlessAborted(begin(client), interrupt.signal)).jobId;
    const view = await unlessAborted(
      followJob(client, accepted, reporter, interrupt.signal),
      interrupt.signal,
    );
    return concludeJob(view, reporter);
  } catch (error) {
    reporter.close();
    if (!interrupt.signal.aborted) throw error;
    note(
      accepted === undefined
        ? 'stopped before the job was accepted'
        : `detached: job ${accepted} goes on. Follow it with: windrow events ${accepted} --follow`,
    );
    return exitCodes.interrupted;
  } finally {
    interrupt.restore();
    reporter.close();
    client.close();
  }
}

/** Elapsed time counts from where the user's does: the start of the process. */
function processStartMs(): number {
  return Date.now() - process.uptime() * 1000;
}
