/** Identities and inputs of a job's chunks, worked out once and kept while the job lives. Pure. */
import { derivedChunkIdentity } from '../shared/chunk-identity.js';
import { fail } from '../shared/failure.js';
import type { JobId, StageId } from '../shared/ids.js';
import type { InputFile, JobPlan, SourceRange, StagePlan } from '../shared/plan.js';
import { ChunkTable, stageDigest } from './planner/splits.js';

export type Groups = readonly { readonly from: number; readonly to: number }[];

export class JobChunks {
  private readonly tables = new Map<StageId, ChunkTable>();

  /** @param groups of a stage over a stage, once it is planned */
  constructor(
    readonly jobId: JobId,
    readonly plan: JobPlan,
    private readonly groups: (id: StageId) => Groups | undefined = () => undefined,
  ) {}

  stage(id: StageId): StagePlan {
    const stage = this.plan.stages.find((candidate) => candidate.id === id);
    if (!stage) fail('broken', 'E_INTERNAL', `job ${this.jobId} has no stage ${id}`);
    return stage;
  }

  count(id: StageId): number {
    const { input } = this.stage(id);
    if (input.kind === 'source') return this.table(id).ranges.length;
    if (input.kind === 'empty') return input.chunks;
    return this.groups(id)?.length ?? 0;
  }

  identity(id: StageId, chunk: number): string {
    const stage = this.stage(id);
    if (stage.input.kind === 'source') return this.table(id).identity(chunk);
    if (stage.input.kind === 'empty') return `${this.jobId}/${id}/${chunk}`;
    return this.derived(stage, this.upstream(id, chunk));
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

  /** Identities of the chunks that a chunk of a stage over a stage rewrites, in order. */
  upstream(id: StageId, chunk: number): string[] {
    const { input } = this.stage(id);
    if (input.kind !== 'stage') {
      fail('broken', 'E_INTERNAL', `stage ${id} of job ${this.jobId} reads no stage`);
    }
    return this.upstreamNumbers(id, chunk).map((number) => this.identity(input.stage, number));
  }

  /** The chunks that a chunk of a stage over a stage rewrites, in order. */
  upstreamNumbers(id: StageId, chunk: number): number[] {
    const group = this.groups(id)?.[chunk];
    if (!group) {
      fail('broken', 'E_INTERNAL', `stage ${id} of job ${this.jobId} has no group ${chunk}`);
    }
    return Array.from({ length: group.to - group.from }, (_, at) => group.from + at);
  }

  /** The rows and file of a chunk over a source. */
  range(id: StageId, chunk: number): { range: SourceRange; file: InputFile } | undefined {
    const { input } = this.stage(id);
    if (input.kind !== 'source') return undefined;
    const range = this.table(id).ranges[chunk];
    const file = range && input.files[range.file];
    return range && file ? { range, file } : undefined;
  }

  private derived(stage: StagePlan, upstream: readonly string[]): string {
    return derivedChunkIdentity(stageDigest(stage, this.jobId), upstream);
  }

  private table(id: StageId): ChunkTable {
    let table = this.tables.get(id);
    if (!table) {
      table = new ChunkTable(this.stage(id), this.jobId);
      this.tables.set(id, table);
    }
    return table;
  }
}
