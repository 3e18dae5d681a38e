/** A worker process: what it is told on its command line, and who ends it. Never: works itself. */
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { channelTo } from '../shared/channel.js';
import { bearer } from '../shared/endpoints.js';
import { formatFailure, toFailure } from '../shared/failure.js';
import { limits } from '../shared/limits.js';
import { type FoundDevice, probeDevices } from './inference/devices.js';
import { Worker, type WorkerOptions as JoinOptions } from './worker.js';

export interface WorkerOptions extends Omit<JoinOptions, 'channel' | 'devices'> {
  /** `unix:PATH` or HOST:PORT. */
  readonly coordinator: string;
  /** End at once when standard input closes (the parent died). */
  readonly exitWithParent?: boolean;
}

export interface RunningWorker {
  /** Resolves with the exit code once the worker has left. */
  readonly done: Promise<number>;
  /** Finishes what runs, takes nothing new, then leaves. */
  drain(): void;
}

/** @throws WindrowError E_INSECURE_TARGET, E_TLS_FILE, E_LISTEN, E_INSECURE_BIND, E_USAGE for the token */
export async function startWorker(options: WorkerOptions): Promise<RunningWorker> {
  const { coordinator, exitWithParent, ...more } = options;
  if (exitWithParent) endWithParent();
  if (options.token !== undefined) bearer(options.token);
  const worker = new Worker({
    ...more,
    channel: channelTo(coordinator, options.tls),
    devices: await localDevices(),
  });
  await worker.start();
  return worker;
}

/** What a worker of this machine would say it has. */
export async function localDevices(): Promise<{ devices: string[]; hardware: string[] }> {
  return namesOf((await probeDevices()).devices);
}

function namesOf(found: readonly FoundDevice[]): { devices: string[]; hardware: string[] } {
  return {
    devices: found.map(({ device }) => device),
    hardware: found.filter(({ hardware }) => hardware).map(({ device }) => device),
  };
}

/** Standard input is a pipe that the kernel closes when the parent dies, however it dies. */
function endWithParent(): void {
  const end = (): void => void process.kill(process.pid, 'SIGKILL');
  process.stdin.on('end', end);
  process.stdin.on('error', end);
  process.stdin.resume();
}

/** `node worker/main.js --coordinator ADDRESS …`: what embedded mode and tests start. */
async function runAsProcess(): Promise<void> {
  const { values } = parseArgs({
    options: {
      coordinator: { type: 'string' },
      slots: { type: 'string', default: '1' },
      pool: { type: 'string', multiple: true, default: ['cpu'] },
      id: { type: 'string' },
      memory: { type: 'string' },
      spill: { type: 'string' },
      'shuffle-listen': { type: 'string' },
      'shuffle-dir': { type: 'string' },
      'exit-with-parent': { type: 'boolean', default: false },
    },
  });
  const slots = Number(values.slots);
  if (
    values.coordinator === undefined ||
    !Number.isInteger(slots) ||
    slots < 1 ||
    slots > limits.slotsPerWorker
  ) {
    process.stderr.write('error E_USAGE: --coordinator ADDRESS and a whole --slots are needed\n');
    process.exit(2);
  }
  const worker = await startWorker({
    coordinator: values.coordinator,
    slots,
    pools: values.pool,
    ...(values.id ? { id: values.id } : {}),
    ...(process.env['WINDROW_WORKER_TOKEN'] ? { token: process.env['WINDROW_WORKER_TOKEN'] } : {}),
    ...(values.memory ? { memoryLimitBytes: Number(values.memory) } : {}),
    ...(values.spill ? { spillDirectory: values.spill } : {}),
    ...(values['shuffle-listen'] ? { shuffleListen: values['shuffle-listen'] } : {}),
    ...(values['shuffle-dir'] ? { shuffleDirectory: values['shuffle-dir'] } : {}),
    exitWithParent: values['exit-with-parent'],
  });
  process.on('SIGTERM', () => worker.drain());
  // Ctrl-C reaches the whole process group; in embedded mode the parent decides.
  process.on('SIGINT', () => (values['exit-with-parent'] ? undefined : worker.drain()));
  process.exit(await worker.done);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  runAsProcess().catch((error: unknown) => {
    process.stderr.write(`error ${formatFailure(toFailure(error))}\n`);
    process.exit(1);
  });
}
