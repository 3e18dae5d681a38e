/**
 * What a simulated coordinator finds out about stages whose sizes depend on others. Asked again with
 * the same ones done, a query gets the same answer.
 */
import type { QueryPlanned, StagePlanned } from '../../coordinator/core/events.js';
import type { JobState } from '../../coordinator/core/state.js';
import { stagesRead } from '../../coordinator/planner/exchange-chunks.js';
import { stageId, type StageId } from '../../shared/ids.js';
import type { ExchangeInput, StagePlan } from '../../shared/plan.js';
import { laidOut, splitOver } from '../coordinator/core/fixtures.js';

/** Two chunks each. */
export function groupsPlanned(job: JobState, stage: StageId, nowMs: number): StagePlanned {
  const chunks = job.stages[0]?.chunkCount ?? 0;
  const groups: { from: number; to: number }[] = [];
  for (let from = 0; from < chunks; from += 2)
    groups.push({ from, to: Math.min(chunks, from + 2) });
  return {
    type: 'stage.planned',
    jobId: job.id,
    stageId: stage,
    groups,
    taskStarts: groups.map((_, k) => k),
    reused: [],
    nowMs,
  };
}

/**
 * @param wanted how many stages it needs before its own; two of them come together
 * @param isThere whether the next chunk was done by an earlier job
 */
export function queryPlanned(
  job: JobState,
  query: StagePlan,
  wanted: number,
  isThere: () => boolean,
  nowMs: number,
): QueryPlanned {
  const answer = answerOf(job, query, wanted);
  const added = [...answer.stages, ...(answer.final ? [answer.final] : [])];
  const reused = added.map(({ id, taskStarts }) => {
    return { stageId: id, chunks: taskStarts.filter(isThere) };
  });
  return {
    type: 'query.planned',
    jobId: job.id,
    stageId: query.id,
    ...answer,
    reused,
    rowsReused: reused.reduce(
      (rows, { chunks }, at) => rows + chunks.length * rowsOf(added[at]!, 0),
      0,
    ),
    notes: [],
    nowMs,
  };
}

function answerOf(
  job: JobState,
  query: StagePlan,
  wanted: number,
): Pick<QueryPlanned, 'stages' | 'final'> {
  const { id } = query;
  const parts = job.plan.stages.filter(({ part }) => part?.of === id);
  const [below] = stagesRead(query) as [StageId];
  if (parts.length < wanted) {
    const adding = parts.length === 0 && wanted > 1 ? 2 : 1;
    const stages = Array.from({ length: adding }, (_, at) => {
      const number = parts.length + at + 1;
      const readsSource = number === 1 && query.rows > 0;
      const input = readsSource
        ? scanning(query.rows)
        : reading(job, at > 0 ? below : (parts.at(-1)?.id ?? below));
      return laidOut(`${id}_${number}`, input, { of: id, rows: readsSource ? query.rows : 0 });
    });
    return { stages };
  }
  if (parts.length === 0) return { stages: [], final: laidOut(id, reading(job, below)) };
  const input: ExchangeInput = {
    kind: 'exchange',
    driving: {
      kind: 'partitions',
      inputs: [{ leaf: 'p', stages: parts.map((part) => part.id) }],
      ranges: [
        { from: 0, to: 1 },
        { from: 1, to: 4 },
      ],
    },
    whole: [{ leaf: 'w', table: { kind: 'stages', stages: [below] } }],
  };
  return { stages: [], final: laidOut(id, input) };
}

/** A query that also reads so many rows of a source. */
export const queried =
  (rows: number) =>
  (stage: StagePlan): StagePlan =>
    stage.input.kind === 'query' ? { ...stage, rows } : stage;

/** Rows of sources that enter a chunk: of a query's stage one, or none where it reads stages. */
export function rowsOf({ input }: StagePlan, chunk: number): number {
  if (input.kind === 'source') return input.files[0]?.rowGroupRows[chunk] ?? 0;
  if (input.kind !== 'exchange' || input.driving.kind !== 'split') return 0;
  return input.driving.table.kind === 'source' ? 1 : 0;
}

function reading(job: JobState, id: StageId): ExchangeInput {
  const units = job.stages.find((stage) => stage.id === id)!.chunkCount;
  const starts = Array.from({ length: Math.ceil(units / 2) }, (_, chunk) => 2 * chunk);
  return splitOver([stageId(id)], units, starts);
}

/** One row a chunk. */
function scanning(rows: number): ExchangeInput {
  const starts = Array.from({ length: rows }, (_, chunk) => chunk);
  const table = { kind: 'source', source: 'users' } as const;
  return {
    kind: 'exchange',
    driving: { kind: 'split', leaf: 's', table, units: rows, starts },
    whole: [],
  };
}
