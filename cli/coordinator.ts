/** `windrow coordinator` and `windrow dev`: long-lived servers in this process. */
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import type { RunningCoordinator } from '../coordinator/main.js';
import { WindrowError } from '../shared/failure.js';
import { machineMemoryBytes } from '../shared/machine-memory.js';
import { shuffleDirectoryOf } from '../shared/storage/paths.js';
import { unlessAborted } from '../shared/unless-aborted.js';
import type { TlsFlags } from './arguments.js';
import { readToken, serverTls } from './arguments.js';
import { defaultStateName, noteTls } from './connection.js';
import type { ExitCode } from './exit.js';
import { exitCodes } from './exit.js';
import { interruption } from './interrupt.js';
import { note } from './output.js';

export const defaultListen = '127.0.0.1:7433';

export interface CoordinatorFlags extends TlsFlags {
  readonly listen: string;
  readonly http?: string;
  readonly state?: string;
  readonly allowRoot?: readonly string[];
  readonly allowCode?: boolean;
  readonly allowPrivateWebhooks?: boolean;
  readonly clientTokenFile?: string;
  readonly workerTokenFile?: string;
  readonly scalerTokenFile?: string;
  readonly healthListen?: string;
}

/** Serves until SIGTERM or Ctrl-C; unfinished jobs go on with the next start. */
export async function serveCoordinator(flags: CoordinatorFlags): Promise<ExitCode> {
  const interrupt = interruption();
  try {
    const coordinator = await start(flags, flags.allowRoot ?? [], flags.allowCode ?? false);
    noteHttp(coordinator);
    note(`coordinator ready on ${coordinator.listenAddress ?? flags.listen}`);
    await untilAborted(interrupt.signal);
    await coordinator.stop();
    return exitCodes.done;
  } finally {
    interrupt.restore();
  }
}

export type DevFlags = CoordinatorFlags & { readonly workers?: number };

/** A whole cluster in one command: paths below the working directory, the user's own code. */
export async function serveDev(flags: DevFlags): Promise<ExitCode> {
  const { connect } = await import('../client/client.js');
  const { startWorkerProcesses } = await import('./worker-processes.js');
  const interrupt = interruption();
  try {
    const coordinator = await start(flags, flags.allowRoot ?? [process.cwd()], true);
    const state = stateDirectory(flags);
    const client = await connect(coordinator.endpoint);
    const lost = new AbortController();
    const count = flags.workers ?? availableParallelism();
    const workers = startWorkerProcesses({
      endpoint: coordinator.endpoint,
      count,
      slotsEach: 1,
      pools: ['*'],
      logDirectory: join(state, 'logs'),
      scratchDirectory: join(state, 'scratch'),
      shuffleDirectory: shuffleDirectoryOf(state),
      memoryLimitBytes: machineMemoryBytes() * 0.75,
      saidHello: async (pid) => (await client.workers()).some((worker) => worker.pid === pid),
      onExit: (pid, crashed) => coordinator.workerExited(pid, crashed),
      onGiveUp: (error) => lost.abort(error),
    });
    const address = coordinator.listenAddress ?? flags.listen;
    noteHttp(coordinator);
    note(
      `coordinator ready on ${address}, ${count === 1 ? '1 worker' : `${String(count)} workers`}, state in ${state}`,
    );
    note(`submit with: windrow run SPEC --connect ${address}`);
    try {
      await untilAborted(AbortSignal.any([interrupt.signal, lost.signal]));
    } finally {
      client.close();
      await workers.stop();
      await coordinator.stop();
    }
    if (lost.signal.aborted) throw lost.signal.reason;
    return exitCodes.done;
  } finally {
    interrupt.restore();
  }
}

function noteHttp({ httpAddress }: RunningCoordinator): void {
  if (httpAddress !== undefined) note(`HTTP ready on ${httpAddress}`);
}

async function start(
  flags: CoordinatorFlags,
  allowRoots: readonly string[],
  allowCode: boolean,
): Promise<RunningCoordinator> {
  const { startCoordinator } = await import('../coordinator/main.js');
  const tls = serverTls(flags);
  await noteTls(tls);
  const started = await startCoordinator({
    stateDirectory: stateDirectory(flags),
    listen: flags.listen,
    ...(flags.http === undefined ? {} : { http: flags.http }),
    embedded: false,
    allowRoots: allowRoots.map((root) => resolve(root)),
    allowCode,
    allowPrivateWebhooks: flags.allowPrivateWebhooks ?? false,
    ...token('clientToken', '--client-token-file', flags.clientTokenFile),
    ...token('workerToken', '--worker-token-file', flags.workerTokenFile),
    ...token('scalerToken', '--scaler-token-file', flags.scalerTokenFile),
    ...(flags.healthListen === undefined ? {} : { healthListen: flags.healthListen }),
    ...(tls === undefined ? {} : { tls }),
  });
  if (!('busy' in started)) return started;
  throw new WindrowError({
    kind: 'invalidSpec',
    code: 'E_STATE_BUSY',
    message: `process ${String(started.busy.pid)} already works on ${stateDirectory(flags)}`,
    hint: 'stop that process, or name another directory with --state DIR',
  });
}

function token<Name extends string>(
  name: Name,
  flag: string,
  file: string | undefined,
): { [key in Name]?: string } {
  return file === undefined ? {} : ({ [name]: readToken(flag, file) } as { [key in Name]: string });
}

function stateDirectory(flags: CoordinatorFlags): string {
  return resolve(flags.state ?? defaultStateName);
}

async function untilAborted(signal: AbortSignal): Promise<void> {
  await unlessAborted(new Promise<never>(() => undefined), signal).catch(() => undefined);
}
