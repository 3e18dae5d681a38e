/**
 * Does what the core asks for: sends attempts, sizes stages, freezes and publishes commits,
 * archives ended jobs. What it finds out goes back to the loop as events. Holds no decision.
 */
import type { Loop } from './loop.js';
import type { Effect } from './core/effects.js';
import type { AttemptEnded, Event } from './core/events.js';
import type { ScheduleState } from './core/schedule-state.js';
import type { JobState, State } from './core/state.js';
import { runningTask } from './core/task.js';
import { forget } from './core/transition.js';
import { toFailure, type Failure } from '../shared/failure.js';
import type { AttemptRef, JobId, WorkerId } from '../shared/ids.js';
import type { SubmitRequest } from '../shared/gen/windrow.js';
import { attemptToWire } from '../shared/wire.js';
import { type BlobStore, digestsOf } from './blob-store.js';
import type { Catalogue } from './catalogue.js';
import type { Committer } from './committer.js';
import {
  assignment,
  inputsOf,
  isMissing,
  programOf,
  type StageInputs,
  type Upstream,
  upstreamOf,
} from './dispatch.js';
import type { JobChunks } from './job-chunks.js';
import type { ChunkIndex, Journal } from './journal/journal.js';
import { type LostChunks, unreadable } from './lost-chunks.js';
import type { Notices } from './notices.js';
import type { ProgressMeter } from './progress-meter.js';
import { addressesOf } from './shuffle-files.js';
import type { ScheduleEffect } from './schedules/room.js';
import type { StagePlanning } from './stage-planning.js';
import type { WorkerService } from './rpc/worker-service.js';
import { readStored } from './stored-spec.js';

export interface EffectsRunnerDependencies {
  readonly state: State;
  readonly epoch: number;
  readonly journal: Journal;
  readonly index: ChunkIndex;
  readonly notices: Notices;
  readonly workers: WorkerService;
  readonly catalogue: Catalogue;
  readonly meter: ProgressMeter;
  readonly committer: Committer;
  readonly lost: LostChunks;
  readonly planning: StagePlanning;
  readonly blobs: BlobStore;
  /** Does what is asked for about runs of schedules. */
  readonly runs: (effect: ScheduleEffect) => void;
  readonly chunksOf: (job: JobState) => JobChunks;
  readonly forget: (job: JobId) => void;
  readonly loop: () => Loop;
  readonly nowMs: () => number;
  readonly fatal: (error: unknown) => void;
}

export class EffectsRunner {
  /** Work started by effects and not finished; `idle` waits for it. */
  private readonly pending = new Set<Promise<void>>();

  constructor(private readonly deps: EffectsRunnerDependencies) {}

  run(effect: Effect): void {
    switch (effect.type) {
      case 'dispatch':
        return this.dispatch(effect.attempt, effect.workerId);
      case 'cancelAttempt':
        return this.deps.workers.cancel(
          effect.workerId,
          attemptToWire(effect.attempt),
          effect.reason,
        );
      case 'discardFiles':
        return this.deps.workers.discard(effect.workerId, effect.paths);
      case 'planStage':
        return this.forJob(effect.jobId, (job) => this.deps.planning.plan(job, effect.stageId));
      case 'freezeCommit':
        return this.forJob(effect.jobId, (job) => this.freeze(job));
      case 'publish':
        return this.forJob(effect.jobId, (job) => this.publish(job));
      case 'jobEnded':
        return this.forJob(effect.jobId, (job) => this.ended(job));
      case 'drainWorker':
        return this.deps.workers.drain(effect.workerId);
      case 'startRun':
      case 'cancelRun':
      case 'callWebhook':
      case 'scheduleDeleted':
        return this.deps.runs(effect);
      case 'record':
      case 'notify':
        // The loop journals both, and hands notices to watchers.
        return;
    }
  }

  /** What workers report. Resolves when it is durable, with all that follows from lost inputs. */
  async heard(...events: Event[]): Promise<void> {
    const lost = events.filter(isFetchFailure);
    await Promise.all([
      this.deps.loop().post(...events.filter((event) => !isFetchFailure(event))),
      ...lost.map((event) => this.lostInputs(event)),
    ]);
  }

  async idle(): Promise<void> {
    while (this.pending.size > 0) await Promise.allSettled([...this.pending]);
  }

  /** Attempts travel in the turn they were decided where nothing has to be looked up. */
  private dispatch(ref: AttemptRef, worker: WorkerId): void {
    const job = this.deps.state.jobs.get(ref.jobId);
    const stage = job?.stages.find(({ id }) => id === ref.stageId);
    if (!job || !stage) return;
    const chunks = this.deps.chunksOf(job);
    const send = (inputs: StageInputs, upstream: Upstream): void => {
      // It may have been cancelled or lost since placement chose it.
      const task = runningTask(this.deps.state, ref);
      if (!task || task.cancelling) return;
      if (isMissing(inputs, upstream)) {
        const event = { type: 'attempt.ended', attempt: ref, workerId: worker } as const;
        const ended = { ...event, failure: unreadable(), nowMs: this.deps.nowMs() };
        return void this.lostInputs(ended);
      }
      const { state } = this.deps;
      const work = assignment(ref, job, stage, chunks, upstream, {
        shuffleDirectory: state.workers.get(worker)?.shuffleDirectory,
        addresses: addressesOf(state),
      });
      const program = (): string => JSON.stringify(programOf(ref, stage, chunks).program);
      // A worker that left meanwhile is found out by its lease or its next hello.
      this.deps.workers.assign(worker, work, program);
    };
    const failed = (error: unknown): Promise<void> =>
      this.deps.loop().post({
        type: 'attempt.ended',
        attempt: ref,
        workerId: worker,
        failure: toFailure(error, { kind: 'io', code: 'E_DISPATCH' }),
        nowMs: this.deps.nowMs(),
      });
    try {
      const inputs = inputsOf(ref, stage, chunks);
      const upstream = upstreamOf(inputs, this.deps.index);
      if (upstream instanceof Promise) {
        this.track(upstream.then((found) => send(inputs, found)).catch(failed));
      } else send(inputs, upstream);
    } catch (error) {
      this.track(failed(error));
    }
  }

  private lostInputs(event: AttemptEnded): Promise<void> {
    const ended = this.deps.lost.attemptEnded(event).catch((error: unknown) => {
      const failure = toFailure(error, { kind: 'io', code: 'E_CHUNK_LOST' });
      return this.deps.loop().post({ ...event, failure });
    });
    this.track(ended);
    return ended;
  }

  private async freeze(job: JobState): Promise<void> {
    if (job.phase.kind !== 'committing') return;
    const frozen = await this.deps.committer.freeze(job);
    const nowMs = this.deps.nowMs();
    if ('failure' in frozen) return this.fail(job, frozen.failure);
    if ('suspects' in frozen) {
      let lost = 0;
      for (const { stageId, numbers } of frozen.suspects) {
        lost += (await this.deps.lost.check(this.deps.chunksOf(job), stageId, numbers)).length;
      }
      // Once they are done again, this is asked for again.
      return lost > 0 ? undefined : this.freeze(job);
    }
    await this.deps
      .loop()
      .post({ type: 'commit.frozen', jobId: job.id, manifests: frozen.manifests, nowMs });
  }

  private async publish(job: JobState): Promise<void> {
    const summary = await this.deps.committer.publish(job);
    await this.deps
      .loop()
      .post({ type: 'commit.done', jobId: job.id, summary, nowMs: this.deps.nowMs() });
  }

  private async ended(job: JobState): Promise<void> {
    const { committer, catalogue, journal, epoch, notices, meter, workers, nowMs } = this.deps;
    const chunks = this.deps.chunksOf(job);
    if (job.plan.outputs.length > 0) await committer.keepChunks(job, chunks);
    for (const digest of blobsOf(job)) this.deps.blobs.touch(digest);
    // A claim that stays is known to be void: this journal says that its job has ended.
    await committer.release(job).catch(() => undefined);
    const view = catalogue.view(job);
    await journal.archive(epoch, {
      jobId: job.id,
      requestId: job.requestId,
      name: job.name,
      state: view.state,
      submittedMs: job.submittedMs,
      endedMs: job.endedMs ?? nowMs(),
      view: JSON.stringify(view),
      spec: job.spec,
    });
    forget(this.deps.state, job.id);
    meter.forget(job.id);
    this.deps.forget(job.id);
    // Watchers wait for the end of the job: wake them.
    notices.publish({ jobId: job.id, seq: 0, timeMs: nowMs(), kind: 'end', data: '{}' });
    // What cannot be cleaned now is cleaned after the next job here.
    if (job.plan.outputs.length === 0) return;
    await committer
      .sweep(job, chunks)
      .then((left) => workers.discardLeft(left))
      .catch(() => undefined);
    const { jobs, schedules } = this.deps.state;
    const inUse = () =>
      new Set([
        ...[...jobs.values()].flatMap(blobsOf),
        ...[...schedules.values()].flatMap(blobsOfRuns),
      ]);
    await this.deps.blobs.sweep(nowMs(), inUse).catch(() => undefined);
  }

  private async fail(job: JobState, failure: Failure): Promise<void> {
    await this.deps
      .loop()
      .post({ type: 'job.failed', jobId: job.id, failure, nowMs: this.deps.nowMs() });
  }

  private forJob(id: JobId, act: (job: JobState) => Promise<void>): void {
    const job = this.deps.state.jobs.get(id);
    if (!job) return;
    this.track(act(job).catch((error: unknown) => this.fail(job, toFailure(error))));
  }

  private track(work: Promise<void>): void {
    const tracked = work.catch(this.deps.fatal).finally(() => this.pending.delete(tracked));
    this.pending.add(tracked);
  }
}

function isFetchFailure(event: Event): event is AttemptEnded {
  return event.type === 'attempt.ended' && event.failure?.kind === 'fetchFailed';
}

/** Digests of what was uploaded for a job; a plan that was handed in ready needs none. */
function blobsOf({ spec }: JobState): string[] {
  const { request, earlier } = readStored(spec);
  return [request?.files ?? {}, ...earlier].flatMap(digestsOf);
}

/** Digests of what was uploaded for the runs of a schedule. */
function blobsOfRuns({ definition }: ScheduleState): string[] {
  return digestsOf((JSON.parse(definition.job) as Pick<SubmitRequest, 'files'>).files);
}
