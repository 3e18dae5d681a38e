/**
 * A job's dealings with its outputs, from submit to the end: look, claim, find what is reusable,
 * freeze, publish, release. The decisions are in commit/; this brings them the facts.
 */
import { hostname } from 'node:os';
import type { Failure } from '../shared/failure.js';
import { toFailure } from '../shared/failure.js';
import type { JobId, StageId } from '../shared/ids.js';
import { type Manifest, manifestBytes } from '../shared/manifest.js';
import type { ChunkRecord, JobPlan, OutputPlan } from '../shared/plan.js';
import { LocalStore } from '../shared/storage/local-store.js';
import { manifestPath, shuffleDirectoryOf, successPath } from '../shared/storage/paths.js';
import { checkBefore, checkWritable, placesBeside } from './commit/before.js';
import { checkBooks } from './commit/books.js';
import { claimOutputs, releaseClaims } from './commit/claim-files.js';
import type { Claim } from './commit/claims.js';
import { freezeOutput, keepsOthers } from './commit/freeze.js';
import { StageLedger } from './commit/ledger.js';
import { type FoundManifest, readManifest } from './commit/output-files.js';
import { forEachBounded } from './commit/parallel.js';
import { publishJob, summarize } from './commit/publish.js';
import { sweep } from './commit/retention.js';
import { inCommitTurn } from './commit/turns.js';
import type {
  FrozenManifest,
  JobCountsSeed,
  JobSubmitted,
  JobSummary,
  OutputsBefore,
} from './core/events.js';
import { isEnded, type JobState, type State } from './core/state.js';
import type { JobChunks } from './job-chunks.js';
import type { ChunkIndex } from './journal/journal.js';
import type { LostChunks } from './lost-chunks.js';
import { reusableChunks } from './reuse.js';

export interface OutputsFound {
  readonly before: OutputsBefore;
  /** What may not be meant. */
  readonly warnings: readonly string[];
}

export interface CommitterDependencies {
  readonly stateDirectory: string;
  readonly state: State;
  readonly epoch: number;
  readonly index: ChunkIndex;
  readonly lost: LostChunks;
  readonly chunksOf: (job: JobState) => JobChunks;
  /** Whether a job of this id was ever accepted here. */
  readonly isOurs: (job: JobId) => Promise<boolean>;
  readonly warn: (job: JobId, text: string) => void;
  readonly nowMs: () => number;
}

/** What is done already when a job starts. */
export interface Found {
  readonly reused: JobSubmitted['reused'];
  readonly counts: Omit<JobCountsSeed, 'rowsTotal' | 'rowsPruned'>;
}

/** Chunks that a commit needs and that may be lost: by identity, with their numbers. */
export interface Suspects {
  readonly stageId: StageId;
  readonly numbers: ReadonlyMap<string, number>;
}

/** What lies in the outputs when their manifests are made, by name of the output. */
type ManifestsBefore = ReadonlyMap<string, FoundManifest | undefined>;

type Frozen =
  | { readonly manifests: readonly FrozenManifest[] }
  | { readonly failure: Failure }
  | { readonly suspects: readonly Suspects[] };

const noBytes = Buffer.alloc(0);
const publishAttempts = 6;
/** Files looked at at the same time. */
const looksAtOnce = 32;
/** Identities in one update of the index. */
const batchIdentities = 10_000;
/** Files that belong to nobody stay this long: a worker that thaws may still be writing. */
const orphanGraceMs = 3_600_000;

export class Committer {
  private readonly store = new LocalStore();

  constructor(private readonly deps: CommitterDependencies) {}

  /**
   * Looks at every output, and tries all places that will be written, before any work.
   * @throws WindrowError E_OUTPUT_EXISTS | E_APPENDED_BEFORE | E_OUTPUT_NOT_WRITABLE
   */
  async checkOutputs(name: string, plan: JobPlan, redoDeadLetters: boolean): Promise<OutputsFound> {
    const options = redoDeadLetters ? { republish: { job: name } } : {};
    const manifests: { output: string; sha256: string }[] = [];
    const warnings: string[] = [];
    let upToDate = true;
    for (const output of plan.outputs) {
      const { kind, sha256, warning } = await checkBefore(this.store, output, options);
      if (warning !== undefined) warnings.push(warning);
      if (kind !== 'upToDate') upToDate = false;
      if (sha256 !== undefined) manifests.push({ output: output.name, sha256 });
    }
    if (!upToDate) {
      for (const place of placesBeside(plan)) await checkWritable(this.store, ...place);
    }
    return { before: { upToDate, manifests }, warnings };
  }

  /** @throws WindrowError E_OUTPUT_BUSY */
  async claim(id: JobId, name: string, plan: JobPlan): Promise<void> {
    const outputs = plan.outputs.map(({ path }) => path);
    await claimOutputs(this.store, outputs, this.self(id, name), (job) => this.isLive(job));
  }

  /** Chunks over sources that need not be done again; nothing is read of outputs up to date. */
  async reuse(
    chunks: JobChunks,
    options: { redoDeadLetters: boolean; upToDate: boolean; signal?: AbortSignal },
  ): Promise<Found> {
    const reused: { stageId: StageId; chunks: readonly number[] }[] = [];
    const records: ChunkRecord[] = [];
    for (const { id, input, rows } of chunks.plan.stages) {
      if (input.kind === 'stage' || input.kind === 'query') continue;
      if (input.kind === 'empty') {
        reused.push({ stageId: id, chunks: [] });
        continue;
      }
      if (options.upToDate) {
        const all = Array.from({ length: chunks.count(id) }, (_, chunk) => chunk);
        reused.push({ stageId: id, chunks: all });
        records.push(untouched(rows));
        continue;
      }
      const found = await reusableChunks(this.deps, chunks, id, chunks.identities(id), {
        ...(options.signal ? { signal: options.signal } : {}),
        keepUntilMs: this.keepUntilMs(chunks.plan),
        redo: (_, record) => options.redoDeadLetters && record.counts.dead > 0,
      });
      reused.push({ stageId: id, chunks: found.chunks });
      records.push(...found.records);
    }
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

  /** Checks the books and makes the manifests, or says what does not hold or seems to be lost. */
  async freeze(job: JobState): Promise<Frozen> {
    if (job.before?.upToDate) return this.freezeFound(job);
    const { plan } = job;
    const chunks = this.deps.chunksOf(job);
    const before = await this.manifestsBefore(plan);
    const named = chunksNamed(plan, before);
    const ledgers = new Map<StageId, StageLedger>();
    const suspects: Suspects[] = [];
    for (const stage of plan.stages) {
      const { id } = stage;
      const outputs = plan.outputs.filter((output) => output.stage === id);
      const published = outputs.length > 0;
      const ordered = outputs.some((output) => output.ordered);
      const ledger = new StageLedger(stage, published, ordered);
      const numbers = new Map<string, number>();
      ledgers.set(id, ledger);
      const count = chunks.count(id);
      // Page by page: all records of a million chunks would fill the memory.
      for (let from = 0; from < count; from += batchIdentities) {
        const length = Math.min(batchIdentities, count - from);
        const page = Array.from({ length }, (_, at) => chunks.identity(id, from + at));
        const found = await this.deps.index.lookup(page);
        await forEachBounded(page, looksAtOnce, async (identity, at) => {
          const record = found.get(identity);
          if (record && (await this.isThere(record, published))) return;
          numbers.set(identity, from + at);
        });
        page.forEach((identity, at) => {
          const record = found.get(identity);
          if (record) ledger.add(record);
          if (named.size === 0) return;
          for (const each of [identity, ...chunks.earlierIdentities(id, from + at)]) {
            if (named.has(each)) ledger.redone.add(each);
          }
        });
      }
      if (numbers.size > 0) suspects.push({ stageId: id, numbers });
    }
    if (suspects.length > 0) return { suspects };
    const books = checkBooks(plan, ledgers);
    for (const warning of books.warnings) this.deps.warn(job.id, warning);
    if (books.failure) return { failure: books.failure };
    const manifests: FrozenManifest[] = [];
    for (const output of plan.outputs) {
      const found = before.get(output.name);
      const { manifest, kept } = freezeOutput(job.name, plan, output, ledgers, found?.manifest);
      // `error` promised at submit to replace nothing that was not there then.
      const replaces = output.mode === 'error' ? shaBefore(job, output.name) : found?.sha256;
      manifests.push({
        output: output.name,
        manifest: manifestBytes(manifest).toString('utf8'),
        ...(replaces === undefined ? {} : { replaces }),
        ...(kept > 0 ? { kept } : {}),
      });
    }
    return { manifests };
  }

  /** What lies in an output. */
  async manifestOf({ path }: OutputPlan): Promise<Manifest | undefined> {
    return (await readManifest(this.store, manifestPath(path)))?.manifest;
  }

  private async manifestsBefore({ outputs }: JobPlan): Promise<ManifestsBefore> {
    const found = new Map<string, FoundManifest | undefined>();
    for (const { name, path } of outputs) {
      found.set(name, await readManifest(this.store, manifestPath(path)));
    }
    return found;
  }

  /** Whether what a commit will move or copy lies where the index says. */
  private async isThere(record: ChunkRecord, published: boolean): Promise<boolean> {
    const { files, deadLetters } = record;
    for (const { path, bytes } of [
      ...(published ? files : []),
      ...(deadLetters ? [deadLetters] : []),
    ]) {
      if ((await this.store.head(path))?.bytes !== bytes) return false;
    }
    return true;
  }

  /** The manifests of a job whose outputs were up to date at submit, if they still are. */
  private async freezeFound(
    job: JobState,
  ): Promise<{ manifests: FrozenManifest[] } | { failure: Failure }> {
    const manifests: FrozenManifest[] = [];
    for (const { name, path } of job.plan.outputs) {
      const found = await readManifest(this.store, manifestPath(path));
      if (!found || found.sha256 !== shaBefore(job, name)) return { failure: changed(path) };
      manifests.push({ output: name, manifest: found.text, replaces: found.sha256 });
    }
    return { manifests };
  }

  /** Publishes what is frozen; what a disk or network refuses for a while is tried again. */
  async publish(job: JobState): Promise<JobSummary> {
    const { phase, plan } = job;
    if (phase.kind !== 'committing' || !phase.manifests) {
      throw new Error(`job ${job.id} has no frozen manifests`);
    }
    if (job.before?.upToDate) {
      // Somebody was killed before this, or removed it.
      for (const { path } of plan.outputs) await this.store.create(successPath(path), noBytes);
      return summarize(plan, phase.manifests, true);
    }
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

  /**
   * From the end of a job on its chunks stay as long as it asked for, whatever other jobs ask for.
   * What only carried rows between the stages of a query is of no use once its result is there.
   */
  async keepChunks({ plan, phase }: JobState, chunks: JobChunks): Promise<void> {
    const { index, epoch } = this.deps;
    const untilMs = this.keepUntilMs(plan);
    for (const { id, part } of plan.stages) {
      if (part && phase.kind === 'succeeded') continue;
      const identities = chunks.identities(id);
      for (let at = 0; at < identities.length; at += batchIdentities) {
        await index.keep(epoch, identities.slice(at, at + batchIdentities), untilMs);
      }
    }
  }

  /**
   * Cleans up around an ended job's outputs: old trash, orphans, chunks whose time is over, and what
   * only carried rows between the stages of a query whose result is there.
   * @returns files of forgotten chunks that workers may have
   */
  sweep({ id, plan, phase }: JobState, own: JobChunks): Promise<readonly string[]> {
    const { stateDirectory, index, epoch, state, chunksOf, isOurs, nowMs } = this.deps;
    const parts = phase.kind === 'succeeded' ? plan.stages.filter(({ part }) => part) : [];
    return inCommitTurn(index, async () => {
      const inUse = new Set<string>();
      for (const other of state.jobs.values()) {
        if (isEnded(other.phase)) continue;
        const chunks = chunksOf(other);
        for (const stage of other.plan.stages) {
          for (const identity of chunks.identities(stage.id)) inUse.add(identity);
        }
      }
      const { left } = await sweep({
        store: this.store,
        index,
        epoch,
        outputs: plan.outputs.map(({ path }) => path),
        chunkLocations: [
          plan.chunkLocation,
          ...(plan.shuffleLocation === undefined ? [] : [plan.shuffleLocation]),
          shuffleDirectoryOf(stateDirectory),
        ],
        spent: parts.flatMap((stage) => own.identities(stage.id)),
        inUse: (identity) => inUse.has(identity),
        isOurs,
        rules: { nowMs: nowMs(), graceMs: orphanGraceMs },
        self: { job: id, stateDirectory },
      });
      return left;
    });
  }

  /**
   * At least as long as files that belong to nobody: a submission may be about to use them.
   * @param part of a query's stages, whose chunks are not kept for later jobs
   */
  keepUntilMs(plan: JobPlan, part = false): number {
    return this.deps.nowMs() + Math.max(part ? 0 : plan.chunkKeepMs, orphanGraceMs);
  }

  async release(job: JobState): Promise<void> {
    await this.releasePlan(job.id, job.plan);
  }

  async releasePlan(id: JobId, plan: JobPlan): Promise<void> {
    const outputs = plan.outputs.map(({ path }) => path);
    await releaseClaims(this.store, outputs, this.self(id, ''));
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

/** Chunks that lie in outputs which keep what a job does not replace. */
function chunksNamed({ outputs }: JobPlan, before: ManifestsBefore): Set<string> {
  const files = outputs.filter(keepsOthers).flatMap(({ name }) => {
    const manifest = before.get(name)?.manifest;
    return manifest ? [...manifest.files, ...manifest.deadLetters] : [];
  });
  return new Set(files.map(({ chunk }) => chunk));
}

/** Stands for all chunks of a stage whose output is up to date: their rows count as reused. */
function untouched(rows: number): ChunkRecord {
  const counts = { rowsIn: rows, rowsOut: 0, filtered: 0, dead: 0, inferred: 0, warnings: {} };
  return { identity: '', files: [], counts };
}

function shaBefore({ before }: JobState, output: string): string | undefined {
  return before?.manifests.find((found) => found.output === output)?.sha256;
}

function changed(path: string): Failure {
  return {
    kind: 'invalidSpec',
    code: 'E_SUPERSEDED_COMMIT',
    message: `${path} was up to date when the job was accepted, and has been changed since`,
    at: { file: path },
    hint: 'run the job again if you want its result there',
  };
}
