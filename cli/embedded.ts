/**
 * The engine inside this process: the coordinator of a state directory and its worker processes. If
 * another live process owns that directory, its coordinator is used instead. Never: what to run.
 */
import { join } from 'node:path';
import { type Engine, guestEngine } from '../client/engine.js';
import { machineMemoryBytes } from '../shared/machine-memory.js';
import { makeDirectorySync } from '../shared/storage/directories.js';
import { shuffleDirectoryOf } from '../shared/storage/paths.js';
import { note } from './output.js';
import type { WorkerProcesses } from './worker-processes.js';
import { startWorkerProcesses } from './worker-processes.js';

export interface EmbeddedOptions {
  /** Absolute. Made if it is not there. */
  readonly stateDirectory: string;
  /** Processes of one slot each; 0 starts none, which is enough to plan and to cancel. */
  readonly workers: number;
  /** Bytes that its workers may take together; default three quarters of what there is. */
  readonly memory?: number;
  /** Ends the wait for a process that is just starting or ending on the directory. */
  readonly signal?: AbortSignal;
}

/** Share of the machine's memory that the workers of an embedded run may take together. */
const memoryShare = 0.75;
/** About as long as a worker takes to be ready while this process plans. */
const headStartMs = 400;
/** The first worker usually speaks within half a second; a loaded machine may need longer. */
const helloWaitMs = 10_000;
/** A wait that people would wonder about. */
const longWaitMs = 1000;

/** @throws WindrowError when the state directory cannot be used */
export async function openEmbedded(options: EmbeddedOptions): Promise<Engine> {
  const [{ startCoordinator }, { connect }] = await Promise.all([
    import('../coordinator/main.js'),
    import('../client/client.js'),
  ]);
  makeDirectorySync(options.stateDirectory);
  const lost = new AbortController();
  let workers: WorkerProcesses | undefined;
  const telling = setTimeout(() => {
    note(`waiting for the process that is just starting or ending on ${options.stateDirectory}`);
  }, longWaitMs);
  const starting = startCoordinator({
    stateDirectory: options.stateDirectory,
    ...(options.signal ? { signal: options.signal } : {}),
    embedded: true,
    allowCode: true,
    slotsHint: Math.max(1, options.workers),
    devices: {
      waitMs: options.workers > 0 ? helloWaitMs : 0,
      local: async () => (await import('../worker/main.js')).localDevices(),
    },
    // Processes take longer to start than the coordinator does: they go first.
    onOwned: (endpoint) => {
      clearTimeout(telling);
      if (options.workers === 0) return;
      workers = startWorkerProcesses({
        endpoint,
        count: options.workers,
        slotsEach: 1,
        pools: ['*'],
        logDirectory: join(options.stateDirectory, 'logs'),
        scratchDirectory: join(options.stateDirectory, 'scratch'),
        shuffleDirectory: shuffleDirectoryOf(options.stateDirectory),
        memoryLimitBytes: options.memory ?? machineMemoryBytes() * memoryShare,
        headStartMs,
        saidHello: async (pid) => {
          await starting;
          return (await client.workers()).some((worker) => worker.pid === pid);
        },
        onExit: (pid, crashed) => {
          const tell = (started: Awaited<typeof starting>): void => {
            if (!('busy' in started)) started.workerExited(pid, crashed);
          };
          // Whoever waits for the start hears of its failure.
          void starting.then(tell, () => undefined);
        },
        onGiveUp: (error) => lost.abort(error),
      });
    },
  });
  const started = await starting
    .catch(async (error: unknown) => {
      await workers?.stop();
      throw error;
    })
    .finally(() => clearTimeout(telling));
  if ('busy' in started) {
    const { endpoint, pid } = started.busy;
    // Whether an owner that does not answer has gone is for the guest to find out.
    return guestEngine(connect(endpoint, { retryMs: 0 }), endpoint, pid);
  }
  const client = connect(started.endpoint);

  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    stopped ??= (async () => {
      client.close();
      await workers?.stop();
      await started.stop();
    })();
    return stopped;
  };
  return {
    client,
    endpoint: started.endpoint,
    lost: lost.signal,
    async finish(signal) {
      client.close();
      const telling = setTimeout(() => {
        note('this process still serves jobs that others submitted; Ctrl-C suspends them');
      }, 1000);
      const cut = new Promise<void>((resolve) => {
        if (signal.aborted) resolve();
        signal.addEventListener('abort', () => resolve(), { once: true });
      });
      await Promise.race([started.idle(), cut]);
      clearTimeout(telling);
      await stop();
    },
    suspend: stop,
  };
}
