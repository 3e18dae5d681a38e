/**
 * Constructs a coordinator from its rooms and runs it: in a process of its own, or inside
 * `windrow run`. The only place in the coordinator that knows all the others.
 */
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { HealthDoor } from '../shared/health-door.js';
import type { JobId } from '../shared/ids.js';
import { checkListenable } from '../shared/listening.js';
import { makeDirectory } from '../shared/storage/directories.js';
import { Roots } from '../shared/storage/roots.js';
import { BlobStore } from './blob-store.js';
import { Catalogue } from './catalogue.js';
import { Committer } from './committer.js';
import { lostAfterRestart, reconcile } from './core/reconcile.js';
import { isEnded, type JobState, type State } from './core/state.js';
import { crash } from './crash.js';
import { EarlierChunks } from './earlier-chunks.js';
import { EffectsRunner } from './effects-runner.js';
import { gatewayOf } from './http/gateway.js';
import { IdleWatch } from './idle-watch.js';
import { ChunksByJob, type JobChunks } from './job-chunks.js';
import { JobVerbs } from './job-verbs.js';
import { openJournal } from './journal/sqlite-journal.js';
import { isLocked, type StateLock } from './journal/state-lock.js';
import { KnownDevices } from './known-devices.js';
import { LogLines } from './log-lines.js';
import { Loop } from './loop.js';
import { LostChunks } from './lost-chunks.js';
import { Notices } from './notices.js';
import type { BusyCoordinator, CoordinatorOptions, RunningCoordinator } from './options.js';
import { Preparation } from './preparation.js';
import { Previews } from './previews.js';
import { ProgressMeter } from './progress-meter.js';
import { ProgressNews } from './progress-news.js';
import { replay } from './replay.js';
import { Doors } from './rpc/doors.js';
import { checkBind, socketPath } from './rpc/servers.js';
import { WorkerReports } from './rpc/worker-reports.js';
import { WorkerService } from './rpc/worker-service.js';
import { poolDemand } from './scheduling/pool-demand.js';
import { ScheduleRoom } from './schedules/room.js';
import { StagePlanning } from './stage-planning.js';
import { lockOrOwner } from './state-owner.js';
import { Submission } from './submission.js';

const defaultLeaseMs = 10_000;

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
  // Who works there already has these addresses, or is about to let go of them.
  if (!options.embedded && !isLocked(stateDirectory)) {
    const { listen, http, healthListen } = options;
    const wanted = { '--listen': listen, '--http': http, '--health-listen': healthListen };
    await checkListenable(wanted).catch((error: unknown) => {
      // Another one that starts here just now is told by the lock.
      if (!isLocked(stateDirectory)) throw error;
    });
  }
  await makeDirectory(stateDirectory, 0o700);
  const lock = await lockOrOwner(stateDirectory, options.signal);
  if ('endpoint' in lock) return { busy: lock };
  try {
    options.onOwned?.(`unix:${socketPath(stateDirectory)}`);
    return await openRooms(options, stateDirectory, lock);
  } catch (error) {
    lock.release();
    throw error;
  }
}

export type { BusyCoordinator, CoordinatorOptions, RunningCoordinator } from './options.js';
export { readOnlyView } from './read-only.js';
export { findOwner } from './state-owner.js';

async function openRooms(
  options: CoordinatorOptions,
  stateDirectory: string,
  lock: StateLock,
): Promise<RunningCoordinator> {
  const notices = new Notices();
  const meter = new ProgressMeter();
  const logs = new LogLines(stateDirectory);
  const chunks = new ChunksByJob();
  const held = new Set<JobId>();
  // Workers of the time before may still come back.
  let mayReturn = false;
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
  const chunksOf = (job: JobState): JobChunks => chunks.of(job);
  const idle = new IdleWatch(
    () => submission.underWay || [...state.jobs.values()].some((job) => !held.has(job.id)),
  );
  const forget = (id: JobId): void => {
    chunks.forget(id);
    held.delete(id);
    logs.ended(id);
    idle.look();
  };
  const devices = new KnownDevices(options.devices);
  const gateway = await gatewayOf(options, { state, held, nowMs });
  const workers = new WorkerService({
    epoch,
    leaseMs,
    nowMs,
    blobs,
    devices,
    post: (...events) => runner.heard(...events),
    log: (entry) => logs.add(entry),
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
    mayReturn: () => mayReturn,
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
  const slots = (): number => slotsHere(state) || options.slotsHint || availableParallelism();
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
    runs: (effect) => scheduleRoom.run(effect),
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
  const submission: Submission = new Submission({
    state,
    journal,
    loop: () => loop,
    preparation,
    earlier: new EarlierChunks({
      preparation,
      index: journal,
      epoch,
      lost,
      keepUntilMs: (plan) => committer.keepUntilMs(plan),
      manifestOf: (output) => committer.manifestOf(output),
    }),
    catalogue,
    committer,
    held,
    nowMs,
    note,
    ended: () => idle.look(),
    wake: (job) => {
      // A job that was not held is publishing already.
      if (!held.delete(job.id)) return;
      for (const effect of reconcile(state)) {
        if ('jobId' in effect && effect.jobId === job.id) runner.run(effect);
      }
      loop.poke();
    },
  });
  const previews = new Previews({
    preparation,
    submission,
    catalogue,
    checkPath,
    scratch: join(stateDirectory, 'previews'),
    readArrow: output,
  });
  const scheduleRoom = new ScheduleRoom({
    state,
    epoch,
    journal,
    admit: (job, files) => preparation.admit(job, files),
    checkPath: (path) => roots.checkAsync(path),
    allowPrivateWebhooks: options.allowPrivateWebhooks === true,
    submission: () => submission,
    catalogue,
    post: (...events) => loop.post(...events),
    nowMs,
    fatal,
    fires: !options.embedded,
  });
  const verbs = new JobVerbs({
    submission,
    runs: scheduleRoom.runs,
    previews,
    catalogue,
    blobs,
    results: { output },
    logs,
    state,
    post: (...events) => loop.post(...events),
    nowMs,
  });
  const doors = new Doors({
    verbs,
    workers,
    schedules: scheduleRoom,
    workersWanted: (pool) => poolDemand(state, pool, held).workers,
  });
  const { schedules, backfills } = scheduleRoom;
  const open = async () => {
    const { listen, healthListen } = options;
    const endpoint = await doors.openSocket(stateDirectory);
    lock.announce(endpoint);
    const listenAddress =
      listen === undefined ? undefined : await doors.openNetwork(listen, options);
    const httpAddress = await gateway?.open({ jobs: verbs, schedules, backfills });
    const health = healthListen === undefined ? undefined : await HealthDoor.open(healthListen);
    return { endpoint, listenAddress, httpAddress, health };
  };
  const { endpoint, listenAddress, httpAddress, health } = await open().catch(
    async (error: unknown) => {
      await Promise.all([gateway?.close(), doors.close()]);
      await journal.close();
      throw error;
    },
  );
  for (const effect of reconcile(state)) {
    if (!('jobId' in effect) || !held.has(effect.jobId)) runner.run(effect);
  }
  scheduleRoom.start();
  // Embedded workers died with the process before; others get a lease's time to come back.
  mayReturn = !options.embedded;
  const grace = setTimeout(
    () => {
      mayReturn = false;
      loop.post(...lostAfterRestart(state, nowMs())).catch(fatal);
    },
    options.embedded ? 0 : leaseMs,
  );
  grace.unref();
  const progress = new ProgressNews({ state, meter, notices, catalogue, workers, nowMs });
  progress.start();
  return {
    endpoint,
    ...(listenAddress ? { listenAddress } : {}),
    ...(httpAddress ? { httpAddress } : {}),
    idle: () => idle.idle(),
    workerExited: (pid, crashed) => workers.exited(pid, crashed),
    submitPlan: (event) => loop.post(event),
    stop: async () => {
      health?.stopServing();
      clearTimeout(grace);
      progress.stop();
      lock.withdraw();
      await scheduleRoom.close();
      await submission.close();
      workers.close();
      await Promise.all([gateway?.close(), doors.close()]);
      await runner.idle();
      await loop.stop();
      await journal.close();
      logs.flush();
      lock.release();
      health?.close();
    },
  };
}

function slotsHere({ workers }: State): number {
  let slots = 0;
  for (const worker of workers.values()) slots += worker.slots;
  return slots;
}
