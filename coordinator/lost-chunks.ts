/**
 * Finished chunks that turn out to be lost: finds out whether they are, forgets them, and has every
 * living job that counts on one do it again. Never: forgets a chunk on a maybe, or behind the back
 * of a job that uses it.
 */
import { fail, type Failure } from '../shared/failure.js';
import type { JobId, StageId } from '../shared/ids.js';
import type { ChunkRecord } from '../shared/plan.js';
import { inCommitTurn } from './commit/turns.js';
import type { AttemptEnded, ChunkLost, Event } from './core/events.js';
import { isChunkDone } from './core/stage.js';
import { isEnded, type JobState, type State } from './core/state.js';
import { inputsOf } from './dispatch.js';
import type { JobChunks } from './job-chunks.js';
import type { ChunkIndex } from './journal/journal.js';
import { stagesRead } from './planner/exchange-chunks.js';
import { stageDigests } from './planner/splits.js';
import { addressesOf, addressFor, isWorkersOwn } from './shuffle-files.js';
import { isSound } from './sound.js';

export interface LostChunksDependencies {
  readonly state: State;
  readonly epoch: number;
  readonly index: ChunkIndex;
  readonly chunksOf: (job: JobState) => JobChunks;
  readonly post: (...events: Event[]) => Promise<void>;
  readonly nowMs: () => number;
  /** Whether workers of the time before a restart may still come back. */
  readonly mayReturn: () => boolean;
}

/** Numbers of chunks of one stage, by their identities. */
type Numbers = ReadonlyMap<string, number>;

export class LostChunks {
  constructor(private readonly deps: LostChunksDependencies) {}

  /**
   * Whether a finished chunk can be read: here, or at the worker that has it on a disk of its own.
   * What is on no disk of this machine is taken to be there as long as that worker is.
   * @param unread paths that a worker could not read, whoever it asked: of files that lie with
   *   workers that is the last word
   */
  isSound(
    { plan }: JobChunks,
    stageId: StageId,
    record: ChunkRecord,
    unread: readonly string[] = [],
  ): Promise<boolean> {
    const stage = plan.stages.find(({ id }) => id === stageId);
    const addresses = addressesOf(this.deps.state);
    const mayReturn = this.deps.mayReturn();
    const isOwn = (path: string): boolean => stage !== undefined && isWorkersOwn(plan, stage, path);
    const isThere = (path: string): boolean => addressFor(path, addresses) !== undefined;
    // Whom the reader was not told of may be back by now.
    const refuted =
      !mayReturn && record.files.some(({ path }) => unread.includes(path) && isOwn(path));
    if (refuted) return Promise.resolve(false);
    return isSound(record, (path) => isOwn(path) && (isThere(path) || mayReturn));
  }

  /**
   * Looks at these chunks again, in peace from commits that move files, and forgets those that are
   * gone or corrupt. Resolves with their numbers once the jobs that need them know.
   * @param unread see `isSound`
   */
  check(
    chunks: JobChunks,
    stageId: StageId,
    suspects: Numbers,
    unread: readonly string[] = [],
  ): Promise<number[]> {
    return inCommitTurn(this.deps.index, async () => {
      const records = await this.deps.index.lookup([...suspects.keys()]);
      const lost = new Map<string, number>();
      for (const [identity, number] of suspects) {
        const record = records.get(identity);
        const sound = record && (await this.isSound(chunks, stageId, record, unread));
        if (!sound) lost.set(identity, number);
      }
      await this.lose(chunks, stageId, lost, false);
      return [...lost.values()];
    });
  }

  /**
   * Forgets chunks that are sound but to be done again, perhaps with other rows.
   * @throws WindrowError E_CHUNKS_IN_USE while another job publishes one of them
   */
  outdate(chunks: JobChunks, stageId: StageId, numbers: Numbers): Promise<void> {
    return inCommitTurn(this.deps.index, () => this.lose(chunks, stageId, numbers, true));
  }

  /** The end of an attempt that could not read what it rewrites: what that needs is done again first. */
  async attemptEnded(event: AttemptEnded): Promise<void> {
    const { attempt } = event;
    const { lost: paths = [], ...failure } = event.failure ?? unreadable();
    const job = this.deps.state.jobs.get(attempt.jobId);
    const stage = job?.stages.find(({ id }) => id === attempt.stageId);
    if (!job || !stage) return this.deps.post({ ...event, failure });
    const chunks = this.deps.chunksOf(job);
    let suspected = 0;
    let lost = 0;
    for (const [stageId, numbers] of inputsOf(attempt, stage, chunks)) {
      const records = await this.deps.index.lookup([...numbers.keys()]);
      const suspects = new Map(
        [...numbers].filter(([identity]) => {
          const files = records.get(identity)?.files;
          return !files || files.some(({ path }) => paths.includes(path));
        }),
      );
      suspected += suspects.size;
      lost += (await this.check(chunks, stageId, suspects, paths)).length;
    }
    // Files that no record names any more were published or done again meanwhile.
    const sound = suspected > 0 && lost === 0 && !this.deps.mayReturn();
    await this.deps.post({ ...event, failure: sound ? { ...failure, kind: 'io' } : failure });
  }

  private async lose(
    chunks: JobChunks,
    stageId: StageId,
    lost: Numbers,
    mayChange: boolean,
  ): Promise<void> {
    if (lost.size === 0) return;
    const digests = new Set(stageDigests(chunks.stage(stageId), saltOf(chunks)));
    const gone = new Set(lost.keys());
    const events: ChunkLost[] = [];
    for (const job of this.deps.state.jobs.values()) {
      if (isEnded(job.phase)) continue;
      const its = this.deps.chunksOf(job);
      for (const { id, deterministic } of job.plan.stages) {
        if (!stageDigests(its.stage(id), saltOf(its)).some((each) => digests.has(each))) continue;
        const own = job.id === chunks.jobId && id === stageId;
        const numbers = own ? [...lost.values()] : numbersOf(its, id, lost);
        if (numbers.length === 0) continue;
        if (mayChange) refuseFrozen(job);
        events.push(...this.losses(job, id, numbers));
        if (mayChange || !deterministic) events.push(...this.standing(job, id, numbers, gone));
      }
    }
    // Killed in between, the jobs find out by themselves that they lack a record.
    await this.deps.index.forget(this.deps.epoch, [...gone]);
    await this.deps.post(...events);
  }

  private losses(job: JobState, stageId: StageId, numbers: readonly number[]): ChunkLost[] {
    const stage = job.stages.find(({ id }) => id === stageId)!;
    return numbers
      .filter((chunk) => chunk < stage.chunkCount && isChunkDone(stage, chunk))
      .map((chunk) => this.loss(job, stageId, chunk));
  }

  /** Chunks made from these, and what is made from them. */
  private standing(
    job: JobState,
    stageId: StageId,
    numbers: readonly number[],
    gone: Set<string>,
  ): ChunkLost[] {
    const chunks = this.deps.chunksOf(job);
    return job.plan.stages.flatMap((plan) => {
      if (!stagesRead(plan).includes(stageId)) return [];
      const { id } = plan;
      const above = readersOf(chunks, id, stageId, numbers);
      for (const chunk of above) gone.add(chunks.identity(id, chunk));
      const events = above.map((chunk) => ({ ...this.loss(job, id, chunk), stale: true as const }));
      return [...events, ...this.standing(job, id, above, gone)];
    });
  }

  private loss(job: JobState, stageId: StageId, chunk: number): ChunkLost {
    return { type: 'chunk.lost', jobId: job.id, stageId, chunk, nowMs: this.deps.nowMs() };
  }
}

function saltOf({ plan }: JobChunks): JobId {
  return plan.constants.jobId;
}

/** Chunks of one stage that read any of these of another. */
function readersOf(
  chunks: JobChunks,
  id: StageId,
  read: StageId,
  numbers: readonly number[],
): number[] {
  return Array.from({ length: chunks.count(id) }, (_, chunk) => chunk).filter((chunk) =>
    chunks
      .runs(id, chunk)
      .some(
        ({ stage, from, to }) =>
          stage === read && numbers.some((number) => number >= from && number < to),
      ),
  );
}

function numbersOf(chunks: JobChunks, id: StageId, wanted: Numbers): number[] {
  return chunks.identities(id).flatMap((identity, chunk) => (wanted.has(identity) ? [chunk] : []));
}

function refuseFrozen({ id, phase }: JobState): void {
  if (phase.kind !== 'committing' || !phase.manifests) return;
  fail('io', 'E_CHUNKS_IN_USE', `job ${id} is publishing chunks that are to be done again`, {
    hint: 'wait for it, then ask again',
  });
}

/** For an attempt whose chunks are missing in the index, so that it is not even sent. */
export function unreadable(): Failure {
  return {
    kind: 'fetchFailed',
    code: 'E_CHUNK_LOST',
    message: 'chunks that the task reads are no longer in the index',
    hint: 'nothing: they are done again',
  };
}
