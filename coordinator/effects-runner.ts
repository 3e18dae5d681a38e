/**
 * Does what the core asks for: sends attempts, sizes stages, freezes and publishes commits,
 * archives ended jobs. What it finds out goes back to the loop as events. Holds no decision.
 */
import type { Loop } from './loop.js';
import type { Effect } from './core/effects.js';
import type { JobState, State } from './core/state.js';
import { runningTask } from './core/task.js';
import { toFailure, type Failure } from '../shared/failure.js';
import type { AttemptRef, JobId, StageId, WorkerId } from '../shared/ids.js';
import { attemptToWire } from '../shared/wire.js';
import type { Catalogue } from './catalogue.js';
import type { Committer } from './committer.js';
import { assignment, lostUpstream, type Upstream, upstreamOf } from './dispatch.js';
import type { JobChunks } from './job-chunks.js';
import type { ChunkIndex, Journal } from './journal/journal.js';
import type { Notices } from './notices.js';
import type { ProgressMeter } from './progress-meter.js';
import { sizeGroups } from './planner/groups.js';
import { reusableChunks } from './reuse.js';
import type { WorkerService } from './rpc/worker-service.js';

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
  readonly chunksOf: (job: JobState) => JobChunks;
  readonly forget: (job: JobId) => void;
  readonly loop: () => Loop;
  readonly slots: () => number;
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
        return this.deps.workers.discard(effect.paths);
      case 'planStage':
        return this.forJob(effect.jobId, (job) => this.planStage(job, effect.stageId));
      case 'freezeCommit':
        return this.forJob(effect.jobId, (job) => this.freeze(job));
      case 'publish':
        return this.forJob(effect.jobId, (job) => this.publish(job));
      case 'jobEnded':
        return this.forJob(effect.jobId, (job) => this.ended(job));
      case 'drainWorker':
        return this.deps.workers.drain(effect.workerId);
      case 'record':
      case 'notify':
        // The loop journals both, and hands notices to watchers.
        return;
    }
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
    const send = (upstream: Upstream): void => {
      // It may have been cancelled or lost since placement chose it.
      const task = runningTask(this.deps.state, ref);
      if (!task || task.cancelling) return;
      const lost = lostUpstream(ref, stage, chunks, upstream);
      if (lost.length > 0) return this.track(this.doAgain(ref, worker, lost));
      const work = assignment(ref, job, stage, chunks, upstream);
      const program = (): string => JSON.stringify(chunks.stage(ref.stageId).program);
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
      const upstream = upstreamOf(ref, stage, chunks, this.deps.index);
      if (upstream instanceof Promise) this.track(upstream.then(send).catch(failed));
      else send(upstream);
    } catch (error) {
      this.track(failed(error));
    }
  }

  /** What the attempt was to read is gone: its producers run again first, then the task. */
  private doAgain(
    ref: AttemptRef,
    workerId: WorkerId,
    lost: readonly { readonly stageId: StageId; readonly chunk: number }[],
  ): Promise<void> {
    const nowMs = this.deps.nowMs();
    const { jobId } = ref;
    const failure: Failure = {
      kind: 'fetchFailed',
      code: 'E_CHUNK_LOST',
      message: `${lost.length} chunks that task ${ref.task} of stage ${ref.stageId} reads are no longer in the index`,
      hint: 'nothing: they are done again',
    };
    return this.deps.loop().post(
      ...lost.map(({ stageId, chunk }) => ({
        type: 'chunk.lost' as const,
        jobId,
        stageId,
        chunk,
        nowMs,
      })),
      { type: 'attempt.ended', attempt: ref, workerId, failure, nowMs },
    );
  }

  private async planStage(job: JobState, stageId: StageId): Promise<void> {
    const chunks = this.deps.chunksOf(job);
    const stage = chunks.stage(stageId);
    if (stage.input.kind !== 'stage') throw new Error(`stage ${stageId} reads no stage`);
    const nowMs = this.deps.nowMs();
    if (this.deps.committer.isUpToDate(job.id)) {
      const nothing = { groups: [], taskStarts: [], reused: [] };
      return this.deps
        .loop()
        .post({ type: 'stage.planned', jobId: job.id, stageId, ...nothing, nowMs });
    }
    const upstreamStage = stage.input.stage;
    const upstream = chunks.identities(upstreamStage);
    const records = await this.deps.index.lookup(upstream);
    const output = job.plan.outputs.find((each) => each.stage === stageId);
    const sizes = upstream.map((identity) => {
      const files = records.get(identity)?.files ?? [];
      return files.reduce((sum, { bytes }) => sum + bytes, 0);
    });
    const { groups, taskStarts } = sizeGroups(sizes, {
      ...(output?.targetFileSize ? { targetBytes: output.targetFileSize } : {}),
      partitioned: stage.program.sink.partitionBy.length > 0,
      slots: this.deps.slots(),
    });
    chunks.setGroups(stageId, groups);
    const { index, epoch } = this.deps;
    const options = { redoDeadLetters: false };
    const found = await reusableChunks(chunks, stageId, index, epoch, options);
    // What was done again upstream may have other bytes under its identity (retried dead letters).
    const below = job.stages.find(({ id }) => id === upstreamStage);
    const isUntouched = (chunk: number): boolean => {
      const { from, to } = groups[chunk] ?? { from: 0, to: 0 };
      return below?.doneBy.subarray(from, to).every((attempt) => attempt === 0) ?? false;
    };
    const reused = found.chunks.filter(isUntouched);
    const stale = found.chunks.filter((chunk) => !isUntouched(chunk));
    if (stale.length > 0) {
      await index.forget(
        epoch,
        stale.map((chunk) => chunks.identity(stageId, chunk)),
      );
    }
    await this.deps.loop().post({
      type: 'stage.planned',
      jobId: job.id,
      stageId,
      groups,
      taskStarts,
      reused,
      nowMs: this.deps.nowMs(),
    });
  }

  private async freeze(job: JobState): Promise<void> {
    const frozen = await this.deps.committer.freeze(job);
    const nowMs = this.deps.nowMs();
    if ('failure' in frozen) return this.fail(job, frozen.failure);
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
    const { committer, catalogue, journal, epoch, notices, meter, forget, nowMs } = this.deps;
    await committer.release(job);
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
    this.deps.state.jobs.delete(job.id);
    meter.forget(job.id);
    forget(job.id);
    // Watchers wait for the end of the job: wake them.
    notices.publish({ jobId: job.id, seq: 0, timeMs: nowMs(), kind: 'end', data: '{}' });
    // What cannot be cleaned now is cleaned after the next job here.
    if (job.plan.outputs.length > 0) await committer.sweep(job).catch(() => undefined);
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
