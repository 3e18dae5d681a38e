/**
 * A whole cluster in virtual time, driven by one seed: users, a coordinator that crashes, workers
 * that die, and a network that loses, delays, doubles and reorders across workers.
 */
import type { Effect } from '../../coordinator/core/effects.js';
import { due } from '../../coordinator/core/due.js';
import type { Event } from '../../coordinator/core/events.js';
import { lostAfterRestart } from '../../coordinator/core/reconcile.js';
import { attemptChunks, isChunkDone } from '../../coordinator/core/stage.js';
import type { JobState } from '../../coordinator/core/state.js';
import { runningTask } from '../../coordinator/core/task.js';
import { nextEligible } from '../../coordinator/scheduling/placement.js';
import { whyJob } from '../../coordinator/scheduling/why.js';
import { attemptKey, jobId, type AttemptRef, type JobId, type StageId } from '../../shared/ids.js';
import { limits } from '../../shared/limits.js';
import type { StagePlan } from '../../shared/plan.js';
import { submitted } from '../coordinator/core/fixtures.js';
import { SimCoordinator } from './coordinator.js';
import { groupsPlanned, queried, queryPlanned, rowsOf } from './planning.js';
import { Prng } from './prng.js';
import { checkEnd, fileOf, type Poison } from './promises.js';
import { cancelled, SimWorker, type ToCoordinator, type Work } from './worker.js';

const chaosSteps = 90;
const mostSteps = 20_000;
const leaseMs = 10_000;

interface Session {
  readonly incarnation: string;
  lastSeq: number;
  /** When its stream ended, as long as it has not come back. */
  silentSinceMs?: number;
}

export class Cluster {
  nowMs = 1000;
  steps = 0;
  private readonly random: Prng;
  private readonly workers: SimWorker[] = [];
  private readonly coordinator: SimCoordinator;
  private readonly sessions = new Map<string, Session>();
  private readonly acks: { worker: SimWorker; incarnation: number; seq: number }[] = [];
  /** Answers of the coordinator's own shells, on their way. */
  private shells: (() => void)[] = [];
  private readonly files = new Set<string>();
  private readonly dispatched = new Set<string>();
  /** The row of each job that kills its worker. */
  private readonly poison = new Map<JobId, Poison>();
  private readonly disturbed = new Set<JobId>();
  /** Stages a job's query needs before its own. */
  private readonly parts = new Map<JobId, number>();
  private readonly jobs: JobId[] = [];
  private readonly embedded: boolean;
  private graceUntilMs: number | undefined;

  constructor(readonly seed: number) {
    const random = (this.random = new Prng(seed));
    this.embedded = random.chance(0.5);
    this.coordinator = new SimCoordinator((effect) => this.run(effect), random.below(2));
    const listsUnacknowledged = random.chance(0.5);
    const workers = 1 + random.below(3);
    for (let index = 0; index < workers; index += 1) {
      this.workers.push(new SimWorker(index, 1 + random.below(3), listsUnacknowledged));
    }
  }

  /** @throws when an invariant breaks, a promise is not kept, or it does not come to an end */
  play(): void {
    const count = 1 + this.random.below(3);
    for (let index = 0; index < count; index += 1) this.submit(index);
    while (this.coordinator.ended.size < count) {
      this.steps += 1;
      if (this.steps > mostSteps) throw new Error(`no end in sight: ${this.describe()}`);
      if (this.steps < chaosSteps && this.random.chance(0.25)) this.disturb();
      else this.progress();
    }
    for (const job of this.coordinator.ended.values()) {
      checkEnd(job, {
        poison: this.poison.get(job.id),
        disturbed: this.disturbed.has(job.id),
        files: this.files,
      });
    }
  }

  private submit(index: number): void {
    const { random } = this;
    const id = jobId(`j${index}`);
    const chunks = random.below(7);
    const rows = Array.from({ length: chunks }, () => 1 + random.below(12));
    // A source without rows has one chunk of none.
    const starts = [0, ...rows.map((_, k) => k).filter((k) => k > 0 && random.chance(0.6))];
    const reused = rows.map((_, k) => k).filter(() => random.chance(0.2));
    const deadLetter = random.chance(0.5);
    const total = rows.reduce((sum, each) => sum + each, 0);
    if (total > 0 && random.chance(0.3)) {
      this.poison.set(id, { row: random.below(total), deadLetter });
    }
    const stages = [{ rows, starts, deadLetter }];
    const second = random.chance(0.4);
    const isQuery = second && random.chance(0.5);
    const above = isQuery ? { id: 's1', query: ['s0'] } : { id: 's1', over: 's0' };
    const event = submitted({
      id,
      stages: second ? [...stages, above] : stages,
      run: { attempts: 8, weight: 1 + random.below(3), priority: random.below(2) },
      nowMs: this.nowMs,
    });
    const reusedRows = reused.reduce((sum, k) => sum + (rows[k] ?? 0), 0);
    const rowsQueried = isQuery ? random.below(4) : 0;
    this.parts.set(id, random.below(4));
    const counts = {
      ...event.counts,
      rowsTotal: event.counts.rowsTotal + rowsQueried,
      rowsReused: reusedRows,
      reusedOut: reusedRows,
    };
    const stageId = event.plan.stages[0]?.id as StageId;
    this.jobs.push(id);
    for (const chunk of reused) this.files.add(fileOf({ jobId: id, stageId }, chunk, 0));
    const whole = {
      ...event,
      plan: { ...event.plan, stages: event.plan.stages.map(queried(rowsQueried)) },
      reused: reused.length > 0 ? [{ stageId, chunks: reused }] : [],
      counts,
    };
    this.post(whole);
    this.coordinator.flush();
  }

  private post(event: Event): void {
    this.coordinator.post(event, this.nowMs);
  }

  private progress(): void {
    const { random, nowMs } = this;
    const worker = random.pick(this.workers) as SimWorker;
    switch (random.below(9)) {
      case 0:
      case 1:
        return this.deliverToCoordinator(worker, false);
      case 2:
      case 3: {
        const message = worker.inbox.shift();
        if (message) worker.receive(message, nowMs);
        return;
      }
      case 4:
      case 5:
        return this.work(worker);
      case 6:
        return this.flush();
      case 7: {
        const shell = this.shells.splice(random.below(this.shells.length), 1)[0];
        return shell?.();
      }
      default:
        return this.passTime(worker);
    }
  }

  private passTime(worker: SimWorker): void {
    if (!worker.up) return worker.start();
    if (!worker.connected) return worker.connect();
    const eligible = nextEligible(this.coordinator.state, this.nowMs);
    this.nowMs += 1 + this.random.below(500);
    if (eligible !== undefined && this.random.chance(0.3)) {
      this.nowMs = Math.max(this.nowMs, eligible);
    }
    this.coordinator.poke(this.nowMs);
    for (const event of due(this.coordinator.state, this.nowMs)) this.post(event);
    for (const each of this.workers) this.expire(each);
    if (this.graceUntilMs !== undefined && this.nowMs >= this.graceUntilMs) {
      this.graceUntilMs = undefined;
      for (const event of lostAfterRestart(this.coordinator.state, this.nowMs)) this.post(event);
    }
  }

  private expire(worker: SimWorker): void {
    const session = this.sessions.get(worker.id);
    if (session?.silentSinceMs === undefined) return;
    if (this.nowMs < session.silentSinceMs + leaseMs) return;
    this.sessions.delete(worker.id);
    const { incarnation } = session;
    const { nowMs } = this;
    this.post({ type: 'worker.leaseExpired', workerId: worker.id, incarnation, nowMs });
  }

  private flush(): void {
    this.coordinator.flush();
    for (const { worker, incarnation, seq } of this.acks.splice(0)) {
      if (worker.connected && worker.incarnation === incarnation) {
        worker.inbox.push({ type: 'ack', seq });
      }
    }
  }

  private deliverToCoordinator(worker: SimWorker, doubled: boolean): void {
    const message = doubled ? worker.outbox[0] : worker.outbox.shift();
    if (message) this.accept(worker, message, doubled);
  }

  private accept(worker: SimWorker, message: ToCoordinator, doubled: boolean): void {
    const incarnation = `i${worker.incarnation}`;
    if (message.type === 'hello') {
      if (doubled) return;
      const before = this.sessions.get(worker.id);
      const lastSeq = before?.incarnation === incarnation ? before.lastSeq : 0;
      this.sessions.set(worker.id, { incarnation, lastSeq });
      return this.post({
        type: 'worker.hello',
        workerId: worker.id,
        incarnation,
        pools: ['*'],
        slots: worker.slots,
        devices: ['cpu'],
        host: 'h',
        pid: 1,
        running: message.running,
        nowMs: this.nowMs,
      });
    }
    const session = this.sessions.get(worker.id);
    if (!session || session.incarnation !== incarnation) return;
    // A doubled delivery gets past the session, to try the core itself.
    if (!doubled) {
      if (message.seq <= session.lastSeq) return;
      session.lastSeq = message.seq;
      this.acks.push({ worker, incarnation: worker.incarnation, seq: message.seq });
    } else if (message.seq !== session.lastSeq + 1) return;
    this.post({ ...message.report, nowMs: this.nowMs });
  }

  private work(worker: SimWorker): void {
    if (worker.draining && worker.up && worker.running.size === 0 && worker.outbox.length === 0) {
      return this.kill(worker, false);
    }
    const work = this.random.pick([...worker.running.values()]);
    if (!work) return;
    if (work.cancelled) return worker.end(work, this.nowMs, cancelled);
    if (work.probe) {
      if (this.isDeadly(work, work.probe.chunk)) return this.kill(worker, true);
      return worker.end(work, this.nowMs);
    }
    const chunk = work.chunks[0];
    if (chunk === undefined) return worker.end(work, this.nowMs);
    if (this.isDeadly(work, chunk)) return this.kill(worker, true);
    if (this.steps < chaosSteps && this.random.chance(0.05)) {
      return worker.end(work, this.nowMs, { kind: 'io', code: 'E_IO_TEST', message: 'test' });
    }
    work.chunks.shift();
    const path = fileOf(work.ref, chunk, work.ref.attempt);
    this.files.add(path);
    const rows = this.rowsOf(work.ref, chunk);
    const dead = work.poison.get(chunk)?.length ?? 0;
    worker.report({
      type: 'chunk.done',
      attempt: work.ref,
      workerId: worker.id,
      chunk,
      record: {
        identity: path,
        files: [{ path, rows: rows - dead, bytes: 1, sha256: '', partition: [] }],
        counts: {
          rowsIn: rows,
          rowsOut: rows - dead,
          filtered: 0,
          dead,
          inferred: rows,
          warnings: {},
        },
      },
      nowMs: this.nowMs,
    });
    if (work.chunks.length === 0 && this.random.chance(0.7)) worker.end(work, this.nowMs);
  }

  private isDeadly(work: Work, chunk: number): boolean {
    const row = this.poison.get(work.ref.jobId)?.row;
    if (row === undefined || work.ref.stageId !== 's0') return false;
    if (work.poison.get(chunk)?.includes(row)) return false;
    let from = 0;
    for (let at = 0; at < chunk; at += 1) from += this.rowsOf(work.ref, at);
    const start = work.probe?.rowStart ?? from;
    const end = work.probe?.rowEnd ?? from + this.rowsOf(work.ref, chunk);
    return row >= start && row < end;
  }

  private rowsOf(ref: AttemptRef, chunk: number): number {
    const stage = this.jobOf(ref.jobId)?.plan.stages.find(({ id }) => id === ref.stageId);
    return stage ? rowsOf(stage, chunk) : 0;
  }

  private jobOf(id: JobId): JobState | undefined {
    return this.coordinator.state.jobs.get(id) ?? this.coordinator.ended.get(id);
  }

  private kill(worker: SimWorker, crashed: boolean): void {
    const incarnation = `i${worker.incarnation}`;
    worker.die();
    const session = this.sessions.get(worker.id);
    // A parent, or a goodbye, tells at once; otherwise the stream just ends.
    if ((this.embedded || !crashed) && session?.incarnation === incarnation) {
      this.sessions.delete(worker.id);
      const { nowMs } = this;
      this.post({ type: 'worker.exited', workerId: worker.id, incarnation, crashed, nowMs });
    } else {
      this.cut(worker, incarnation);
    }
  }

  private cut(worker: SimWorker, incarnation: string): void {
    worker.disconnect();
    const session = this.sessions.get(worker.id);
    if (session?.incarnation !== incarnation) return;
    session.silentSinceMs = this.nowMs;
    const { nowMs } = this;
    this.post({ type: 'worker.disconnected', workerId: worker.id, incarnation, nowMs });
  }

  private disturb(): void {
    const { random, nowMs } = this;
    const worker = random.pick(this.workers) as SimWorker;
    const id = random.pick(this.jobs) as JobId;
    switch (random.below(12)) {
      case 0:
        return worker.up ? this.kill(worker, true) : undefined;
      case 1:
      case 2:
        return worker.connected ? this.cut(worker, `i${worker.incarnation}`) : undefined;
      case 3:
      case 4:
        return this.deliverToCoordinator(worker, true);
      case 5:
        return this.crash();
      case 6:
        return this.coordinator.snapshot();
      case 7:
        if (!random.chance(0.1)) return;
        this.disturbed.add(id);
        return this.post({ type: 'job.cancel', jobId: id, reason: 'user', nowMs });
      case 8:
        if (!random.chance(0.05)) return;
        return this.post({ type: 'worker.drain', workerId: worker.id, nowMs });
      case 9:
        return this.loseChunk(id);
      case 10: {
        const job = this.coordinator.state.jobs.get(id);
        if (job && whyJob(this.coordinator.state, job, nowMs).answer === '')
          throw new Error('no why');
        return;
      }
      default:
        this.nowMs += random.below(2 * leaseMs);
    }
  }

  private crash(): void {
    this.shells = [];
    this.acks.length = 0;
    this.sessions.clear();
    for (const worker of this.workers) worker.disconnect();
    this.coordinator.crash();
    this.graceUntilMs = this.nowMs + leaseMs;
  }

  private loseChunk(id: JobId): void {
    const job = this.coordinator.state.jobs.get(id);
    const stage = this.random.pick(job?.stages ?? []);
    if (!job || !stage || stage.chunkCount === 0) return;
    const { phase } = job;
    if (phase.kind !== 'running' && (phase.kind !== 'committing' || phase.manifests)) return;
    const chunk = this.random.below(stage.chunkCount);
    const isUpstream = job.stages.at(-1) !== stage;
    if (this.random.chance(0.3) && !isUpstream) {
      // The rows below came out otherwise: also what is under way is void.
      const { nowMs } = this;
      this.post({ type: 'chunk.lost', jobId: id, stageId: stage.id, chunk, stale: true, nowMs });
      return this.flush();
    }
    if (!isChunkDone(stage, chunk) || stage.losses.get(chunk) === limits.lossesPerChunk) return;
    this.files.delete(fileOf({ jobId: id, stageId: stage.id }, chunk, stage.doneBy[chunk] ?? 0));
    this.post({ type: 'chunk.lost', jobId: id, stageId: stage.id, chunk, nowMs: this.nowMs });
    // What a shell found out is durable before anyone may crash: the file is gone for good.
    this.flush();
  }

  /** What the shells of a coordinator do with effects. */
  private run(effect: Effect): void {
    switch (effect.type) {
      case 'dispatch':
        return this.dispatch(effect.attempt, effect.workerId);
      case 'cancelAttempt':
        return this.tell(effect.workerId, { type: 'cancel', ref: effect.attempt });
      case 'drainWorker':
        return this.tell(effect.workerId, { type: 'drain' });
      case 'discardFiles':
        for (const path of effect.paths) {
          if (this.isWinner(path)) throw new Error(`the winner ${path} is discarded`);
          this.files.delete(path);
        }
        return;
      case 'planStage':
        this.shells.push(() => this.planStage(effect.jobId, effect.stageId));
        return;
      case 'freezeCommit':
        this.shells.push(() => this.freeze(effect.jobId));
        return;
      case 'publish':
        this.shells.push(() => this.publish(effect.jobId));
        return;
      case 'jobEnded':
        this.coordinator.archive(effect.jobId);
        return;
      case 'record':
      case 'startRun':
      case 'cancelRun':
      case 'scheduleDeleted':
      case 'callWebhook':
        throw new Error(`${effect.type} is no effect to run here`);
      case 'notify':
        return;
    }
  }

  private tell(id: string, message: SimWorker['inbox'][number]): void {
    const worker = this.workers.find((each) => each.id === id);
    if (worker?.connected) worker.inbox.push(message);
  }

  private dispatch(ref: AttemptRef, id: string): void {
    const { state } = this.coordinator;
    const running = runningTask(state, ref);
    const worker = this.workers.find((each) => each.id === id);
    const stage = state.jobs.get(ref.jobId)?.stages.find((each) => each.id === ref.stageId);
    if (!running || running.cancelling || !worker?.connected || !stage) return;
    if (this.dispatched.has(attemptKey(ref)))
      throw new Error(`${attemptKey(ref)} dispatched twice`);
    this.dispatched.add(attemptKey(ref));
    const work: Work = {
      ref,
      chunks: attemptChunks(stage, ref.task),
      ...(running.probe ? { probe: running.probe } : {}),
      poison: new Map([...stage.poison].map(([chunk, rows]) => [chunk, [...rows]])),
      cancelled: false,
    };
    worker.inbox.push({ type: 'run', work });
  }

  private planStage(id: JobId, stage: StageId): void {
    const job = this.coordinator.state.jobs.get(id);
    const plan = job?.plan.stages.find((each) => each.id === stage);
    if (!job || !plan) return;
    if (plan.input.kind === 'query') return this.planQuery(job, plan);
    this.post(groupsPlanned(job, stage, this.nowMs));
  }

  /** What is decided now is said later: meanwhile it may be void, or said by another answer. */
  private planQuery(job: JobState, query: StagePlan): void {
    const wanted = this.parts.get(job.id) ?? 0;
    const isThere = (): boolean => this.random.chance(0.2);
    const event = queryPlanned(job, query, wanted, isThere, this.nowMs);
    for (const { stageId, chunks } of event.reused) {
      for (const chunk of chunks) this.files.add(fileOf({ jobId: job.id, stageId }, chunk, 0));
    }
    this.shells.push(() => this.post(event));
    // Who asks twice, as after a restart, is told twice.
    if (this.random.chance(0.2)) this.shells.push(() => this.post(event));
  }

  private freeze(id: JobId): void {
    this.post({ type: 'commit.frozen', jobId: id, manifests: [], nowMs: this.nowMs });
  }

  private publish(id: JobId): void {
    const rows = { in: 0, out: 0, filtered: 0, deadLettered: 0 };
    const summary = { rows, upToDate: false, outputs: [] };
    this.post({ type: 'commit.done', jobId: id, summary, nowMs: this.nowMs });
  }

  private isWinner(path: string): boolean {
    const [id, stageName, chunk, attempt] = path.split('/');
    const stage = this.jobOf(jobId(id ?? ''))?.stages.find((each) => each.id === stageName);
    const at = Number(chunk);
    return !!stage && isChunkDone(stage, at) && stage.doneBy[at] === Number(attempt);
  }

  private describe(): string {
    const { state } = this.coordinator;
    const jobs = [...state.jobs.values()].map(
      (job) => `${job.id} ${job.phase.kind}: ${whyJob(state, job, this.nowMs).answer}`,
    );
    const workers = this.workers.map(({ id, up, connected, running }) => {
      return `${id} up=${up} connected=${connected} runs=${[...running.keys()].join()}`;
    });
    return [...jobs, ...workers].join('; ');
  }
}
