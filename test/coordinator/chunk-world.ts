/** Jobs over real chunk files and a real journal, for tests of what becomes of chunks. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { Event, JobSubmitted } from '../../coordinator/core/events.js';
import { emptyState, type JobState } from '../../coordinator/core/state.js';
import { transition } from '../../coordinator/core/transition.js';
import { JobChunks } from '../../coordinator/job-chunks.js';
import { openJournal } from '../../coordinator/journal/sqlite-journal.js';
import { LostChunks } from '../../coordinator/lost-chunks.js';
import { chunkDirectory } from '../../coordinator/shuffle-files.js';
import { sha256Hex } from '../../shared/chunk-identity.js';
import { jobId, stageId, workerId, type AttemptRef, type JobId } from '../../shared/ids.js';
import type { ChunkRecord, JobPlan } from '../../shared/plan.js';
import { attemptTag, chunkFilePath } from '../../shared/storage/paths.js';
import { hello, type StageShape, submitted } from './core/fixtures.js';

export const S0 = stageId('s0');
export const S1 = stageId('s1');

/** Two chunks of ten rows, and a stage that rewrites each by itself. */
export const rewriting: readonly StageShape[] = [{ rows: [10, 10] }, { id: 's1', over: 's0' }];

export class ChunkWorld {
  readonly state = emptyState();
  readonly posted: Event[] = [];
  readonly lost: LostChunks;
  nowMs = 1000;
  mayReturn = false;
  /** Of the worker that does it all; absent: it has none. */
  shuffleDirectory: string | undefined;

  private constructor(
    readonly directory: string,
    readonly journal: ReturnType<typeof openJournal>,
    readonly epoch: number,
  ) {
    this.lost = new LostChunks(this.tools());
  }

  static async open(): Promise<ChunkWorld> {
    const directory = mkdtempSync(join(tmpdir(), 'windrow-chunks-'));
    const journal = openJournal(join(directory, 'state'));
    const world = new ChunkWorld(directory, journal, await journal.acquire());
    await world.post(hello({ slots: 8 }));
    return world;
  }

  tools() {
    return {
      state: this.state,
      epoch: this.epoch,
      index: this.journal,
      chunksOf: (job: JobState) => this.chunks(job.id),
      post: (...events: Event[]) => this.post(...events),
      nowMs: () => this.nowMs,
      mayReturn: () => this.mayReturn,
    };
  }

  async post(...events: Event[]): Promise<void> {
    for (const event of events) transition(this.state, event);
    this.posted.push(...events);
    const durable = events.filter(({ type }) => !type.startsWith('worker.'));
    await this.journal.append(this.epoch, durable);
  }

  /** Types of what was posted since the last call, with stage and chunk where there are any. */
  news(): string[] {
    return this.posted.splice(0).map((event) => {
      if (event.type !== 'chunk.lost') return event.type;
      const { jobId: job, stageId: stage, chunk, stale } = event;
      return `${job} ${stage}/${chunk} ${stale ? 'stale' : 'lost'}`;
    });
  }

  async submit(
    id: string,
    shapes: readonly StageShape[],
    change: (plan: JobPlan) => JobPlan = (plan) => plan,
    more: Partial<JobSubmitted> = {},
  ): Promise<JobId> {
    const event: JobSubmitted = submitted({ id, stages: shapes });
    const chunkLocation = join(this.directory, 'out', '_windrow', 'chunks');
    const outputs = event.plan.outputs.map((each) => ({
      ...each,
      path: join(this.directory, 'out'),
    }));
    const plan = change({ ...event.plan, chunkLocation, outputs });
    await this.post({ ...event, plan, ...more });
    return jobId(id);
  }

  job(id: string): JobState {
    return this.state.jobs.get(jobId(id))!;
  }

  chunks(id: string): JobChunks {
    const { plan, stages } = this.job(id);
    return new JobChunks(
      jobId(id),
      { plan },
      (of) => stages.find((stage) => stage.id === of)?.groups,
    );
  }

  ref(id: string, stage: string, task: number, attempt = 1): AttemptRef {
    return { jobId: jobId(id), stageId: stageId(stage), task, attempt };
  }

  async start(ref: AttemptRef): Promise<void> {
    const { nowMs } = this;
    await this.post({ type: 'attempt.started', attempt: ref, workerId: workerId('w1'), nowMs });
  }

  /** Chunk `task` of a stage whose tasks have one chunk each, done by this attempt. */
  async finish(
    id: string,
    stage: string,
    task: number,
    attempt = 1,
    dead = 0,
  ): Promise<ChunkRecord> {
    const ref = this.ref(id, stage, task, attempt);
    const identity = this.chunks(id).identity(ref.stageId, task);
    const plan = this.chunks(id).stage(ref.stageId);
    const directory = chunkDirectory(this.job(id).plan, plan, this.shuffleDirectory);
    const path = chunkFilePath(directory, identity, attemptTag(ref, 'i1'));
    const content = `rows of ${identity}`;
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    const { divide } = plan.program.sink;
    const partitions = divide?.kind === 'hash' ? divide.partitions : 0;
    const rows = Math.max(10, partitions);
    const parts = Array.from({ length: partitions }, (_, partition) => {
      return { partition, rows: partition === 0 ? rows - partitions + 1 : 1 };
    });
    const bytes = content.length;
    const blocks = [{ offset: 0, bytes, rows, crc32: crc32(content) }];
    const file = {
      path,
      rows,
      bytes,
      sha256: sha256Hex(content),
      ...(divide ? { divided: { parts, blocks } } : {}),
    };
    const record: ChunkRecord = {
      identity,
      files: [{ ...file, partition: [] }],
      counts: { rowsIn: 10 + dead, rowsOut: rows, filtered: 0, dead, inferred: 0, warnings: {} },
    };
    const by = { attempt: ref, workerId: workerId('w1'), nowMs: this.nowMs };
    await this.start(ref);
    await this.post({ type: 'chunk.done', ...by, chunk: task, record });
    await this.post({ type: 'attempt.ended', ...by });
    return record;
  }

  /** Both chunks of the first stage, and the plan of the one over it. */
  async finishFirst(id: string): Promise<[ChunkRecord, ChunkRecord]> {
    const records = [await this.finish(id, 's0', 0), await this.finish(id, 's0', 1)] as const;
    const groups = [
      { from: 0, to: 1 },
      { from: 1, to: 2 },
    ];
    const plan = { jobId: jobId(id), stageId: S1, groups, taskStarts: [0, 1], reused: [] };
    await this.post({ type: 'stage.planned', ...plan, nowMs: this.nowMs });
    return [...records];
  }

  async knows(...records: readonly ChunkRecord[]): Promise<boolean[]> {
    const found = await this.journal.lookup(records.map(({ identity }) => identity));
    return records.map(({ identity }) => found.has(identity));
  }

  async close(): Promise<void> {
    await this.journal.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
