/** `windrow worker`: this process joins a coordinator and works until it is told to leave. */
import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import type { TlsFlags } from './arguments.js';
import { clientTls, readToken, serverAddress } from './arguments.js';
import { noteTls } from './connection.js';
import { exitCodes, usageError } from './exit.js';
import { note } from './output.js';
import { takeSignals } from './signals.js';

/** Set for the child that `runAgain` starts: its standard input is a life line. */
const lifeLine = 'WINDROW_LIFE_LINE';

export interface WorkerFlags extends TlsFlags {
  readonly coordinator?: string;
  readonly slots?: number;
  readonly pool?: readonly string[];
  readonly id?: string;
  readonly tokenFile?: string;
  readonly memory?: number;
  readonly spill?: string;
  readonly shuffleListen?: string;
  readonly shuffleDir?: string;
  readonly healthListen?: string;
}

/** Resolves when the worker has left. The first SIGTERM or Ctrl-C drains it, a second ends it. */
export async function serveWorker(flags: WorkerFlags): Promise<number> {
  const address = flags.coordinator ?? process.env['WINDROW_CONNECT'];
  if (address === undefined || address === '') {
    throw usageError('worker needs a coordinator', 'name it with --coordinator HOST:PORT');
  }
  const coordinator = serverAddress('--coordinator', address);
  const slots = flags.slots ?? availableParallelism();
  const poolSize = String(2 * slots + 8);
  // libuv reads the size of its pool once, before any code of ours runs: so it takes a new process.
  if (process.env['UV_THREADPOOL_SIZE'] === undefined) return runAgain(poolSize);

  const token =
    flags.tokenFile === undefined
      ? process.env['WINDROW_WORKER_TOKEN']
      : readToken('--token-file', flags.tokenFile);
  const tls = clientTls(flags);
  await noteTls(tls);
  const { startWorker } = await import('../worker/main.js');
  const worker = await startWorker({
    coordinator,
    slots,
    pools: [...(flags.pool ?? ['cpu'])],
    ...(flags.id === undefined ? {} : { id: flags.id }),
    ...(token === undefined || token === '' ? {} : { token }),
    ...(tls === undefined ? {} : { tls }),
    ...(flags.memory === undefined ? {} : { memoryLimitBytes: flags.memory }),
    ...(flags.spill === undefined ? {} : { spillDirectory: flags.spill }),
    ...(flags.shuffleListen === undefined ? {} : { shuffleListen: flags.shuffleListen }),
    ...(flags.shuffleDir === undefined ? {} : { shuffleDirectory: flags.shuffleDir }),
    ...(flags.healthListen === undefined ? {} : { healthListen: flags.healthListen }),
    exitWithParent: process.env[lifeLine] !== undefined,
  });
  let asked = false;
  const leave = (): void => {
    if (asked) process.exit(exitCodes.interrupted);
    asked = true;
    note('draining: finishing what runs, taking nothing new; once more ends at once');
    worker.drain();
  };
  process.on('SIGTERM', leave);
  process.on('SIGINT', leave);
  takeSignals();
  return worker.done;
}

/** The same command as a child with the pool size set; signals and its exit code pass through. */
function runAgain(poolSize: string): Promise<number> {
  const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    // The pipe is its life line: kill -9 of this process ends the child, too.
    stdio: ['pipe', 'inherit', 'inherit'],
    // Ctrl-C reaches us, and we pass it on: the child must not get it twice.
    detached: true,
    env: { ...process.env, UV_THREADPOOL_SIZE: poolSize, [lifeLine]: '1' },
  });
  const pass = (signal: NodeJS.Signals): void => void child.kill(signal);
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, pass);
  takeSignals();
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      resolve(code ?? (signal === 'SIGINT' ? exitCodes.interrupted : exitCodes.jobFailed));
    });
  });
}
