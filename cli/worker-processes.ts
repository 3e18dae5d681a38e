/**
 * Worker processes of an embedded run: started with it, started again when one dies, ended with us.
 * Never: deciding what happens to a dead worker's work; the coordinator is told and decides.
 */
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { WindrowError } from '../shared/failure.js';

export interface WorkerProcessesOptions {
  /** The coordinator as workers reach it. */
  readonly endpoint: string;
  readonly count: number;
  readonly slotsEach: number;
  readonly pools: readonly string[];
  /** A log file for each worker goes there, made anew by its first start. */
  readonly logDirectory: string;
  /** Spill files and cached blobs; a worker's own folder in it is gone when all have stopped. */
  readonly scratchDirectory: string;
  /** Rows between stages, of all workers; they outlive them. */
  readonly shuffleDirectory: string;
  /** Of all workers together. */
  readonly memoryLimitBytes: number;
  /** Entry file; default the built worker. */
  readonly program?: string;
  /** Whether a process with this pid ever reached the coordinator. */
  readonly saidHello: (pid: number) => Promise<boolean>;
  readonly onExit: (pid: number, crashed: boolean) => void;
  /** Not one slot is left to work: E_WORKER_START. Called at most once. */
  readonly onGiveUp: (error: WindrowError) => void;
  /**
   * How long the first goes ahead of the others, default 0: it is ready sooner when nothing competes
   * with it, and a short job is over before it needs a second.
   */
  readonly headStartMs?: number;
  /** First pause before a restart; doubles with each death in a row. */
  readonly backoffMs?: number;
}

export interface WorkerProcesses {
  readonly pids: readonly number[];
  /** Ends all of them at once, whatever they do: what they have not reported is done again. */
  stop(): Promise<void>;
}

/** Deaths in a row before its hello after which a worker is not started again. */
const startsBeforeGivingUp = 5;

/** A worker that recycles itself (worker/main.ts `workerExit`) has not crashed. */
const recycledCode = 75;

export function startWorkerProcesses(options: WorkerProcessesOptions): WorkerProcesses {
  mkdirSync(options.logDirectory, { recursive: true });
  const stopping = new AbortController();
  const alive = new Map<number, ChildProcess>();
  let gaveUp = false;
  const pause = (ms: number): Promise<void> =>
    delay(ms, undefined, { signal: stopping.signal }).catch(() => undefined);

  const keepAlive = async (index: number): Promise<void> => {
    const log = join(options.logDirectory, `worker-${String(index)}.log`);
    let deathsInRow = 0;
    let startsInVain = 0;
    if (index > 0 && options.headStartMs !== undefined) await pause(options.headStartMs);
    for (let start = 0; !stopping.signal.aborted; start++) {
      const child = startOne(options, index, log, start === 0);
      if (child.pid !== undefined) alive.set(child.pid, child);
      const end = await ended(child);
      if (child.pid !== undefined) alive.delete(child.pid);
      if (stopping.signal.aborted) return;
      const crashed = end.signal !== null || (end.code !== 0 && end.code !== recycledCode);
      const greeted =
        child.pid !== undefined && (await options.saidHello(child.pid).catch(() => false));
      if (child.pid !== undefined) options.onExit(child.pid, crashed);
      startsInVain = greeted ? 0 : startsInVain + 1;
      deathsInRow = crashed ? deathsInRow + 1 : 0;
      if (startsInVain >= startsBeforeGivingUp) {
        if (!gaveUp) options.onGiveUp(startFailure(log, end));
        gaveUp = true;
        return;
      }
      const pauseMs = Math.min(
        5000,
        (options.backoffMs ?? 100) * 2 ** Math.max(0, deathsInRow - 1),
      );
      // A worker that ended by itself (recycled) is replaced at once.
      if (crashed || !greeted) {
        await pause(pauseMs);
      }
    }
  };

  const kept = Array.from({ length: options.count }, (_, index) => keepAlive(index));
  return {
    get pids() {
      return [...alive.keys()];
    },
    async stop() {
      stopping.abort();
      for (const child of alive.values()) child.kill('SIGKILL');
      await Promise.all(kept);
      rmSync(options.scratchDirectory, { recursive: true, force: true });
    },
  };
}

function startOne(
  options: WorkerProcessesOptions,
  index: number,
  log: string,
  first: boolean,
): ChildProcess {
  const program = options.program ?? fileURLToPath(new URL('../worker/main.js', import.meta.url));
  const memory = Math.floor(options.memoryLimitBytes / options.count);
  const sink = openSync(log, first ? 'w' : 'a');
  try {
    return spawn(
      process.execPath,
      [
        program,
        ...['--coordinator', options.endpoint],
        ...['--slots', String(options.slotsEach)],
        ...['--memory', String(memory)],
        ...['--spill', join(options.scratchDirectory, `worker-${String(index)}`)],
        ...['--shuffle-dir', options.shuffleDirectory],
        ...options.pools.flatMap((pool) => ['--pool', pool]),
        '--exit-with-parent',
      ],
      {
        // A session of its own: the terminal's Ctrl-C is for us, we tell the workers.
        detached: true,
        // The pipe is the life line: it closes when we end, however we end.
        stdio: ['pipe', sink, sink],
        env: {
          ...process.env,
          UV_THREADPOOL_SIZE: String(2 * options.slotsEach + 8),
        },
      },
    );
  } finally {
    closeSync(sink);
  }
}

interface End {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly problem?: string;
}

function ended(child: ChildProcess): Promise<End> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve({ code: null, signal: null, problem: error.message }));
    child.once('exit', (code, signal) => resolve({ code, signal }));
    child.stdin?.on('error', () => undefined);
  });
}

function startFailure(log: string, end: End): WindrowError {
  const how =
    end.problem ?? (end.signal === null ? `exit code ${String(end.code)}` : `signal ${end.signal}`);
  const last = lastLines(log);
  return new WindrowError({
    kind: 'resource',
    code: 'E_WORKER_START',
    message: `a worker process ended ${String(startsBeforeGivingUp)} times before it was ready (${how})${last === '' ? '' : `: ${last}`}`,
    hint: `read ${log} and run windrow doctor`,
  });
}

function lastLines(log: string): string {
  try {
    return readFileSync(log, 'utf8').trim().split('\n').slice(-3).join(' | ').slice(-500);
  } catch {
    return '';
  }
}
