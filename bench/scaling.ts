/**
 * What distribution costs: 10, 1,000 and 100,000 tasks that only wait, on 1 to 8 worker processes behind a network with
 * delay; the time to the last one's end against what the waits alone take, and the CPU of all who take part.
 * Usage: npm run bench:scaling [-- --workers 1,2,4,8] [--tasks 10,1000,100000] [--delay-ms 0,5] [--slots 4] [--busy-s 10,100,1000] [--rounds 1]
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, cpSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { connect } from '../client/index.js';
import { cleaned } from './cleaned.js';
import { emptyJob, emptyJobId, startBuiltCoordinator, stopWorkers, until } from './empty-job.js';
import { cpuMs, dataDirectory, root } from './engine.js';
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
    /** Times that a case is measured. */
    rounds: { type: 'string', default: '1' },
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
  for (const delayMs of numbers(values['delay-ms'])) {
    const lines: Row[] = [];
    for (const [at, tasks] of numbers(values.tasks).entries()) {
      const chunkMs = ((busy[at] ?? busy.at(-1) ?? 0) * 1000) / tasks;
      for (const workers of numbers(values.workers)) {
        lines.push(await calmest({ tasks, chunkMs, workers, delayMs }));
      }
    }
    report(`scaling, ${delayMs} ms of delay`, [
      `Tasks that only wait, on worker processes of ${slots} slots. ` +
        `A slot is a timer instead of a thread; all else is real: coordinator, one journaled attempt a task, gRPC over TCP, worker processes. ` +
        `Ideal is the waits of all tasks divided by all slots, in whole tasks; the makespan is from the plan's submission to the job's end. ` +
        `Where the cores are full, or their host gives them to others, timers are late: what a task took on average stands beside, and how much of the slots' time that filled, which is what distribution decides. ` +
        `Delay is that of a proxy between workers and coordinator, one way. ` +
        `CPU is in ms per 1,000 tasks: that of the coordinator's process, which also follows the job, of all workers together, of which V8's compiling is a part, and of the proxy. ` +
        `Cores is how many all of them kept busy, others how many something else on this machine or beside it took meanwhile.`,
      table(lines),
    ]);
  }
}

/** The one of all rounds in which others took least of the machine. */
async function calmest(of: Case): Promise<Row> {
  const rounds: Row[] = [];
  for (let round = 0; round < Math.max(1, Number(values.rounds)); round += 1) {
    rounds.push(await measure(of));
    console.log(JSON.stringify(rounds.at(-1)));
  }
  return rounds.reduce((a, b) => (Number(b.others) < Number(a.others) ? b : a));
}

async function measure({ tasks, chunkMs, workers, delayMs }: Case): Promise<Row> {
  const state = path.join(place, 'state');
  rmSync(state, { recursive: true, force: true });
  const coordinator = await startBuiltCoordinator(state, true, { listen: '127.0.0.1:0' });
  const client = connect(coordinator.endpoint);
  try {
    const listening = coordinator.listenAddress ?? '';
    const address = delayMs > 0 ? await behindDelay(listening, delayMs) : listening;
    const proxies = [...processes];
    for (let worker = 0; worker < workers; worker += 1) startHollow(address, worker, chunkMs);
    const hollow = processes.slice(proxies.length);
    await until(async () => (await client.workers()).length === workers);
    const waves = Math.ceil(tasks / (workers * slots));
    const idealMs = waves * chunkMs;
    const parts = [[process], hollow, proxies];
    const before = parts.map(cpuOf);
    const machineBefore = machineCpuMs();
    const started = performance.now();
    await coordinator.submitPlan(waitingJob(tasks));
    const view = await client.wait(emptyJobId, { timeoutMs: 60_000 + 10 * idealMs });
    const makespanMs = performance.now() - started;
    const machineMs = machineCpuMs() - machineBefore;
    const used = parts.map((each, at) => cpuOf(each) - (before[at] ?? 0));
    const usedMs = used.reduce((sum, ms) => sum + ms, 0);
    const [coordinatorMs = 0, workersMs = 0, proxyMs = 0] = used.map((ms) => (1000 * ms) / tasks);
    if (view.state !== 'succeeded') throw new Error(JSON.stringify(view.failure));
    const tookMs = await meanChunkMs(hollow);
    return {
      'delay ms': delayMs,
      tasks: thousands(tasks),
      'each ms': chunkMs,
      workers,
      slots: workers * slots,
      'makespan s': seconds(makespanMs),
      'ideal s': seconds(idealMs),
      'of ideal': (idealMs / makespanMs).toFixed(2),
      'each took': tookMs.toFixed(2),
      'slots busy': ((tasks * tookMs) / (workers * slots * makespanMs)).toFixed(2),
      'tasks/s': thousands(tasks / (makespanMs / 1000)),
      'coordinator CPU': thousands(coordinatorMs),
      'workers CPU': thousands(workersMs),
      'proxy CPU': thousands(proxyMs),
      cores: (usedMs / makespanMs).toFixed(2),
      others: Math.max(0, (machineMs - usedMs) / makespanMs).toFixed(2),
      retries: view.retries,
    };
  } finally {
    client.close();
    await stopWorkers(processes.splice(0));
    await coordinator.stop();
  }
}

/** Ends the workers. @returns what a chunk took on average, by their own clocks */
async function meanChunkMs(hollow: readonly ChildProcess[]): Promise<number> {
  const taken = await Promise.all(
    hollow.map(async ({ stdin, stdout }) => {
      const line = once(createInterface({ input: stdout! }), 'line');
      stdin!.end();
      const [text] = (await line) as [string];
      return JSON.parse(text) as { chunks: number; ms: number };
    }),
  );
  const sum = (of: 'chunks' | 'ms'): number => taken.reduce((total, each) => total + each[of], 0);
  return sum('ms') / sum('chunks');
}

/** CPU time of these processes together so far. */
function cpuOf(all: readonly { readonly pid?: number | undefined }[]): number {
  return all.reduce((sum, { pid }) => sum + cpuMs(pid ?? 0), 0);
}

/** CPU time that was used or taken on this machine so far, by its host's other guests too. */
function machineCpuMs(): number {
  // Of all cores together, in ticks of a hundredth of a second: user, nice, system, idle, iowait, …
  const fields = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0]?.split(/ +/).slice(1) ?? [];
  const idle = new Set([3, 4]);
  // The last two, of guests, are in user and nice already.
  const used = fields.map(Number).filter((_, at) => at < 8 && !idle.has(at));
  return 10 * used.reduce((sum, ticks) => sum + ticks, 0);
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
