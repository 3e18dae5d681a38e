/**
 * Constructs a coordinator from its rooms and runs it: in a process of its own, or inside
 * `windrow run`. The only place in the coordinator that knows all the others.
 */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import type { Metadata } from '@grpc/grpc-js';
import { bearerToken, tokenMatches } from '../shared/endpoints.js';
import { fail } from '../shared/failure.js';
import type { JobId, StageId } from '../shared/ids.js';
import { BlobStore } from './blob-store.js';
import { Catalogue } from './catalogue.js';
import { Committer } from './committer.js';
import { crash } from './crash.js';
import type { Event } from './core/events.js';
import { lostAfterRestart, reconcile } from './core/reconcile.js';
import { isEnded, type JobState, type State } from './core/state.js';
import { sourceRows } from './core/task.js';
import { EffectsRunner } from './effects-runner.js';
import { gatewayOf } from './http/gateway.js';
import { JobChunks } from './job-chunks.js';
import { JobVerbs } from './job-verbs.js';
import { openJournal } from './journal/sqlite-journal.js';
import type { StateLock } from './journal/state-lock.js';
import { type ExpectedDevices, KnownDevices } from './known-devices.js';
import { Loop } from './loop.js';
import { LostChunks } from './lost-chunks.js';
import { Notices } from './notices.js';
import { Preparation } from './preparation.js';
import { Previews } from './previews.js';
import { ProgressMeter } from './progress-meter.js';
import { replay } from './replay.js';
import { jobService } from './rpc/job-service.js';
import { checkBind, Door, socketPath, type TlsFiles } from './rpc/servers.js';
import { scalerService } from './rpc/scaler-service.js';
import { WorkerReports } from './rpc/worker-reports.js';
import { type LogEntry, WorkerService } from './rpc/worker-service.js';
import { poolDemand } from './scheduling/pool-demand.js';
import { HealthDoor } from '../shared/health-door.js';
import { makeDirectory } from '../shared/storage/directories.js';
import { Roots } from '../shared/storage/roots.js';
import { ScheduleRoom } from './schedules/room.js';
import { type ListeningOwner, lockOrOwner } from './state-owner.js';
import { StagePlanning } from './stage-planning.js';
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
  /** What an autoscaler must show; default what clients must. */
  readonly scalerToken?: string;
  /** `HOST:PORT` for probes of health, in plain text. */
  readonly healthListen?: string;
  readonly tls?: TlsFiles;
  /** `HOST:PORT` for the verbs of jobs as JSON, and for metrics. */
  readonly http?: string;
  readonly leaseMs?: number;
  /**
   * Called once the state directory is ours, before anything else is done with it: workers started
   * now get ready meanwhile. They find the coordinator at this endpoint a moment later.
   */
  readonly onOwned?: (endpoint: string) => void;
  /** Ends the wait for an owner that is just starting or ending. */
  readonly signal?: AbortSignal;
  /** Where this machine's workers are all there will be: how to know their devices. */
  readonly devices?: ExpectedDevices;
}

export interface RunningCoordinator {
  /** `unix:…`, for clients and workers of this machine. */
  readonly endpoint: string;
  readonly listenAddress?: string;
  readonly httpAddress?: string;
  /** Resolves once no requested job is unfinished and none is being submitted. */
  idle(): Promise<void>;
  /** A worker process was seen to exit; its attempts are lost at once. */
  workerExited(pid: number, crashed: boolean): void;
  /** Unfinished jobs stay as they are in the journal. */
  stop(): Promise<void>;
  /** Accepts a ready plan: how benchmarks reach the scheduler without data. */
  submitPlan(event: Extract<Event, { type: 'job.submitted' }>): Promise<void>;
}

export interface BusyCoordinator {
  readonly busy: ListeningOwner;
}

const defaultLeaseMs = 10_000;
const progressMs = 500;
const logLines = 10_000;

export async function startCoordinator(
  options: CoordinatorOptions,
): Promise<RunningCoordinator | BusyCoordinator> {
  const secured = {
    tls: options.tls !== undefined,
    clientToken: options.clientToken !== undefined,
    workerToken: options.workerToken !== undefined,
  };
  if (options.listen !== undefined) checkBind(options.listen, secured);
  // No worker comes in by HTTP.
  if (options.http !== undefined) checkBind(options.http, { ...secured, workerToken: true });
  const stateDirectory = resolve(options.stateDirectory);
  await makeDirectory(stateDirectory, 0o700);
  const lock = await lockOrOwner(stateDirectory, options.signal);
  if ('endpoint' in lock) return { busy: lock };
  try {
    options.onOwned?.(`unix:${socketPath(stateDirectory)}`);
    return await new Coordinator(options, stateDirectory, lock).start();
  } catch (error) {
    lock.release();
    throw error;
  }
}

export { readOnlyView } from './read-only.js';
export { findOwner } from './state-owner.js';

class Coordinator {
  private readonly notices = new Notices();
  private readonly meter = new ProgressMeter();
  private readonly held = new Set<JobId>();
  private readonly chunks = new Map<JobId, JobChunks>();
  private readonly logs: LogEntry[] = [];
  private submission: Submission | undefined;
  /** Workers of the time before may still come back. */
  private mayReturn = false;
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
    const gateway = await gatewayOf(options, { state, held });
    const workers = new WorkerService({
      epoch,
      leaseMs,
      nowMs,
      blobs,
      devices,
      post: (...events) => runner.heard(...events),
      log: (entry) => this.log(entry),
      reports: new WorkerReports({ state, chunksOf }),
      ...gateway?.workerHooks(),
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
    const lost = new LostChunks({
      state,
      epoch,
      index: journal,
      chunksOf,
      post: (...events) => loop.post(...events),
      nowMs,
      mayReturn: () => this.mayReturn,
    });
    const committer = new Committer({
      stateDirectory,
      state,
      epoch,
      index: journal,
      lost,
      chunksOf,
      isOurs: async (id) =>
        state.jobs.has(id) || (await journal.archived({ jobId: id, limit: 1 })).length > 0,
      nowMs,
      warn: (id, text) => note(id, 'warning', { text }),
    });
    const slots = (): number => this.slots(state);
    const planning = new StagePlanning({
      epoch,
      index: journal,
      lost,
      committer,
      chunksOf,
      post: (...events) => loop.post(...events),
      slots,
      nowMs,
    });
    const fatal = (error: unknown): void => crash(error, state, stateDirectory);
    const runner: EffectsRunner = new EffectsRunner({
      state,
      epoch,
      journal,
      index: journal,
      notices,
      workers,
      catalogue,
      meter,
      committer,
      lost,
      planning,
      blobs,
      runs: (effect) => schedules.run(effect),
      chunksOf,
      forget,
      loop: () => loop,
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
      ...gateway?.loopHooks(journal),
      number: (effect) => notices.number(effect),
      publish: (notice) => notices.publish(notice),
      run: (effect) => runner.run(effect),
    });
    const output = async function* (directory: string, maxRows: number | undefined) {
      // Few coordinators are asked for rows: only those load what reads them.
      const { ResultReader } = await import('./result-reader.js');
      yield* new ResultReader(join(stateDirectory, 'tmp')).output(directory, maxRows);
    };
    const checkPath = (path: string): void => roots.check(path);
    const preparation = new Preparation({
      blobs,
      checkPath,
      allowCode: options.embedded || options.allowCode === true,
      devices: (pool) => devices.facts(pool),
      slots,
      nowMs,
    });
    const submission = (this.submission = new Submission({
      state,
      journal,
      loop: () => loop,
      preparation,
      catalogue,
      committer,
      held,
      nowMs,
      note,
      ended: () => this.checkIdle(state),
      wake: (job) => {
        // A job that was not held is publishing already.
        if (!held.delete(job.id)) return;
        for (const effect of reconcile(state)) {
          if ('jobId' in effect && effect.jobId === job.id) runner.run(effect);
        }
        loop.poke();
      },
    }));
    const previews = new Previews({
      preparation,
      submission,
      catalogue,
      checkPath,
      scratch: join(stateDirectory, 'previews'),
      readArrow: output,
    });
    const verbs = new JobVerbs({
      submission,
      previews,
      catalogue,
      blobs,
      results: { output },
      logs: (job) => this.logs.filter(({ text }) => text.includes(`${job}/`)),
      drainWorker: (id) => this.drainWorker(state, loop, id),
    });
    const schedules = new ScheduleRoom({
      state,
      epoch,
      journal,
      blobs,
      submission: () => submission,
      catalogue,
      post: (...events) => loop.post(...events),
      nowMs,
      fatal,
      fires: !options.embedded,
    });
    const door = (clientToken: string | undefined, workerToken: string | undefined): Door => {
      const authorized = (metadata: Metadata): void =>
        authorize(clientToken, bearerToken(metadata));
      const made = new Door(
        jobService(verbs, authorized),
        workers.implementation(workerToken),
        authorized,
      );
      made.addSchedules(schedules.service(authorized));
      return made;
    };
    const local = door(undefined, undefined);
    this.doors.push(local);
    const endpoint = await local.listenUnix(socketPath(stateDirectory));
    this.lock.announce(endpoint);
    let listenAddress: string | undefined;
    if (options.listen !== undefined) {
      const open = door(options.clientToken, options.workerToken);
      this.doors.push(open);
      open.addScaler(
        scalerService({
          workersWanted: (pool) => poolDemand(state, pool, held).workers,
          token: options.scalerToken ?? options.clientToken,
        }),
      );
      listenAddress = await open.listenTcp(options.listen, options.tls);
    }
    const httpAddress = await gateway?.open(verbs);
    for (const effect of reconcile(state)) {
      if (!('jobId' in effect) || !held.has(effect.jobId)) runner.run(effect);
    }
    schedules.start();
    // Embedded workers died with the process before; others get a lease's time to come back.
    this.mayReturn = !options.embedded;
    const grace = setTimeout(
      () => {
        this.mayReturn = false;
        loop.post(...lostAfterRestart(state, nowMs())).catch(fatal);
      },
      options.embedded ? 0 : leaseMs,
    );
    const progress = setInterval(
      () => this.tellProgress(state, catalogue, workers, nowMs()),
      progressMs,
    );
    grace.unref();
    progress.unref();
    this.timers.push(grace, progress);
    const health =
      options.healthListen === undefined ? undefined : await HealthDoor.open(options.healthListen);
    return {
      endpoint,
      ...(listenAddress ? { listenAddress } : {}),
      ...(httpAddress ? { httpAddress } : {}),
      idle: () => this.idle(state),
      workerExited: (pid, crashed) => workers.exited(pid, crashed),
      submitPlan: (event) => loop.post(event),
      stop: async () => {
        health?.stopServing();
        for (const timer of this.timers) clearTimeout(timer);
        this.lock.withdraw();
        await schedules.close();
        await submission.close();
        workers.close();
        await Promise.all([gateway?.close(), ...this.doors.map((each) => each.close())]);
        await runner.idle();
        await loop.stop();
        await journal.close();
        this.lock.release();
        health?.close();
      },
    };
  }

  private chunksOf(job: JobState): JobChunks {
    let chunks = this.chunks.get(job.id);
    if (!chunks) {
      const groups = (id: StageId) => job.stages.find((stage) => stage.id === id)?.groups;
      chunks = new JobChunks(job.id, job, groups);
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
      if (!attempt) continue;
      const { jobId, stageId } = attempt;
      const stages = state.jobs.get(jobId as JobId)?.plan.stages;
      const stage = stages?.find(({ id }) => id === stageId);
      if (stage) rows.set(jobId, (rows.get(jobId) ?? 0) + sourceRows(stage, done));
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
    if (busy || this.submission?.underWay) return;
    for (const wake of this.idleWaiters.splice(0)) wake();
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
