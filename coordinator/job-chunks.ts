/** Identities and inputs of a job's chunks, worked out once and kept while the job lives. Pure. */
import {
  canonicalJson,
  derivedChunkIdentity,
  fileIdentity,
  sha256Hex,
} from '../shared/chunk-identity.js';
import { fail } from '../shared/failure.js';
import type { JobId, StageId } from '../shared/ids.js';
import type { InputFile, JobPlan, SourceRange, StagePlan } from '../shared/plan.js';
import type { JobState } from './core/state.js';
import {
  exchangeChunkCount,
  leafNeeds,
  type ChunkRun,
  type LeafNeeds,
  type PlacedRange,
} from './planner/exchange-chunks.js';
import { ChunkTable, sourceChunks, stageDigest } from './planner/splits.js';

export type Groups = readonly { readonly from: number; readonly to: number }[];

export class JobChunks {
  /** A stage of a query takes another plan once it is laid out, so these go by the plan. */
  private readonly tables = new Map<StagePlan, ChunkTable>();
  private readonly identitiesRead = new Map<StagePlan, readonly string[]>();
  private readonly digests = new Map<StagePlan | InputFile, string>();
  private readonly ranges = new Map<string, readonly PlacedRange[]>();

  /**
   * @param job its plan grows while a query is planned
   * @param groups of a stage over a stage, once it is planned
   */
  constructor(
    readonly jobId: JobId,
    private readonly job: { readonly plan: JobPlan },
    private readonly groups: (id: StageId) => Groups | undefined = () => undefined,
  ) {}

  get plan(): JobPlan {
    return this.job.plan;
  }

  stage(id: StageId): StagePlan {
    const stage = this.plan.stages.find((candidate) => candidate.id === id);
    if (!stage) fail('broken', 'E_INTERNAL', `job ${this.jobId} has no stage ${id}`);
    return stage;
  }

  count(id: StageId): number {
    const { input } = this.stage(id);
    switch (input.kind) {
      case 'source':
        return this.table(id).ranges.length;
      case 'stage':
        return this.groups(id)?.length ?? 0;
      case 'exchange':
        return exchangeChunkCount(input);
      case 'query':
        return 0;
      case 'empty':
        return input.chunks;
    }
  }

  identity(id: StageId, chunk: number): string {
    const stage = this.stage(id);
    const { input } = stage;
    switch (input.kind) {
      case 'source':
        return this.table(id).identity(chunk);
      case 'stage':
        return this.derived(stage, this.runIdentities(this.group(id, chunk, input.stage)));
      case 'exchange':
        return this.derived(
          stage,
          this.needs(id, chunk).map((needs) => this.needsDigest(needs)),
        );
      case 'query':
        throw new RangeError(`stage ${id} is not planned yet`);
      case 'empty':
        return `${this.jobId}/${id}/${chunk}`;
    }
  }

  /** What makes a chunk: of most stages one program for all. */
  program(id: StageId, chunk: number): Pick<StagePlan, 'program' | 'digest'> {
    const stage = this.stage(id);
    return stage.earlier ? this.table(id).program(chunk) : stage;
  }

  /** What a chunk over a source is called where a program of this digest made it. */
  identityBy(digest: string, id: StageId, chunk: number): string {
    return this.table(id).identityBy(digest, chunk);
  }

  /** What the rows of a chunk were called by earlier programs, whether they stay so or not. */
  earlierIdentities(id: StageId, chunk: number): string[] {
    const { earlier = [] } = this.stage(id);
    return earlier.map(({ digest }) => this.identityBy(digest, id, chunk));
  }

  /** Identities that the chunks of a stage over a stage have if it is planned with these groups. */
  identitiesOf(id: StageId, groups: Groups): string[] {
    const stage = this.stage(id);
    const upstream = stage.input.kind === 'stage' ? this.identities(stage.input.stage) : [];
    return groups.map(({ from, to }) => this.derived(stage, upstream.slice(from, to)));
  }

  identities(id: StageId): string[] {
    return Array.from({ length: this.count(id) }, (_, chunk) => this.identity(id, chunk));
  }

  /** What a chunk of a laid-out stage reads, leaf by leaf. */
  needs(id: StageId, chunk: number): readonly LeafNeeds[] {
    const { input } = this.stage(id);
    if (input.kind !== 'exchange') return [];
    return leafNeeds(input, chunk, {
      ranges: (source) => this.rangesOf(source),
      count: (stage) => this.count(stage),
    });
  }

  /** Chunks of other stages that a chunk reads. */
  runs(id: StageId, chunk: number): readonly ChunkRun[] {
    const { input } = this.stage(id);
    if (input.kind === 'stage') return [this.group(id, chunk, input.stage)];
    return this.needs(id, chunk).flatMap(({ runs }) => runs);
  }

  /** Their identities, in order. */
  runIdentities({ stage, from, to }: ChunkRun): readonly string[] {
    const plan = this.stage(stage);
    let known = this.identitiesRead.get(plan);
    if (!known) {
      known = this.identities(stage);
      this.identitiesRead.set(plan, known);
    }
    return known.slice(from, to);
  }

  /** All row ranges of a source that queries read, in order. */
  rangesOf(source: string): readonly PlacedRange[] {
    let known = this.ranges.get(source);
    if (!known) {
      const files = this.plan.sources?.[source] ?? [];
      known = sourceChunks({ kind: 'source', source, files }).map((range) => ({
        file: files[range.file]!,
        range,
      }));
      this.ranges.set(source, known);
    }
    return known;
  }

  /** The rows and file of a chunk over a source. */
  range(id: StageId, chunk: number): { range: SourceRange; file: InputFile } | undefined {
    const { input } = this.stage(id);
    if (input.kind !== 'source') return undefined;
    const range = this.table(id).ranges[chunk];
    const file = range && input.files[range.file];
    return range && file ? { range, file } : undefined;
  }

  /** Chunks that begin with the first rows of a source's file; none where those were exchanged. */
  fileStarts(id: StageId): ReadonlySet<number> {
    const { input } = this.stage(id);
    if (input.kind === 'stage') {
      const below = this.fileStarts(input.stage);
      const groups = this.groups(id) ?? [];
      return new Set(groups.flatMap(({ from }, at) => (below.has(from) ? [at] : [])));
    }
    if (input.kind !== 'source') return new Set();
    const { ranges } = this.table(id);
    return new Set(ranges.flatMap(({ file }, at) => (file === ranges[at - 1]?.file ? [] : [at])));
  }

  private group(id: StageId, chunk: number, stage: StageId): ChunkRun {
    const group = this.groups(id)?.[chunk];
    if (!group) {
      fail('broken', 'E_INTERNAL', `stage ${id} of job ${this.jobId} has no group ${chunk}`);
    }
    return { stage, from: group.from, to: group.to };
  }

  private derived(stage: StagePlan, upstream: readonly string[]): string {
    return derivedChunkIdentity(stageDigest(stage, this.plan.constants.jobId), upstream);
  }

  private needsDigest({ leaf, ranges, runs, partitions }: LeafNeeds): string {
    const read = [
      ...(ranges.length > 0 ? [this.rangesDigest(ranges)] : []),
      ...runs.map((run) => this.runDigest(run)),
    ];
    return sha256Hex(canonicalJson([leaf, read, partitions ?? null]));
  }

  private rangesDigest(ranges: readonly PlacedRange[]): string {
    return sha256Hex(
      canonicalJson(
        ranges.map(({ file, range }) => [this.fileDigest(file), range.rowStart, range.rowEnd]),
      ),
    );
  }

  private fileDigest(file: InputFile): string {
    let known = this.digests.get(file);
    if (known === undefined) this.digests.set(file, (known = fileIdentity(file)));
    return known;
  }

  /** Most runs are all of a stage, read by every chunk of another. */
  private runDigest(run: ChunkRun): string {
    const plan = this.stage(run.stage);
    const digest = (): string => sha256Hex(this.runIdentities(run).join('\n'));
    if (run.from > 0 || run.to < this.count(run.stage)) return digest();
    let known = this.digests.get(plan);
    if (known === undefined) this.digests.set(plan, (known = digest()));
    return known;
  }

  private table(id: StageId): ChunkTable {
    const stage = this.stage(id);
    let table = this.tables.get(stage);
    if (!table) this.tables.set(stage, (table = new ChunkTable(stage, this.plan.constants.jobId)));
    return table;
  }
}

/** Those of all living jobs. */
export class ChunksByJob {
  private readonly known = new Map<JobId, JobChunks>();

  of(job: JobState): JobChunks {
    let chunks = this.known.get(job.id);
    if (!chunks) {
      const groups = (id: StageId) => job.stages.find((stage) => stage.id === id)?.groups;
      chunks = new JobChunks(job.id, job, groups);
      this.known.set(job.id, chunks);
    }
    return chunks;
  }

  forget(id: JobId): void {
    this.known.delete(id);
  }
}
