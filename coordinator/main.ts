/**
 * Constructs a coordinator from its rooms and runs it: in a process of its own, or inside
 * `windrow run`. The only place in the coordinator that knows all the others.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { fail } from '../shared/failure.js';
import type { JobId } from '../shared/ids.js';
import { BlobStore } from './blob-store.js';
import { Catalogue } from './catalogue.js';
import { Committer } from './committer.js';
import type { Event } from './core/events.js';
import { lostAfterRestart, reconcile } from './core/reconcile.js';
import { jobToRow } from './core/snapshot.js';
import { isEnded, type JobState, type State } from './core/state.js';
import { EffectsRunner } from './effects-runner.js';
import { JobChunks } from './job-chunks.js';
import { openJournal } from './journal/sqlite-journal.js';
import {
  isLocked,
  lockStateDirectory,
  type Owner,
  readOwner,
  type StateLock,
} from './journal/state-lock.js';
import { type ExpectedDevices, KnownDevices } from './known-devices.js';
import { Loop } from './loop.js';
import { Notices } from './notices.js';
import { ProgressMeter } from './progress-meter.js';
import { replay } from './replay.js';
import { jobService } from './rpc/job-service.js';
import {
  bearerToken,
  checkBind,
  Door,
  socketPath,
  type TlsFiles,
  tokenMatches,
} from './rpc/servers.js';
import { type LogEntry, WorkerService } from './rpc/worker-service.js';
import { makeDirectory } from '../shared/storage/directories.js';
import { Roots } from '../shared/storage/roots.js';
import { Submission } from './submission.js';

export interface CoordinatorOptions {
  readonly stateDirectory: string;
  /** `HOST:PORT`, beside the UNIX socket in the state directory. */
  readonly listen?: string;
  /** Jobs of earlier processes stay suspended until somebody asks for them. */
  readonly embedded: boolean;
  readonly slotsHint?: number;
  readonly allowRoots?: readonly string[];
  readonly allowCode?: boolean;
  readonly clientToken?: string;
  readonly workerToken?: string;
  readonly tls?: TlsFiles;
  readonly leaseMs?: number;
  /**
   * Called once the state directory is ours, before anything else is done with it: workers started
   * now get ready meanwhile. They find the coordinator at this endpoint a moment later.
   */
  readonly onOwned?: (endpoint: string) => void;
  /** Where this machine's workers are all there will be: how to know their devices. */
  readonly devices?: ExpectedDevices;
}

export interface RunningCoordinator {
  /** `unix:…`, for clients and workers of this machine. */
  readonly endpoint: string;
  readonly listenAddress?: string;
  /** Resolves once no requested job is unfinished and nobody watches. */
  idle(): Promise<void>;
  /** A worker process was seen to exit; its attempts are lost at once. */
  workerExited(pid: number, crashed: boolean): void;
  stop(options?: { suspend?: boolean }): Promise<void>;
  /** Accepts a ready plan: how benchmarks reach the scheduler without data. */
  submitPlan(event: Extract<Event, { type: 'job.submitted' }>): Promise<void>;
}

export interface BusyCoordinator {
  readonly busy: { readonly endpoint: string; readonly pid: number };
}

const defaultLeaseMs = 10_000;
const ownerWaitMs = 5_000;
const progressMs = 500;
const logLines = 10_000;

export async function startCoordinator(
  options: CoordinatorOptions,
): Promise<RunningCoordinator | BusyCoordinator> {
  if (options.listen !== undefined) {
    checkBind(options.listen, {
      tls: options.tls !== undefined,
      clientToken: options.clientToken !== undefined,
      workerToken: options.workerToken !== undefined,
    });
  }
  const stateDirectory = resolve(options.stateDirectory);
  await makeDirectory(stateDirectory, 0o700);
  const lock = lockStateDirectory(stateDirectory);
  if (lock.busy) return { busy: await ownerOf(stateDirectory, lock.owner) };
  try {
    options.onOwned?.(`unix:${socketPath(stateDirectory)}`);
    return await new Coordinator(options, stateDirectory, lock).start();
  } catch (error) {
    lock.release();
    throw error;
  }
}

/** The owner may just be starting: waits a little until it says where it listens. */
async function ownerOf(
  stateDirectory: string,
  first: Owner | undefined,
): Promise<BusyCoordinator['busy']> {
  let owner = first;
  for (let waited = 0; waited < ownerWaitMs && owner?.endpoint === undefined; waited += 50) {
    await new Promise((wake) => setTimeout(wake, 50));
    owner = readOwner(stateDirectory);
  }
  if (owner?.endpoint === undefined) {
    fail(
      'io',
      'E_STATE_BUSY',
      `${stateDirectory} is held by process ${owner?.pid ?? '?'}, which does not listen`,
      {
        hint: 'wait for it, or use another --state directory',
      },
    );
  }
  return { endpoint: owner.endpoint, pid: owner.pid };
}

export { readOnlyView } from './read-only.js';

/** The live process that works on a state directory, if there is one. */
export async function findOwner(
  stateDirectory: string,
): Promise<BusyCoordinator['busy'] | undefined> {
  const directory = resolve(stateDirectory);
  return isLocked(directory) ? ownerOf(directory, readOwner(directory)) : undefined;
}

class Coordinator {
  private readonly notices = new Notices();
  private readonly meter = new ProgressMeter();
  private readonly held = new Set<JobId>();
  private readonly chunks = new Map<JobId, JobChunks>();
  private readonly logs: LogEntry[] = [];
  private doors: Door[] = [];
  private timers: NodeJS.Timeout[] = [];
  private idleWaiters: (() => void)[] = [];

  constructor(
    private readonly options: CoordinatorOptions,
    private readonly stateDirectory: string,
    private readonly lock: StateLock,
  ) {}

  async start(): Promise<RunningCoordinator> {
    const { options, stateDirectory, notices, meter, held } = this;
    const journal = openJournal(stateDirectory);
    const epoch = await journal.acquire();
    const state = replay(await journal.load());
    for (const job of state.jobs.values()) {
      const known = await journal.notices(job.id, 0, 1_000_000);
      notices.resume(job.id, known[known.length - 1]?.seq ?? 0);
      this.restoreGroups(job);
      if (options.embedded && !isEnded(job.phase)) held.add(job.id);
    }
    const nowMs = (): number => Date.now();
    const roots = new Roots(options.embedded ? undefined : (options.allowRoots ?? []));
    const blobs = new BlobStore(join(stateDirectory, 'blobs'));
    const leaseMs = options.leaseMs ?? defaultLeaseMs;
    const chunksOf = (job: JobState): JobChunks => this.chunksOf(job);
    const forget = (id: JobId): void => {
      this.chunks.delete(id);
      held.delete(id);
      this.checkIdle(state);
    };
    const devices = new KnownDevices(options.devices);
    const workers = new WorkerService({
      epoch,
      leaseMs,
      nowMs,
      blobs,
      devices,
      post: (...events) => loop.post(...events),
      log: (entry) => this.log(entry),
      chunkCount: (job, stage) =>
        state.jobs.get(job as JobId)?.stages.find(({ id }) => id === stage)?.chunkCount ?? 0,
    });
    const catalogue = new Catalogue({
      state,
      journal,
      notices,
      meter,
      held,
      rssBytes: (id) => workers.rssBytes(id as never),
      nowMs,
    });
    const note = (id: JobId, kind: string, data: Record<string, unknown>): void =>
      loop.note({ type: 'notify', jobId: id, kind, timeMs: nowMs(), data });
    const committer = new Committer({
      stateDirectory,
      state,
      epoch,
      index: journal,
      chunksOf,
      nowMs,
      warn: (id, text) => note(id, 'warning', { text }),
    });
    const slots = (): number => this.slots(state);
    const fatal = (error: unknown): void => this.fatal(error, state);
    const runner = new EffectsRunner({
      state,
      epoch,
      journal,
      index: journal,
      notices,
      workers,
      catalogue,
      meter,
      committer,
      chunksOf,
      forget,
      loop: () => loop,
      slots,
      nowMs,
      fatal,
    });
    const loop: Loop = new Loop({
      state,
      journal,
      epoch,
      nowMs,
      held,
      fatal,
      number: (effect) => notices.number(effect),
      publish: (notice) => notices.publish(notice),
      run: (effect) => runner.run(effect),
    });
    const output = async function* (directory: string, maxRows: number | undefined) {
      // Few coordinators are asked for rows: only those load what reads them.
      const { ResultReader } = await import('./result-reader.js');
      yield* new ResultReader(join(stateDirectory, 'tmp')).output(directory, maxRows);
    };
    const submission = new Submission({
      state,
      journal,
      loop: () => loop,
      blobs,
      catalogue,
      committer,
      held,
      slots,
      nowMs,
      checkPath: (path) => roots.check(path),
      allowCode: options.embedded || options.allowCode === true,
      devices: () => devices.facts(),
      scratch: join(stateDirectory, 'previews'),
      readArrow: output,
      note,
      wake: (job) => {
        // A job that was not held is publishing already.
        if (!held.delete(job.id)) return;
        for (const effect of reconcile(state)) {
          if ('jobId' in effect && effect.jobId === job.id) runner.run(effect);
        }
        loop.poke();
      },
    });
    const door = (clientToken: string | undefined, workerToken: string | undefined): Door =>
      new Door(
        jobService({
          submission,
          catalogue,
          blobs,
          results: { output },
          logs: (job) => this.logs.filter(({ text }) => text.startsWith(`${job}/`)),
          drainWorker: (id) => this.drainWorker(state, loop, id),
          authorize: (metadata) => authorize(clientToken, bearerToken(metadata)),
        }),
        workers.implementation(workerToken),
      );
    const local = door(undefined, undefined);
    this.doors.push(local);
    const endpoint = await local.listenUnix(socketPath(stateDirectory));
    this.lock.announce(endpoint);
    let listenAddress: string | undefined;
    if (options.listen !== undefined) {
      const open = door(options.clientToken, options.workerToken);
      this.doors.push(open);
      listenAddress = await open.listenTcp(options.listen, options.tls);
    }
    for (const effect of reconcile(state)) {
      if (!('jobId' in effect) || !held.has(effect.jobId)) runner.run(effect);
    }
    // Embedded workers died with the process before; others get a lease's time to come back.
    const grace = setTimeout(
      () => void loop.post(...lostAfterRestart(state, nowMs())).catch(fatal),
      options.embedded ? 0 : leaseMs,
    );
    const progress = setInterval(
      () => this.tellProgress(state, catalogue, workers, nowMs()),
      progressMs,
    );
    grace.unref();
    progress.unref();
    this.timers.push(grace, progress);
    return {
      endpoint,
      ...(listenAddress ? { listenAddress } : {}),
      idle: () => this.idle(state),
      workerExited: (pid, crashed) => workers.exited(pid, crashed),
      submitPlan: (event) => loop.post(event),
      stop: async () => {
        for (const timer of this.timers) clearTimeout(timer);
        workers.close();
        await Promise.all(this.doors.map((each) => each.close()));
        await runner.idle();
        await loop.stop();
        await journal.close();
        this.lock.release();
      },
    };
  }

  private restoreGroups(job: JobState): void {
    for (const stage of job.stages) {
      if (stage.groups) this.chunksOf(job).setGroups(stage.id, stage.groups);
    }
  }

  private chunksOf(job: JobState): JobChunks {
    let chunks = this.chunks.get(job.id);
    if (!chunks) {
      chunks = new JobChunks(job.id, job.plan);
      this.chunks.set(job.id, chunks);
    }
    return chunks;
  }

  private slots(state: State): number {
    let slots = 0;
    for (const worker of state.workers.values()) slots += worker.slots;
    return slots || this.options.slotsHint || availableParallelism();
  }

  private async drainWorker(state: State, loop: Loop, id: string): Promise<void> {
    const worker = [...state.workers.values()].find((each) => each.id === id);
    if (!worker) {
      const names = [...state.workers.keys()].join(', ') || 'none';
      fail('invalidSpec', 'E_NO_WORKER', `there is no worker '${id}'`, {
        hint: `workers here: ${names}`,
      });
    }
    await loop.post({ type: 'worker.drain', workerId: worker.id, nowMs: Date.now() });
  }

  private tellProgress(
    state: State,
    catalogue: Catalogue,
    workers: WorkerService,
    nowMs: number,
  ): void {
    const rows = new Map<string, number>();
    for (const { attempt, rows: done } of workers.progress()) {
      if (attempt) rows.set(attempt.jobId, (rows.get(attempt.jobId) ?? 0) + done);
    }
    this.meter.underWay(rows);
    for (const job of state.jobs.values()) if (!isEnded(job.phase)) this.meter.sample(job, nowMs);
    for (const id of this.notices.watched()) {
      const job = state.jobs.get(id);
      if (!job || isEnded(job.phase)) continue;
      const data = JSON.stringify(catalogue.progress(job));
      this.notices.publish({ jobId: id, seq: 0, timeMs: nowMs, kind: 'progress', data });
    }
  }

  private log(entry: LogEntry): void {
    this.logs.push(entry);
    if (this.logs.length > logLines) this.logs.splice(0, this.logs.length - logLines);
  }

  private idle(state: State): Promise<void> {
    return new Promise((resolveIdle) => {
      this.idleWaiters.push(resolveIdle);
      this.checkIdle(state);
    });
  }

  private checkIdle(state: State): void {
    const busy = [...state.jobs.values()].some((job) => !this.held.has(job.id));
    if (busy) return;
    for (const wake of this.idleWaiters.splice(0)) wake();
  }

  /** The journal is lost or a rule of ours is broken: say what is known and stop at once. */
  private fatal(error: unknown, state: State): void {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    const dump = join(this.stateDirectory, `crash-${process.pid}.json`);
    const jobs = [...state.jobs.values()].map((job) => JSON.parse(jobToRow(job)) as unknown);
    const workers = [...state.workers.values()].map(({ attempts, ...worker }) => ({
      ...worker,
      attempts: [...attempts.keys()],
    }));
    try {
      writeFileSync(dump, JSON.stringify({ error: text, jobs, workers }));
    } catch {
      // The disk may be what failed; the message below still says why.
    }
    process.stderr.write(
      `error E_INTERNAL: the coordinator stops: ${text}\nhint: its state was written to ${dump}; run the job again, finished work is kept\n`,
    );
    process.exit(70);
  }
}

function authorize(wanted: string | undefined, given: string): void {
  if (wanted === undefined || tokenMatches(given, wanted)) return;
  fail('invalidSpec', 'E_UNAUTHENTICATED', 'the client token is missing or wrong', {
    hint: 'give it with WINDROW_TOKEN or --token-file',
  });
}

/** A token from a file, without surrounding white space. */
export function readToken(path: string): string {
  return readFileSync(path, 'utf8').trim();
}
