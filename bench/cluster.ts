/**
 * A coordinator in this process and worker processes of one slot, watched while they run a job: time by stage, CPU,
 * memory, files. Workers end with this process, however it ends.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type Client, connect, type JobBuilder } from '../client/index.js';
import type { RunningCoordinator } from '../coordinator/main.js';
import { shuffleDirectoryOf } from '../shared/storage/paths.js';
import type { JobView } from '../shared/views.js';
import { startBuiltCoordinator, stopWorkers, until } from './empty-job.js';
import { cpuMs, peakResidentBytes, root } from './engine.js';
import { megabytes } from './report.js';

export interface ClusterOptions {
  /** Made anew, and gone when the cluster closes. */
  readonly place: string;
  readonly workers: number;
  /** Of each worker; default what a worker takes by itself. */
  readonly memoryBytes?: number;
  /** No worker reads what another has on its disk: parts travel by gRPC over TCP. */
  readonly ownDisks?: boolean;
}

export interface JobRun {
  readonly view: JobView;
  readonly wallMs: number;
  /** From one stage's end to the next one's, in the order in which they ended. */
  readonly stages: readonly { readonly id: string; readonly ms: number }[];
  /** By all threads of all workers, and of the coordinator with whoever follows the job. */
  readonly workerCpuMs: number;
  readonly coordinatorCpuMs: number;
  /** Of the worker that had most. */
  readonly residentBytes: number;
  /** Files that DuckDB had put aside in all workers, at the moment when there were most; seen now and then. */
  readonly spilledBytes: number;
  /** Chunks of stages within the query, at the moment when there were most. */
  readonly shuffleBytes: number;
  /** Workers that ended and were started again. */
  readonly restarts: number;
}

const program = path.join(root, 'dist/worker/main.js');
/** A path that means another place to each process: its own working directory. */
const ownShuffle = '/proc/self/cwd/shuffle';
/** Exit codes of a worker that left in order: it drained, or had more memory than it was given. */
const leftCodes = [0, 75];
/** Seldom, so that watching takes little from what is watched: the kernel keeps the peaks of memory. */
const sampleMs = 500;
const progressMs = 10_000;

/** What a worker process had used when it was last looked at: it may be gone since. */
interface Used {
  readonly cpuMs: number;
  readonly residentBytes: number;
}

export class Cluster {
  private readonly children: ChildProcess[] = [];
  private readonly used = new Map<number, Used>();
  private restarts = 0;
  private closed: Promise<void> | undefined;

  private constructor(
    private readonly options: ClusterOptions,
    private readonly coordinator: RunningCoordinator,
    readonly client: Client,
  ) {}

  static async open(options: ClusterOptions): Promise<Cluster> {
    rmSync(options.place, { recursive: true, force: true });
    mkdirSync(options.place, { recursive: true });
    const state = path.join(options.place, 'state');
    const listen = options.ownDisks ? { listen: '127.0.0.1:0' } : {};
    const coordinator = await startBuiltCoordinator(state, true, listen);
    const cluster = new Cluster(options, coordinator, connect(coordinator.endpoint));
    try {
      for (let worker = 0; worker < options.workers; worker += 1) cluster.startWorker(worker);
      await until(async () => (await cluster.client.workers()).length === options.workers);
      return cluster;
    } catch (error) {
      await cluster.close();
      throw error;
    }
  }

  /** Runs a job to its end, for two hours at most. @throws what it failed of */
  async run(job: JobBuilder<string>): Promise<JobRun> {
    const loaded = await job.run({ timeout: 'PT2H' }).load(this.options.place);
    this.used.clear();
    for (const pid of this.pids()) forgetPeak(pid);
    this.look();
    const before = { cpuMs: this.workerCpuMs(), own: process.cpuUsage(), restarts: this.restarts };
    const most = { spilled: 0, shuffle: 0 };
    const look = (): void => {
      this.look();
      most.spilled = Math.max(most.spilled, this.spilledBytes());
      most.shuffle = Math.max(most.shuffle, this.shuffleBytes());
    };
    const started = performance.now();
    const sampler = setInterval(look, sampleMs);
    const telling = setInterval(() => {
      const seconds = Math.round((performance.now() - started) / 1000);
      console.log(`  ${loaded.name}: ${seconds} s, ${megabytes(most.spilled)} spilled at most`);
    }, progressMs);
    try {
      const { jobId } = await this.client.submit(loaded);
      const stages: { id: string; ms: number }[] = [];
      let last = Date.now();
      for await (const event of this.client.events(jobId, { follow: true })) {
        if (event.event !== 'stage' || event['state'] !== 'done') continue;
        const at = Date.parse(event.time);
        stages.push({ id: String(event['stage']), ms: Math.max(0, at - last) });
        last = at;
        most.shuffle = Math.max(most.shuffle, this.shuffleBytes());
      }
      const view = await this.client.wait(jobId);
      const wallMs = performance.now() - started;
      if (view.state !== 'succeeded') throw new Error(JSON.stringify(view.failure ?? view.state));
      look();
      const { user, system } = process.cpuUsage(before.own);
      return {
        view,
        wallMs,
        stages,
        workerCpuMs: this.workerCpuMs() - before.cpuMs,
        coordinatorCpuMs: (user + system) / 1000,
        residentBytes: Math.max(...[...this.used.values()].map((each) => each.residentBytes)),
        spilledBytes: most.spilled,
        shuffleBytes: most.shuffle,
        restarts: this.restarts - before.restarts,
      };
    } finally {
      clearInterval(sampler);
      clearInterval(telling);
    }
  }

  close(): Promise<void> {
    return (this.closed ??= this.stop());
  }

  private async stop(): Promise<void> {
    this.client.close();
    await stopWorkers(this.children);
    await this.coordinator.stop();
    rmSync(this.options.place, { recursive: true, force: true });
  }

  private startWorker(index: number): void {
    const { memoryBytes, ownDisks } = this.options;
    const cwd = this.workerDirectory(index);
    mkdirSync(cwd, { recursive: true });
    const { endpoint, listenAddress } = this.coordinator;
    const child = spawn(
      process.execPath,
      [
        program,
        ...['--coordinator', (ownDisks ? listenAddress : undefined) ?? endpoint],
        ...['--spill', path.join(cwd, 'scratch')],
        ...['--shuffle-dir', ownDisks ? ownShuffle : this.sharedShuffle()],
        ...(memoryBytes === undefined ? [] : ['--memory', String(memoryBytes)]),
        ...['--pool', '*', '--exit-with-parent'],
      ],
      {
        cwd,
        // The pipe to its standard input is its life line.
        stdio: ['pipe', 'ignore', 'inherit'],
        env: { ...process.env, UV_THREADPOOL_SIZE: '10' },
      },
    );
    this.children[index] = child;
    child.once('exit', (code, signal) => {
      if (this.closed) return;
      this.restarts += 1;
      console.log(`  worker ${index} ended (${signal ?? code}) and is started again`);
      this.coordinator.workerExited(child.pid ?? 0, !leftCodes.includes(code ?? -1));
      this.startWorker(index);
    });
  }

  private workerDirectory(index: number): string {
    return path.join(this.options.place, `worker-${index}`);
  }

  private sharedShuffle(): string {
    return shuffleDirectoryOf(path.join(this.options.place, 'state'));
  }

  private pids(): number[] {
    return this.children.flatMap(({ pid }) => pid ?? []);
  }

  private look(): void {
    for (const pid of this.pids()) {
      const before = this.used.get(pid) ?? { cpuMs: 0, residentBytes: 0 };
      this.used.set(pid, {
        cpuMs: Math.max(before.cpuMs, cpuMs(pid)),
        residentBytes: Math.max(before.residentBytes, peakResidentBytes(pid)),
      });
    }
  }

  private workerCpuMs(): number {
    return [...this.used.values()].reduce((sum, each) => sum + each.cpuMs, 0);
  }

  private spilledBytes(): number {
    return this.children.reduce(
      (sum, _, index) =>
        sum +
        bytesBelow(path.join(this.workerDirectory(index), 'scratch'), (name) =>
          name.startsWith('duckdb_temp'),
        ),
      0,
    );
  }

  private shuffleBytes(): number {
    const directories = this.options.ownDisks
      ? this.children.map((_, index) => path.join(this.workerDirectory(index), 'shuffle'))
      : [this.sharedShuffle()];
    return directories.reduce(
      (sum, directory) => sum + bytesBelow(directory, (name) => name.endsWith('.chunk')),
      0,
    );
  }
}

function bytesBelow(directory: string, counts: (name: string) => boolean): number {
  let sum = 0;
  try {
    for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || !counts(entry.name)) continue;
      const file = path.join(entry.parentPath, entry.name);
      sum += statSync(file, { throwIfNoEntry: false })?.size ?? 0;
    }
  } catch {
    // A directory went while it was listed, or is not there yet: what was seen so far is a lower bound.
  }
  return sum;
}

/** Lets the kernel take the peak of a process anew from what it has now. */
function forgetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
}
