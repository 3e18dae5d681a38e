/**
 * A job's dealings with its outputs, from submit to the end: look, claim, find what is reusable,
 * freeze, publish, release. The decisions are in commit/; this brings them the facts.
 */
import { hostname } from 'node:os';
import type { Failure } from '../shared/failure.js';
import { toFailure } from '../shared/failure.js';
import type { JobId, StageId } from '../shared/ids.js';
import { manifestBytes } from '../shared/manifest.js';
import type { ChunkRecord, JobPlan } from '../shared/plan.js';
import { LocalStore } from '../shared/storage/local-store.js';
import { manifestPath } from '../shared/storage/paths.js';
import { checkBefore } from './commit/before.js';
import { checkBooks } from './commit/books.js';
import { claimOutputs, releaseClaims } from './commit/claim-files.js';
import type { Claim } from './commit/claims.js';
import { freezeOutput } from './commit/freeze.js';
import { readManifest } from './commit/output-files.js';
import { type FrozenManifest, publishJob, summarize } from './commit/publish.js';
import { sweep } from './commit/retention.js';
import type { JobCountsSeed, JobSubmitted, JobSummary } from './core/events.js';
import { isEnded, type JobState, type State } from './core/state.js';
import type { JobChunks } from './job-chunks.js';
import type { ChunkIndex } from './journal/journal.js';
import { reusableChunks } from './reuse.js';

export interface CommitterDependencies {
  readonly stateDirectory: string;
  readonly state: State;
  readonly epoch: number;
  readonly index: ChunkIndex;
  readonly chunksOf: (job: JobState) => JobChunks;
  readonly warn: (job: JobId, text: string) => void;
  readonly nowMs: () => number;
}

/** What is done already when a job starts. */
export interface Found {
  readonly reused: JobSubmitted['reused'];
  readonly counts: Omit<JobCountsSeed, 'rowsTotal' | 'rowsPruned'>;
}

const publishAttempts = 6;
/** Files that belong to nobody stay this long: a worker that thaws may still be writing. */
const orphanGraceMs = 3_600_000;

export class Committer {
  private readonly store = new LocalStore();
  /** Manifests of jobs that found all their outputs up to date. */
  private readonly upToDate = new Map<JobId, readonly FrozenManifest[]>();

  constructor(private readonly deps: CommitterDependencies) {}

  /**
   * Looks at every output before any work. True when all are up to date already.
   * @throws WindrowError E_OUTPUT_EXISTS | E_OUTPUT_NOT_WRITABLE
   */
  async checkOutputs(
    id: JobId,
    name: string,
    plan: JobPlan,
    redoDeadLetters: boolean,
  ): Promise<boolean> {
    const options = redoDeadLetters ? { republish: { job: name } } : {};
    const current: FrozenManifest[] = [];
    for (const output of plan.outputs) {
      const before = await checkBefore(this.store, output, options);
      if (before.kind === 'upToDate') {
        const manifest = manifestBytes(before.manifest).toString('utf8');
        current.push({ output: output.name, manifest });
      }
    }
    const all = current.length === plan.outputs.length;
    if (all) this.upToDate.set(id, current);
    else this.upToDate.delete(id);
    return all;
  }

  /** @throws WindrowError E_OUTPUT_BUSY */
  async claim(id: JobId, name: string, plan: JobPlan): Promise<void> {
    const outputs = plan.outputs.map(({ path }) => path);
    await claimOutputs(this.store, outputs, this.self(id, name), (job) => this.isLive(job));
  }

  /** Chunks over sources that need not be done again; nothing is read of outputs up to date. */
  async reuse(
    chunks: JobChunks,
    options: { redoDeadLetters: boolean; upToDate: boolean },
  ): Promise<Found> {
    const reused: { stageId: StageId; chunks: readonly number[] }[] = [];
    const records: ChunkRecord[] = [];
    for (const { id, input, rows } of chunks.plan.stages) {
      if (input.kind === 'stage') continue;
      if (options.upToDate) {
        const all = Array.from({ length: chunks.count(id) }, (_, chunk) => chunk);
        reused.push({ stageId: id, chunks: all });
        records.push(untouched(rows));
        continue;
      }
      const { index, epoch } = this.deps;
      const found = await reusableChunks(chunks, id, index, epoch, options);
      reused.push({ stageId: id, chunks: found.chunks });
      records.push(...found.records);
    }
    await this.touch(records);
    const sum = (of: (record: ChunkRecord) => number): number =>
      records.reduce((total, record) => total + of(record), 0);
    return {
      reused,
      counts: {
        rowsReused: sum(({ counts }) => counts.rowsIn),
        reusedOut: sum(({ counts }) => counts.rowsOut),
        reusedFiltered: sum(({ counts }) => counts.filtered),
        reusedDead: sum(({ counts }) => counts.dead),
      },
    };
  }

  /** True when the job only has to say that its outputs are what they should be. */
  isUpToDate(id: JobId): boolean {
    return this.upToDate.has(id);
  }

  /** Checks the books and makes the manifests, or says what does not hold. */
  async freeze(job: JobState): Promise<{ manifests: FrozenManifest[] } | { failure: Failure }> {
    const current = this.upToDate.get(job.id);
    if (current) return { manifests: [...current] };
    const { plan } = job;
    const chunks = this.deps.chunksOf(job);
    const records = new Map<StageId, readonly ChunkRecord[]>();
    for (const { id } of plan.stages) {
      const identities = chunks.identities(id);
      const found = await this.deps.index.lookup(identities);
      const missing = identities.find((identity) => !found.has(identity));
      if (missing !== undefined) return { failure: lostChunk(id, missing) };
      records.set(
        id,
        identities.map((identity) => found.get(identity)!),
      );
    }
    const books = checkBooks(plan, records);
    for (const warning of books.warnings) this.deps.warn(job.id, warning);
    if (books.failure) return { failure: books.failure };
    const manifests: FrozenManifest[] = [];
    for (const output of plan.outputs) {
      const previous = await readManifest(this.store, manifestPath(output.path));
      const manifest = freezeOutput(job.name, plan, output, records, previous?.manifest);
      manifests.push({ output: output.name, manifest: manifestBytes(manifest).toString('utf8') });
    }
    return { manifests };
  }

  /** Publishes what is frozen; what a disk or network refuses for a while is tried again. */
  async publish(job: JobState): Promise<JobSummary> {
    const { phase, plan } = job;
    if (phase.kind !== 'committing' || !phase.manifests) {
      throw new Error(`job ${job.id} has no frozen manifests`);
    }
    if (this.upToDate.has(job.id)) return summarize(plan, phase.manifests, true);
    const tools = {
      store: this.store,
      index: this.deps.index,
      epoch: this.deps.epoch,
      self: this.self(job.id, job.name),
      isLive: (other: string) => this.isLive(other),
    };
    for (let attempt = 1; ; attempt += 1) {
      try {
        const { summary, foreignTrashed } = await publishJob(tools, plan, phase.manifests);
        for (const file of foreignTrashed) {
          this.deps.warn(job.id, `${file} was not of an earlier run; it was moved to trash`);
        }
        return summary;
      } catch (error) {
        const { kind } = toFailure(error);
        if ((kind !== 'io' && kind !== 'resource') || attempt >= publishAttempts) throw error;
        await new Promise((resolve) => setTimeout(resolve, 100 * 2 ** attempt));
      }
    }
  }

  /** Cleans up around an ended job's outputs: old trash, orphans, chunks nobody used for long. */
  async sweep({ id, plan }: JobState): Promise<void> {
    const { stateDirectory, index, epoch, state, chunksOf, nowMs } = this.deps;
    const inUse = new Set<string>();
    for (const other of state.jobs.values()) {
      if (isEnded(other.phase)) continue;
      const chunks = chunksOf(other);
      for (const stage of other.plan.stages) {
        for (const identity of chunks.identities(stage.id)) inUse.add(identity);
      }
    }
    await sweep({
      store: this.store,
      index,
      epoch,
      outputs: plan.outputs.map(({ path }) => path),
      chunkLocations: [plan.chunkLocation],
      inUse: (identity) => inUse.has(identity),
      rules: { nowMs: nowMs(), graceMs: orphanGraceMs, keepMs: plan.chunkKeepMs },
      self: { job: id, stateDirectory },
    });
  }

  async release(job: JobState): Promise<void> {
    await this.releasePlan(job.id, job.plan);
  }

  async releasePlan(id: JobId, plan: JobPlan): Promise<void> {
    this.upToDate.delete(id);
    const outputs = plan.outputs.map(({ path }) => path);
    await releaseClaims(this.store, outputs, this.self(id, ''));
  }

  private async touch(records: readonly ChunkRecord[]): Promise<void> {
    const identities = records.flatMap(({ identity }) => (identity === '' ? [] : [identity]));
    const { index, epoch, nowMs } = this.deps;
    if (identities.length > 0) await index.touch(epoch, identities, nowMs());
  }

  private self(id: JobId, name: string): Claim {
    const { stateDirectory, nowMs } = this.deps;
    return {
      job: id,
      name,
      stateDirectory,
      host: hostname(),
      pid: process.pid,
      sinceMs: nowMs(),
    };
  }

  private isLive(job: string): boolean {
    const found = this.deps.state.jobs.get(job as JobId);
    return found !== undefined && !isEnded(found.phase);
  }
}

/** Stands for all chunks of a stage whose output is up to date: their rows count as reused. */
function untouched(rows: number): ChunkRecord {
  const counts = { rowsIn: rows, rowsOut: 0, filtered: 0, dead: 0, inferred: 0, warnings: {} };
  return { identity: '', files: [], counts };
}

function lostChunk(stage: StageId, identity: string): Failure {
  return {
    kind: 'fetchFailed',
    code: 'E_CHUNK_LOST',
    message: `chunk ${identity.slice(0, 16)} of stage ${stage} is done but no longer in the index`,
    hint: 'run the job again: what is lost is done anew',
  };
}
