/**
 * What distribution costs: 10, 1,000 and 100,000 tasks that only wait, on 1 to 8 worker processes behind a network with
 * delay; the time to the last one's end against what the waits alone take, and the coordinator's CPU.
 * Usage: npm run bench:scaling [-- --workers 1,2,4,8] [--tasks 10,1000,100000] [--delay-ms 0,5] [--slots 4] [--busy-s 10,100,1000]
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, cpSync, mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { connect } from '../client/index.js';
import { cleaned } from './cleaned.js';
import { emptyJob, emptyJobId, startBuiltCoordinator, stopWorkers, until } from './empty-job.js';
import { dataDirectory, root } from './engine.js';
import { report, type Row, seconds, table, thousands } from './report.js';

const { values } = parseArgs({
  options: {
    workers: { type: 'string', default: '1,2,4,8' },
    tasks: { type: 'string', default: '10,1000,100000' },
    /** One way. */
    'delay-ms': { type: 'string', default: '0,5' },
    slots: { type: 'string', default: '4' },
    /** The waits of all tasks of a size together. */
    'busy-s': { type: 'string', default: '10,100,1000' },
  },
});
const numbers = (text: string): number[] => text.split(',').map(Number);
const slots = Number(values.slots);
const busy = numbers(values['busy-s']);
const place = path.join(dataDirectory, 'scaling');
const built = path.join(place, 'dist');
const processes: ChildProcess[] = [];

interface Case {
  readonly tasks: number;
  readonly chunkMs: number;
  readonly workers: number;
  readonly delayMs: number;
}

await cleaned(run, async () => {
  await stopWorkers(processes);
  rmSync(place, { recursive: true, force: true });
});

async function run(): Promise<void> {
  rmSync(place, { recursive: true, force: true });
  mkdirSync(place, { recursive: true });
  cpSync(path.join(root, 'dist'), built, { recursive: true });
  copyFileSync(
    path.join(import.meta.dirname, 'hollow-slots.mjs'),
    path.join(built, 'worker/slots.js'),
  );
  const lines: Row[] = [];
  for (const delayMs of numbers(values['delay-ms'])) {
    for (const [at, tasks] of numbers(values.tasks).entries()) {
      const chunkMs = ((busy[at] ?? busy.at(-1) ?? 0) * 1000) / tasks;
      for (const workers of numbers(values.workers)) {
        const line = await measure({ tasks, chunkMs, workers, delayMs });
        console.log(JSON.stringify(line));
        lines.push(line);
      }
    }
  }
  report('scaling', [
    `Tasks that only wait, on worker processes of ${slots} slots, so that the cores of this machine are enough for all of them. ` +
      `A slot is a timer (late by up to a millisecond) instead of a thread; all else is real: coordinator, one journaled attempt a task, gRPC over TCP, worker processes. ` +
      `Ideal is the waits of all tasks divided by all slots, in whole tasks; the makespan is from the plan's submission to the job's end. ` +
      `Delay is that of a proxy between workers and coordinator, one way. ` +
      `CPU is that of the coordinator's process, which also follows the job.`,
    table(lines),
  ]);
}

async function measure({ tasks, chunkMs, workers, delayMs }: Case): Promise<Row> {
  const state = path.join(place, 'state');
  rmSync(state, { recursive: true, force: true });
  const coordinator = await startBuiltCoordinator(state, true, { listen: '127.0.0.1:0' });
  const client = connect(coordinator.endpoint);
  try {
    const listening = coordinator.listenAddress ?? '';
    const address = delayMs > 0 ? await behindDelay(listening, delayMs) : listening;
    for (let worker = 0; worker < workers; worker += 1) startHollow(address, worker, chunkMs);
    await until(async () => (await client.workers()).length === workers);
    const waves = Math.ceil(tasks / (workers * slots));
    const idealMs = waves * chunkMs;
    const cpu = process.cpuUsage();
    const started = performance.now();
    await coordinator.submitPlan(waitingJob(tasks));
    const view = await client.wait(emptyJobId, { timeoutMs: 60_000 + 10 * idealMs });
    const makespanMs = performance.now() - started;
    const { user, system } = process.cpuUsage(cpu);
    if (view.state !== 'succeeded') throw new Error(JSON.stringify(view.failure));
    return {
      'delay ms': delayMs,
      tasks: thousands(tasks),
      'each ms': chunkMs,
      workers,
      slots: workers * slots,
      'makespan s': seconds(makespanMs),
      'ideal s': seconds(idealMs),
      'of ideal': (idealMs / makespanMs).toFixed(2),
      'tasks/s': thousands(tasks / (makespanMs / 1000)),
      'coordinator CPU ms per 1,000 tasks': thousands((user + system) / tasks),
      retries: view.retries,
    };
  } finally {
    client.close();
    await stopWorkers(processes.splice(0));
    await coordinator.stop();
  }
}

/** An empty job whose tasks go to slots all the same: its program claims to read chunks, of which there are none. */
function waitingJob(tasks: number): ReturnType<typeof emptyJob> {
  const job = emptyJob(tasks);
  const stages = job.plan.stages.map((stage) => {
    const scan = { ...stage.program.scan, kind: 'chunks' as const };
    return { ...stage, program: { ...stage.program, scan } };
  });
  return { ...job, plan: { ...job.plan, stages } };
}

function startHollow(address: string, number: number, chunkMs: number): void {
  const script = path.join(import.meta.dirname, 'hollow-worker.mjs');
  const scratch = path.join(place, `worker-${number}`);
  start([script, built, address, String(slots), scratch], { BENCH_CHUNK_MS: String(chunkMs) });
}

/** The address of a proxy that takes so long, each way, to what listens there. */
async function behindDelay(listening: string, delayMs: number): Promise<string> {
  const [host = '', port = ''] = listening.split(':');
  const script = path.join(import.meta.dirname, 'delay-proxy.mjs');
  const proxy = start([script, host, port, String(delayMs)], {});
  const [line] = (await once(createInterface({ input: proxy.stdout! }), 'line')) as [string];
  return `127.0.0.1:${line}`;
}

function start(args: readonly string[], env: Record<string, string>): ChildProcess {
  const child = spawn(process.execPath, args, {
    cwd: root,
    // The pipe to its standard input is its life line.
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, ...env },
  });
  child.stdout.resume();
  processes.push(child);
  return child;
}
