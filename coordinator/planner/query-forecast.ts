/**
 * How a query would run if conditions left as many rows as they usually do: for explain, before
 * anything has run. True sizes decide later, and may choose otherwise. Pure.
 */
import type { StageId } from '../../shared/ids.js';
import type { JobPlan, StagePlan } from '../../shared/plan.js';
import { plannedChunkCount, stagesRead } from './exchange-chunks.js';
import { partitionCount } from './exchange-layout.js';
import { planQuery, type QueryStage } from './query-stages.js';
import { widthOfAll } from './relational/estimate.js';
import type { StageResult } from './stage-layout.js';

/** More stages than this no query of a reasonable size has. */
const roundsMax = 200;

/** The plan with the stages that its queries would have, in the place of each query's own. */
export function forecast(plan: JobPlan): JobPlan {
  const stages: StagePlan[] = [];
  const results = new Map<StageId, StageResult>();
  for (const stage of plan.stages) {
    const planned =
      stage.input.kind === 'query' ? expand(stage as QueryStage, plan, results) : [stage];
    for (const each of planned) {
      stages.push(each);
      if (!results.has(each.id)) results.set(each.id, resultOf(each, results));
    }
  }
  return { ...plan, stages };
}

function expand(
  query: QueryStage,
  { sources = {} }: JobPlan,
  results: Map<StageId, StageResult>,
): StagePlan[] {
  const parts: StagePlan[] = [];
  for (let round = 0; round < roundsMax; round += 1) {
    const step = planQuery({
      query,
      parts,
      sources,
      results: (id) => results.get(id)!,
      slots: 1,
    });
    for (const stage of step.stages) {
      parts.push(stage);
      results.set(stage.id, resultOf(stage, results, step.expected.get(stage.id)));
    }
    if (!step.final) continue;
    const rows = step.expected.get(step.final.id);
    results.set(step.final.id, resultOf(step.final, results, rows));
    return [...parts, step.final];
  }
  return [...parts, query];
}

/** Rows of the width of what leaves, spread evenly; as many as enter where no more is known. */
function resultOf(
  stage: StagePlan,
  results: ReadonlyMap<StageId, StageResult>,
  expected?: number,
): StageResult {
  const { divide, columns } = stage.program.sink;
  const partitions = partitionCount(divide);
  const below = stage.input.kind === 'stage' ? results.get(stage.input.stage) : undefined;
  const count = plannedChunkCount(stage) ?? below?.chunks.length ?? 0;
  const rows = expected ?? rowsEntering(stage, results);
  const bytes = rows * widthOfAll(columns);
  const parts = Array.from({ length: partitions }, (_, partition) => {
    return { partition, bytes: bytes / count / partitions };
  });
  const chunks = Array.from({ length: count }, () => ({ bytes: bytes / count, parts }));
  return { rows, bytes, partitions, chunks };
}

function rowsEntering(stage: StagePlan, results: ReadonlyMap<StageId, StageResult>): number {
  if (stage.rows > 0) return stage.rows;
  const read = stagesRead(stage).map((id) => results.get(id)?.rows ?? 0);
  return Math.max(0, ...read);
}
