/** Runs the built CLI as users do and watches its processes from outside. Never imports the engine. */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';

export const root = path.resolve(import.meta.dirname, '..');
export const cli = path.join(root, 'dist/cli/main.js');
export const dataDirectory = path.join(import.meta.dirname, '.data');

export interface RunResult {
  readonly event: 'result';
  readonly state: string;
  readonly rows: {
    readonly in: number;
    readonly out: number;
    readonly filtered: number;
    readonly deadLettered: number;
  };
  readonly rowsInferred: number;
  readonly rowsReused: number;
}

export interface Progress {
  readonly event: 'progress';
  readonly rowsDone: number;
  readonly rowsTotal: number;
}

export interface Run {
  /** From process start to exit. */
  readonly wallMs: number;
  /** By all threads of all processes of the run together. */
  readonly cpuMs: number;
  /** Null when the run was killed. */
  readonly result: RunResult | null;
  /** Largest resident set of the process itself, which is the coordinator in an embedded run. */
  readonly coordinatorBytes: number;
  /** Largest resident set of any process below it. */
  readonly workerBytes: number;
}

/** Largest resident set that a process has had so far, in bytes; 0 once it is gone. */
export function peakResidentBytes(pid: number): number {
  try {
    const kilobytes = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return Number(kilobytes ?? 0) * 1024;
  } catch {
    return 0;
  }
}

/** CPU time of all threads of a process so far; 0 once it is gone. */
export function cpuMs(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // Fields 14 and 15 of proc(5), in ticks of a hundredth of a second.
    return (Number(fields[11]) + Number(fields[12])) * 10;
  } catch {
    return 0;
  }
}

/** CPU time of processes that ran below this one and have ended, with all below them. */
function endedChildrenCpuMs(): number {
  const stat = readFileSync('/proc/self/stat', 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  // Fields 16 and 17 of proc(5), in ticks of a hundredth of a second.
  return (Number(fields[13]) + Number(fields[14])) * 10;
}

/** Processes below this one, of any depth. */
export function descendants(pid: number): number[] {
  let children: number[];
  try {
    const tasks = readdirSync(`/proc/${pid}/task`);
    children = tasks.flatMap((task) =>
      (readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').match(/\d+/g) ?? []).map(Number),
    );
  } catch {
    // It, or one of its threads, ended between the listing and the reading.
    return [];
  }
  return children.flatMap((child) => [child, ...descendants(child)]);
}

/** Seldom, so that watching takes nothing from what is watched: the kernel keeps the peaks. */
const sampleMs = 500;

/**
 * `windrow run` with these arguments, in a process group of its own.
 * @param onProgress may answer `kill`: the whole group gets SIGKILL at once
 */
export async function runJob(
  args: readonly string[],
  onProgress: (progress: Progress) => 'kill' | undefined = () => undefined,
): Promise<Run> {
  const started = performance.now();
  const cpuBefore = endedChildrenCpuMs();
  const child = spawn(process.execPath, [cli, 'run', ...args], {
    cwd: root,
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const pid = child.pid;
  if (pid === undefined) throw new Error(`could not start ${cli}: build first`);
  const peak = { coordinator: 0, worker: 0 };
  const sampler = setInterval(() => {
    peak.coordinator = Math.max(peak.coordinator, peakResidentBytes(pid));
    peak.worker = Math.max(peak.worker, ...descendants(pid).map(peakResidentBytes));
  }, sampleMs);
  let killed = false;
  let result: RunResult | null = null;
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (!line.startsWith('{')) return;
    const event = JSON.parse(line) as RunResult | Progress | { readonly event: 'other' };
    if (event.event === 'result') result = event;
    if (event.event === 'progress' && !killed && onProgress(event) === 'kill') {
      killed = true;
      process.kill(-pid, 'SIGKILL');
    }
  });
  const code = await new Promise((resolve) => child.on('close', resolve));
  clearInterval(sampler);
  const wallMs = performance.now() - started;
  if (!killed && code !== 0) throw new Error(`windrow run ${args.join(' ')} ended with ${code}`);
  return {
    wallMs,
    cpuMs: endedChildrenCpuMs() - cpuBefore,
    result,
    coordinatorBytes: peak.coordinator,
    workerBytes: peak.worker,
  };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
