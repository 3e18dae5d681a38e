/**
 * A worker process: joins a coordinator, runs attempts in its slots, reports. The main thread does
 * no work of its own, so that leases and heartbeats never wait for data.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { hostname, tmpdir, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { credentials, type ChannelCredentials } from '@grpc/grpc-js';
import type { Assign, Assignment, ChunkWork as WireChunk } from '../shared/gen/windrow.js';
import { type Failure, formatFailure, toFailure, WindrowError } from '../shared/failure.js';
import { attemptKey, type AttemptRef } from '../shared/ids.js';
import { limits } from '../shared/limits.js';
import type { BlobRef, StageProgram } from '../shared/plan.js';
import { makeDirectory } from '../shared/storage/directories.js';
import {
  attemptFromWire,
  attemptToWire,
  chunkDoneToWire,
  chunkFileFromWire,
} from '../shared/wire.js';
import type { ChunkWork } from './attempt/protocol.js';
import { BlobCache } from './blob-cache.js';
import {
  type DeviceChannel,
  type DeviceThread,
  startDeviceThread,
} from './inference/device-thread.js';
import { type FoundDevice, probeDevices } from './inference/devices.js';
import { ReportQueue } from './reports.js';
import { Session } from './session.js';
import { Slots } from './slots.js';

export interface WorkerOptions {
  /** `unix:/path` or `host:port`. */
  readonly coordinator: string;
  readonly slots: number;
  /** `*` serves every pool. */
  readonly pools: readonly string[];
  readonly id?: string;
  readonly token?: string;
  /** PEM files. */
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string };
  /** RSS above which the process recycles itself between attempts; default 80 % of memory / slots. */
  readonly memoryLimitBytes?: number;
  readonly spillDirectory?: string;
  /** End at once when standard input closes (the parent died). */
  readonly exitWithParent?: boolean;
}

export interface RunningWorker {
  /** Resolves with the exit code once the worker has left. */
  readonly done: Promise<number>;
  /** Finishes what runs, takes nothing new, then leaves. */
  drain(): void;
}

/** Exit codes that a parent may act on. */
export const workerExit = { drained: 0, refused: 2, recycled: 75 } as const;

const cancelGraceMs = 10_000;
const drainGraceMs = 60_000;
const farewellMs = 3_000;

const drainedFailure: Failure = {
  kind: 'workerLost',
  code: 'E_WORKER_DRAINED',
  message: 'the worker is leaving; another one goes on',
};

interface AttemptRows {
  readonly ref: AttemptRef;
  rows: number;
  /** Rows of chunks that were reported done. */
  reported: number;
  rowsTotal: number;
  doing: string;
}

export async function startWorker(options: WorkerOptions): Promise<RunningWorker> {
  if (options.exitWithParent) endWithParent();
  const { devices } = await probeDevices();
  return new Worker(options, devices).start();
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

class Worker {
  private readonly id: string;
  private readonly incarnation = randomBytes(8).toString('hex');
  private readonly reports = new ReportQueue();
  private readonly programs = new Map<string, StageProgram>();
  private readonly progress = new Map<string, AttemptRows>();
  private readonly waiting = new Set<string>();
  private readonly cancelled = new Set<string>();
  private readonly session: Session;
  private readonly slots: Slots;
  private readonly blobs: BlobCache;
  private readonly scratch: string;
  private logs: { timeMs: number; level: string; text: string; jobId: string }[] = [];
  private device: DeviceThread | undefined;
  private draining = false;
  private leaving = false;
  private finish: (code: number) => void = () => undefined;

  constructor(
    private readonly options: WorkerOptions,
    private readonly devices: readonly FoundDevice[],
  ) {
    this.id = options.id ?? `${hostname()}-${process.pid}-${this.incarnation.slice(0, 4)}`;
    this.scratch = resolve(options.spillDirectory ?? join(tmpdir(), `windrow-${this.incarnation}`));
    this.session = new Session(
      options.coordinator,
      channelCredentials(options.tls),
      options.token,
      this.reports,
      {
        welcome: () => this.leaveIfDone(),
        assign: (message) => this.assign(message),
        cancel: (attempts) => attempts.forEach((attempt) => this.cancel(attemptFromWire(attempt))),
        drain: () => this.drain(),
        discard: (paths) => void Promise.all(paths.map((path) => rm(path, { force: true }))),
        refused: (message) => this.refused(message),
        hello: () => ({
          workerId: this.id,
          incarnation: this.incarnation,
          pools: [...options.pools],
          slots: options.slots,
          pid: process.pid,
          host: hostname(),
          version: '1',
          ...namesOf(this.devices),
          running: [...this.slots.attempts(), ...this.waitingRefs()].map(attemptToWire),
        }),
        heartbeat: () => this.heartbeat(),
      },
    );
    this.blobs = new BlobCache(join(this.scratch, 'blobs'), (digest) =>
      this.session.fetchBlob(digest),
    );
    this.slots = new Slots(
      { slots: options.slots, cancelGraceMs, heapBytes: this.threadHeapBytes() },
      {
        chunk: (ref, chunk, record) => {
          this.rowsOf(ref).reported += record.counts.rowsIn;
          this.session.send(this.reports.chunkDone(chunkDoneToWire(ref, chunk, record)));
        },
        progress: (ref, rows, rowsTotal, doing) =>
          Object.assign(this.rowsOf(ref), { rows, rowsTotal, doing }),
        log: (ref, level, text) => this.log(ref, level, text),
        ended: (ref, failure) => this.ended(ref, failure),
        stuck: (ref) => void this.recycle(ref),
      },
    );
  }

  async start(): Promise<RunningWorker> {
    await makeDirectory(this.scratch);
    const done = new Promise<number>((resolve) => (this.finish = resolve));
    this.session.connect();
    return { done, drain: () => this.drain() };
  }

  private rowsOf(ref: AttemptRef): AttemptRows {
    const key = attemptKey(ref);
    const known = this.progress.get(key);
    if (known) return known;
    const fresh = { ref, rows: 0, reported: 0, rowsTotal: 0, doing: 'starting' };
    this.progress.set(key, fresh);
    return fresh;
  }

  private waitingRefs(): AttemptRef[] {
    return [...this.waiting].map((key) => {
      const [jobId, stageId, task, attempt] = key.split('/');
      return attemptFromWire({
        jobId: jobId!,
        stageId: stageId!,
        task: Number(task),
        attempt: Number(attempt),
      });
    });
  }

  private assign(message: Assign): void {
    for (const [digest, json] of Object.entries(message.programs)) {
      this.programs.set(digest, JSON.parse(json) as StageProgram);
    }
    for (const assignment of message.assignments) {
      const ref = attemptFromWire(assignment.attempt!);
      const key = attemptKey(ref);
      this.waiting.add(key);
      this.begin(ref, assignment)
        .catch((error: unknown) =>
          this.ended(ref, toFailure(error, { kind: 'io', code: 'E_BLOB' })),
        )
        .finally(() => {
          this.waiting.delete(key);
          this.leaveIfDone();
        });
    }
  }

  private async begin(ref: AttemptRef, assignment: Assignment): Promise<void> {
    const program = this.programs.get(assignment.programDigest);
    if (!program) throw new Error(`program ${assignment.programDigest} was never sent`);
    if (program.scan.kind === 'empty') return this.runEmpty(ref, assignment);
    const blobs: Record<string, string> = {};
    for (const blob of blobsOf(program)) blobs[blob.digest] = await this.blobs.path(blob);
    const device = needsDevice(program) ? await this.deviceChannel() : undefined;
    if (this.cancelled.delete(attemptKey(ref))) return this.ended(ref, cancelledFailure);
    if (this.draining) return this.ended(ref, drainedFailure);
    this.slots.start({
      ref,
      program,
      programDigest: assignment.programDigest,
      chunks: assignment.chunks.map(chunkWork),
      chunkDirectory: assignment.chunkDirectory,
      attemptTag: `${attemptKey(ref).replaceAll('/', '-')}-${this.incarnation}`,
      probe: assignment.probe,
      blobs,
      memoryLimitBytes: this.threadMemoryBytes(),
      spillDirectory: join(this.scratch, 'spill'),
      ...(device ? { device } : {}),
    });
  }

  /** One thread of the process owns the device's sessions; each attempt gets a way to it. */
  private async deviceChannel(): Promise<DeviceChannel> {
    this.device ??= startDeviceThread();
    const channel = this.device.connect();
    await this.device.ready();
    return channel;
  }

  /** Stages without data measure the scheduler alone; no thread is involved. */
  private runEmpty(ref: AttemptRef, assignment: Assignment): void {
    const counts = { rowsIn: 0, rowsOut: 0, filtered: 0, dead: 0, inferred: 0, warnings: {} };
    for (const { chunk, identity } of assignment.chunks) {
      const record = { identity, files: [], counts };
      this.session.send(this.reports.chunkDone(chunkDoneToWire(ref, chunk, record)));
    }
    this.ended(ref, undefined);
  }

  private cancel(ref: AttemptRef): void {
    const key = attemptKey(ref);
    if (this.waiting.has(key)) this.cancelled.add(key);
    else if (!this.slots.cancel(ref)) this.ended(ref, cancelledFailure);
  }

  private ended(ref: AttemptRef, failure: Failure | undefined): void {
    this.progress.delete(attemptKey(ref));
    if (failure) this.log(ref, 'error', formatFailure(failure));
    this.session.send(
      this.reports.attemptEnded({
        attempt: attemptToWire(ref),
        ...(failure ? { failureJson: JSON.stringify(failure) } : {}),
        workerExiting: this.leaving,
      }),
    );
    if (!this.draining && this.overMemory()) this.drain();
    this.leaveIfDone();
  }

  drain(): void {
    if (this.draining) return;
    this.draining = true;
    this.session.goodbye('draining');
    this.slots.drain();
    this.leaveIfDone();
  }

  private leaveIfDone(): void {
    if (this.draining && this.slots.busy === 0 && this.waiting.size === 0) {
      void this.leave(this.leaving ? workerExit.recycled : workerExit.drained);
    }
  }

  /** Waits for the reports to be acknowledged, within bounds, then says goodbye and goes. */
  private async leave(code: number): Promise<void> {
    const until = Date.now() + farewellMs;
    while (!this.reports.empty && Date.now() < until) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    this.session.goodbye('exiting');
    await new Promise((resolve) => setTimeout(resolve, 20));
    this.session.close();
    if (code === workerExit.drained) await this.slots.close();
    await rm(this.scratch, { recursive: true, force: true });
    this.finish(code);
  }

  /** An attempt that will not come back takes the process along, after its neighbours are done. */
  private async recycle(ref: AttemptRef): Promise<void> {
    if (this.leaving) return;
    this.leaving = true;
    this.log(ref, 'warn', 'an attempt did not stop when told to: this worker process is recycled');
    this.draining = true;
    this.session.goodbye('draining');
    this.slots.drain();
    const until = Date.now() + drainGraceMs;
    while (this.slots.busy > 1 && Date.now() < until) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    for (const stuck of this.slots.attempts()) this.ended(stuck, cancelledFailure);
    await this.leave(workerExit.recycled);
    // The stuck thread may be in native code, where only the end of the process is safe.
    process.kill(process.pid, 'SIGKILL');
  }

  private refused(message: string): void {
    const code = /^E_\w+: /.test(message) ? '' : 'E_WORKER_REFUSED: ';
    process.stderr.write(`error ${code}${message}\n`);
    this.session.close();
    void this.slots.close().finally(() => this.finish(workerExit.refused));
  }

  private memoryLimitBytes(): number {
    return this.options.memoryLimitBytes ?? Math.floor(totalmem() * 0.8);
  }

  /** DuckDB's share of a slot: the rest is for the process, JavaScript and models. */
  private threadMemoryBytes(): number {
    const share = this.memoryLimitBytes() / this.options.slots;
    return Math.max(64 * 2 ** 20, Math.floor(share * 0.6));
  }

  /** What DuckDB leaves of a slot's share, within what V8 works well with. */
  private threadHeapBytes(): number {
    const share = this.memoryLimitBytes() / this.options.slots;
    return Math.min(2 * 2 ** 30, Math.max(256 * 2 ** 20, Math.floor(share * 0.4)));
  }

  private overMemory(): boolean {
    return process.memoryUsage.rss() > this.memoryLimitBytes();
  }

  private log(ref: AttemptRef, level: string, text: string): void {
    if (this.logs.length >= 1000) return;
    const line = `${attemptKey(ref)} ${text}`;
    this.logs.push({ timeMs: Date.now(), level, text: line, jobId: ref.jobId });
  }

  private heartbeat() {
    const logs = this.logs.map(({ timeMs, level, text }) => ({
      timeMs,
      level,
      workerId: this.id,
      text,
    }));
    this.logs = [];
    return {
      rssBytes: process.memoryUsage.rss(),
      progress: [...this.progress.values()].map(({ ref, rows, reported, rowsTotal, doing }) => ({
        attempt: attemptToWire(ref),
        // Reported chunks are counted by the coordinator already.
        rows: Math.max(0, rows - reported),
        rowsTotal,
        doing,
      })),
      logs,
    };
  }
}

const cancelledFailure: Failure = {
  kind: 'cancelled',
  code: 'E_CANCELLED',
  message: 'the attempt was told to stop',
};

function needsDevice({ steps }: StageProgram): boolean {
  return steps.some((step) => step.kind === 'infer' && step.device !== 'cpu');
}

function blobsOf(program: StageProgram): BlobRef[] {
  return program.steps.flatMap((step) => {
    if (step.kind === 'infer') return [step.model, ...step.externalData];
    if (step.kind === 'map') return [step.bundle];
    return [];
  });
}

function chunkWork(message: WireChunk): ChunkWork {
  const { source } = message;
  return {
    chunk: message.chunk,
    identity: message.identity,
    inputs: message.inputs.map(chunkFileFromWire),
    poisonRows: message.poisonRows,
    ...(source ? { source } : {}),
  };
}

function channelCredentials(tls: WorkerOptions['tls']): ChannelCredentials {
  if (!tls) return credentials.createInsecure();
  const read = (path: string | undefined): Buffer | null => (path ? readFileSync(path) : null);
  return credentials.createSsl(read(tls.ca), read(tls.key), read(tls.cert));
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
    exitWithParent: values['exit-with-parent'],
  });
  process.on('SIGTERM', () => worker.drain());
  // Ctrl-C reaches the whole process group; in embedded mode the parent decides.
  process.on('SIGINT', () => (values['exit-with-parent'] ? undefined : worker.drain()));
  process.exit(await worker.done);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  runAsProcess().catch((error: unknown) => {
    const failure = error instanceof WindrowError ? error.failure : toFailure(error);
    process.stderr.write(`error ${formatFailure(failure)}\n`);
    process.exit(1);
  });
}
