/**
 * `windrow run`: the job of a spec from submit to its end, in this process or on the coordinator
 * that `--connect` names. Never: how it is worked on or how it looks.
 */
import { availableParallelism } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '../client/types.js';
import type { ConnectionFlags } from './connection.js';
import { connectRemote, defaultStateName, remoteAddress } from './connection.js';
import { openEmbedded, OwnerGone } from './embedded.js';
import type { Embedded } from './embedded.js';
import type { ExitCode } from './exit.js';
import { exitCodes, isUnreachable } from './exit.js';
import type { Followed } from './follow.js';
import { concludeJob, followJob } from './follow.js';
import type { Interruption } from './interrupt.js';
import { interruption } from './interrupt.js';
import { note, outliveReader } from './output.js';
import { unlessAborted } from '../shared/unless-aborted.js';
import { reporterFor } from './reporter.js';

export interface RunFlags extends ConnectionFlags {
  readonly workers?: number;
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
    again: commandAgain('run', spec, flags),
    begin,
  });
}

/** The same command as the user would type it, as far as it decides what is gone on with. */
export function commandAgain(
  verb: string,
  subject: string,
  { state, workers, set = [] }: Pick<RunFlags, 'state' | 'workers' | 'set'>,
): string {
  return [
    `windrow ${verb} ${shellWord(subject)}`,
    ...(state === undefined ? [] : [`--state ${shellWord(state)}`]),
    ...(workers === undefined ? [] : [`--workers ${String(workers)}`]),
    ...set.map((pair) => `--set ${shellWord(pair)}`),
  ].join(' ');
}

function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

export interface RunHereOptions {
  readonly stateDirectory: string;
  readonly workers: number;
  /** Command that goes on after a suspension. */
  readonly again: string;
  readonly begin: Begin;
}

/** Owners in a row that were gone before the job was followed; more is not just bad luck. */
const ownersGoneMax = 10;
const pauseMs = 50;

/**
 * Runs a job with an engine in this process, or in the process that owns the state directory. When
 * that process ends before the job does, whoever comes first goes on with it.
 */
export async function runHere(options: RunHereOptions): Promise<ExitCode> {
  outliveReader();
  const interrupt = interruption();
  const followed: Followed = { lastSeq: 0 };
  try {
    for (let inVain = 0, gone: number | undefined; ;) {
      const engine = await openEmbedded({ ...options, signal: interrupt.signal });
      if (engine.ownerPid !== undefined) {
        const owner = String(engine.ownerPid);
        note(`process ${owner} works on ${options.stateDirectory}: the job runs there`);
      } else if (gone !== undefined) {
        note(`process ${String(gone)} is gone: going on here`);
      }
      const before = followed.lastSeq;
      const code = await runOnEngine(engine, options, interrupt, followed);
      if (typeof code === 'number') return code;
      inVain = followed.lastSeq > before ? 0 : inVain + 1;
      if (inVain > ownersGoneMax) throw code.error;
      await delay(inVain * pauseMs, undefined, { signal: interrupt.signal });
      gone = engine.ownerPid;
    }
  } catch (error) {
    if (!interrupt.signal.aborted) throw error;
    note(suspendedText(followed, options));
    return exitCodes.interrupted;
  } finally {
    interrupt.restore();
  }
}

async function runOnEngine(
  engine: Embedded,
  options: RunHereOptions,
  interrupt: Interruption,
  followed: Followed,
): Promise<ExitCode | { ownerGone: true; error: unknown }> {
  const signal = AbortSignal.any([interrupt.signal, engine.lost]);
  const reporter = reporterFor(processStartMs());
  let accepted: string | undefined;
  try {
    accepted = (await unlessAborted(options.begin(engine.client), signal)).jobId;
    const view = await unlessAborted(
      followJob(engine.client, accepted, reporter, signal, followed),
      signal,
    );
    const code = concludeJob(view, reporter);
    await engine.finish(interrupt.signal);
    return code;
  } catch (error) {
    reporter.close();
    await engine.suspend();
    if (interrupt.signal.aborted) {
      note(
        accepted !== undefined && engine.ownerPid !== undefined
          ? `detached: job ${accepted} goes on in process ${String(engine.ownerPid)}`
          : suspendedText(followed, options),
      );
      return exitCodes.interrupted;
    }
    // An owner that is just ending lives, but answers no more.
    const unanswered = engine.ownerPid !== undefined && isUnreachable(error);
    if (unanswered || engine.lost.reason instanceof OwnerGone) return { ownerGone: true, error };
    throw engine.lost.aborted ? engine.lost.reason : error;
  }
}

function suspendedText({ jobId }: Followed, { again }: RunHereOptions): string {
  return jobId === undefined
    ? 'stopped before the job was accepted; nothing was started'
    : `suspended job ${jobId}; finished work is kept. Go on with: ${again}`;
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
