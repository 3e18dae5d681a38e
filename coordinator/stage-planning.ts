/**
 * Lays out stages whose sizes depend on finished ones: asks the index for those, has the planner
 * decide, looks for chunks that are done already. Holds no decision; answers with an event.
 */
import type { StageId } from '../shared/ids.js';
import { dividedOf, partitionSizes } from '../shared/divided-file.js';
import type { ChunkRecord, StagePlan } from '../shared/plan.js';
import type { Committer } from './committer.js';
import type { Event, QueryPlanned } from './core/events.js';
import type { JobState } from './core/state.js';
import { JobChunks } from './job-chunks.js';
import type { ChunkIndex } from './journal/journal.js';
import type { LostChunks } from './lost-chunks.js';
import { stagesRead } from './planner/exchange-chunks.js';
import { partitionCount } from './planner/exchange-layout.js';
import { sizeGroups } from './planner/groups.js';
import type { QueryStage } from './planner/query-stages.js';
import type { StageResult } from './planner/stage-layout.js';
import { reusableChunks, type Reusable } from './reuse.js';
import { columnNames, skewNotes } from './skewed-keys.js';

export interface StagePlanningDependencies {
  readonly epoch: number;
  readonly index: ChunkIndex;
  readonly lost: LostChunks;
  readonly committer: Committer;
  readonly chunksOf: (job: JobState) => JobChunks;
  readonly post: (...events: Event[]) => Promise<void>;
  readonly slots: () => number;
  readonly nowMs: () => number;
}

/** Records of all chunks of some stages, in chunk order. */
type Finished = ReadonlyMap<StageId, readonly ChunkRecord[]>;

export class StagePlanning {
  constructor(private readonly deps: StagePlanningDependencies) {}

  async plan(job: JobState, stageId: StageId): Promise<void> {
    const stage = this.deps.chunksOf(job).stage(stageId);
    // Laid out meanwhile.
    if (stage.input.kind !== 'stage' && stage.input.kind !== 'query') return;
    if (stage.input.kind === 'query') return this.planQuery(job, stage as QueryStage);
    return this.planGroups(job, stage, stage.input.stage);
  }

  private async planGroups(job: JobState, stage: StagePlan, upstream: StageId): Promise<void> {
    const { slots, nowMs, chunksOf, post } = this.deps;
    const event = { type: 'stage.planned', jobId: job.id, stageId: stage.id } as const;
    if (job.before?.upToDate) {
      return post({ ...event, groups: [], taskStarts: [], reused: [], nowMs: nowMs() });
    }
    const finished = await this.finished(job, [upstream]);
    if (!finished) return;
    const chunks = chunksOf(job);
    const outputs = job.plan.outputs.filter((each) => each.stage === stage.id);
    const targetBytes = outputs[0]?.targetFileSize;
    // Files that are there already are known by their chunks: those of new inputs go beside them.
    const appended = outputs.some(({ mode }) => mode === 'append');
    const { groups, taskStarts } = sizeGroups(finished.get(upstream)!.map(bytesOf), {
      ...(targetBytes === undefined ? {} : { targetBytes }),
      partitioned: stage.program.sink.partitionBy.length > 0,
      slots: slots(),
      ...(appended ? { apart: chunks.fileStarts(upstream) } : {}),
    });
    const identities = chunks.identitiesOf(stage.id, groups);
    const runs = (chunk: number) => [{ stage: upstream, ...groups[chunk]! }];
    // A job that was killed may have done chunks below again, and not these.
    const entered = groups.map(({ from, to }) => rowsOut(finished.get(upstream)!.slice(from, to)));
    const isOf = (chunk: number, record: ChunkRecord): boolean =>
      record.counts.rowsIn === entered[chunk];
    const { chunks: reused } = await this.reusable(job, chunks, stage.id, identities, runs, isOf);
    return post({ ...event, groups, taskStarts, reused, nowMs: nowMs() });
  }

  private async planQuery(job: JobState, query: QueryStage): Promise<void> {
    const { slots, nowMs, post } = this.deps;
    const { stages, sources = {} } = job.plan;
    const event = { type: 'query.planned', jobId: job.id, stageId: query.id } as const;
    // The rules of SQL are only loaded where there is a query.
    const { nothingToDo, planQuery } = await import('./planner/query-stages.js');
    if (job.before?.upToDate) {
      const final = nothingToDo(query);
      const rest = { stages: [], reused: [], rowsReused: query.rows, notes: [] };
      return post({ ...event, ...rest, final, nowMs: nowMs() });
    }
    const parts = stages.filter(({ part }) => part?.of === query.id);
    const read = [...new Set([...stagesRead(query), ...parts.map(({ id }) => id)])];
    const finished = await this.finished(job, read);
    if (!finished) return;
    const plans = new Map(stages.map((stage) => [stage.id, stage]));
    const results = new Map<StageId, StageResult>();
    for (const [id, records] of finished) {
      const stage = plans.get(id)!;
      const bounds = stage.part?.bounds ? { bounds: await boundsIn(records) } : {};
      results.set(id, { ...resultOf(stage, records), ...bounds });
    }
    const { expected: _, ...step } = planQuery({
      query,
      parts,
      sources,
      results: (id) => results.get(id)!,
      slots: slots(),
    });
    const added = [...step.stages, ...(step.final ? [step.final] : [])];
    const reused = await this.reusableOf(job, query.id, added);
    // Seldom asked for, and the plan may be long.
    let names: ReadonlyMap<string, string> | undefined;
    const nameOf = (column: string): string =>
      (names ??= columnNames(query.input.relational)).get(column) ?? column;
    const skew = added.map((stage) =>
      skewNotes(
        stage,
        (id) => plans.get(id)!,
        (id) => finished.get(id) ?? [],
        nameOf,
      ),
    );
    return post({
      ...event,
      ...step,
      notes: [...step.notes, ...(await Promise.all(skew)).flat()],
      reused: reused.map(({ stageId, chunks }) => ({ stageId, chunks })),
      rowsReused: reused.reduce((sum, { rows }) => sum + rows, 0),
      nowMs: nowMs(),
    });
  }

  /** Chunks of stages that are about to be added. */
  private async reusableOf(
    job: JobState,
    query: StageId,
    added: readonly StagePlan[],
  ): Promise<(QueryPlanned['reused'][number] & { readonly rows: number })[]> {
    const others = job.plan.stages.filter(({ id }) => id !== query);
    const plan = { ...job.plan, stages: [...others, ...added] };
    const groups = (id: StageId) => job.stages.find((stage) => stage.id === id)?.groups;
    const chunks = new JobChunks(job.id, { plan }, groups);
    const found = [];
    for (const { id, rows } of added) {
      const identities = chunks.identities(id);
      const runs = (chunk: number) => chunks.runs(id, chunk);
      const reusable = await this.reusable(job, chunks, id, identities, runs);
      const rowsIn = reusable.records.reduce((sum, { counts }) => sum + counts.rowsIn, 0);
      found.push({ stageId: id, chunks: reusable.chunks, rows: Math.min(rows, rowsIn) });
    }
    return found;
  }

  private reusable(
    job: JobState,
    chunks: JobChunks,
    stageId: StageId,
    identities: readonly string[],
    runs: (chunk: number) => ReturnType<JobChunks['runs']>,
    isOf: (chunk: number, record: ChunkRecord) => boolean = () => true,
  ): Promise<Reusable> {
    // What was done again upstream may have other bytes under its identity (retried dead letters).
    const isUntouched = (chunk: number): boolean =>
      runs(chunk).every(({ stage, from, to }) =>
        job.stages
          .find(({ id }) => id === stage)
          ?.doneBy.subarray(from, to)
          .every((attempt) => attempt === 0),
      );
    return reusableChunks(this.deps, chunks, stageId, identities, {
      keepUntilMs: this.deps.committer.keepUntilMs(
        job.plan,
        chunks.stage(stageId).part !== undefined,
      ),
      redo: (chunk, record) => !isUntouched(chunk) || !isOf(chunk, record),
    });
  }

  /** Undefined where some turn out to be lost: once they are done again, this is asked for again. */
  private async finished(job: JobState, stages: readonly StageId[]): Promise<Finished | undefined> {
    const { chunksOf, index, lost } = this.deps;
    const chunks = chunksOf(job);
    const finished = new Map<StageId, readonly ChunkRecord[]>();
    let gone = 0;
    for (const id of stages) {
      const identities = chunks.identities(id);
      let records = await index.lookup(identities);
      const missing = identities.flatMap((identity, chunk) =>
        records.has(identity) ? [] : [[identity, chunk] as const],
      );
      if (missing.length > 0) {
        gone += (await lost.check(chunks, id, new Map(missing))).length;
        records = await index.lookup(identities);
      }
      finished.set(
        id,
        identities.flatMap((identity) => records.get(identity) ?? []),
      );
    }
    return gone > 0 ? undefined : finished;
  }
}

function resultOf({ program }: StagePlan, records: readonly ChunkRecord[]): StageResult {
  const { divide } = program.sink;
  const chunks = records.map((record) => ({
    bytes: bytesOf(record),
    parts: divide ? record.files.flatMap((file) => partitionSizes(dividedOf(file))) : [],
  }));
  return {
    partitions: partitionCount(divide),
    rows: rowsOut(records),
    bytes: chunks.reduce((sum, { bytes }) => sum + bytes, 0),
    chunks,
  };
}

/** The few rows that say where ranges are cut. */
async function boundsIn(records: readonly ChunkRecord[]): Promise<string[]> {
  const { parquetReadObjects, asyncBufferFromFile } = await import('hyparquet');
  const rows = [];
  for (const { path } of records.flatMap(({ files }) => files)) {
    rows.push(...(await parquetReadObjects({ file: await asyncBufferFromFile(path) })));
  }
  return rows.map(({ bound }) => String(bound));
}

function rowsOut(records: readonly ChunkRecord[]): number {
  return records.reduce((sum, { counts }) => sum + counts.rowsOut, 0);
}

function bytesOf({ files }: ChunkRecord): number {
  return files.reduce((sum, { bytes }) => sum + bytes, 0);
}
