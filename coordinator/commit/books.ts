/**
 * The books: every input row ends in exactly one place, and what was measured must say so before
 * anything is published. Pure. Never: a tolerance.
 */
import type { Failure } from '../../shared/failure.js';
import type { StageId } from '../../shared/ids.js';
import type { JobPlan, OutputPlan, StagePlan } from '../../shared/plan.js';
import type { RowTotals } from '../../shared/views.js';
import { stagesRead } from '../planner/exchange-chunks.js';
import { rowsOfFiles, rowsPruned } from '../planner/splits.js';
import { deadLetterFailure } from '../core/dead-letter-cap.js';
import { unbalanced, type Ledgers, type StageLedger } from './ledger.js';

export interface BooksResult {
  /** Absent: the books balance and the expectations hold. */
  readonly failure?: Failure;
  /** Row-count expectations with action `warn` that do not hold, in words. */
  readonly warnings: readonly string[];
}

/** Checks accounting of every stage, then the dead-letter cap, then row counts. */
export function checkBooks(plan: JobPlan, ledgers: Ledgers): BooksResult {
  for (const stage of plan.stages) {
    const failure = checkStage(stage, ledgers);
    if (failure) return { failure, warnings: [] };
  }
  const dead = plan.stages.reduce((sum, { id }) => sum + sumsOf(ledgers, id).dead, 0);
  const capped = deadLetterFailure(dead, plan);
  if (capped) return { failure: capped, warnings: [] };
  return checkRowCounts(plan.outputs, ledgers);
}

/**
 * Rows of one output: in at its sources, out at its end, filtered and dead on the way. Rows that
 * pruning ruled out entered and were filtered; a source that is read several times entered once.
 */
export function outputTotals(plan: JobPlan, output: OutputPlan, ledgers: Ledgers): RowTotals {
  const stages = stagesBehind(plan, output);
  const sums = stages.map(({ id }) => sumsOf(ledgers, id));
  const entered = new Map<string, number>();
  let pruned = 0;
  stages.forEach((stage, at) => {
    if (stage.input.kind === 'source') {
      pruned += prunedRows(stage);
      entered.set(stage.input.source, sums[at]!.rowsIn + prunedRows(stage));
    }
    for (const source of sourcesOf(stage)) {
      entered.set(source, rowsOfFiles(plan.sources?.[source] ?? []));
    }
  });
  return {
    in: [...entered.values()].reduce((sum, rows) => sum + rows, 0),
    out: sumsOf(ledgers, output.stage).rowsOut,
    filtered: sums.reduce((sum, { filtered }) => sum + filtered, pruned),
    deadLettered: sums.reduce((sum, { dead }) => sum + dead, 0),
  };
}

/** All stages that a published one stands on, and itself, in the plan's order. */
export function stagesBehind(plan: JobPlan, output: OutputPlan): StagePlan[] {
  const behind = new Set<StageId>();
  const walk = (id: StageId): void => {
    if (behind.has(id)) return;
    behind.add(id);
    const stage = plan.stages.find((each) => each.id === id);
    if (stage) stagesRead(stage).forEach(walk);
  };
  walk(output.stage);
  return plan.stages.filter(({ id }) => behind.has(id));
}

/** Sources that a stage of a query reads itself. */
function sourcesOf({ input }: StagePlan): string[] {
  if (input.kind !== 'exchange') return [];
  const { driving, whole } = input;
  const tables = whole.map(({ table }) => table);
  if (driving.kind === 'split') tables.push(driving.table);
  return tables.flatMap((table) => (table.kind === 'source' ? [table.source] : []));
}

function checkStage(stage: StagePlan, ledgers: Ledgers): Failure | undefined {
  if (stage.input.kind === 'empty') return undefined;
  const failure = ledgers.get(stage.id)?.failure;
  if (failure) return failure;
  const entered = sumsOf(ledgers, stage.id).rowsIn;
  const expected = rowsEntering(stage, ledgers);
  if (expected === undefined || entered === expected) return undefined;
  return unbalanced(`stage ${stage.id} read ${entered} rows of the ${expected} its input has`);
}

/** Undefined where some rows enter more than once. */
function rowsEntering(stage: StagePlan, ledgers: Ledgers): number | undefined {
  const { input, rows } = stage;
  const outOf = (stages: readonly StageId[]): number =>
    stages.reduce((sum, id) => sum + sumsOf(ledgers, id).rowsOut, 0);
  switch (input.kind) {
    case 'source':
      return sourceRows(stage) - prunedRows(stage);
    case 'stage':
      return outOf([input.stage]);
    case 'exchange': {
      const { driving, whole } = input;
      const wholeRows = whole.map(({ table }) =>
        table.kind === 'stages' ? outOf(table.stages) : 0,
      );
      if (driving.kind === 'once') return wholeRows.reduce((sum, each) => sum + each, rows);
      if (driving.kind === 'split') {
        return driving.table.kind === 'source' ? rows : outOf(driving.table.stages);
      }
      // Each share of a partition reads all of the other inputs' rows.
      if (driving.ranges.some(({ share }) => share)) return undefined;
      return outOf(driving.inputs.flatMap(({ stages }) => stages));
    }
    case 'query':
    case 'empty':
      return 0;
  }
}

function sourceRows(stage: StagePlan): number {
  if (stage.input.kind !== 'source') return 0;
  return rowsOfFiles(stage.input.files);
}

function prunedRows(stage: StagePlan): number {
  if (stage.input.kind !== 'source') return 0;
  return rowsPruned(stage.input.files);
}

function sumsOf(ledgers: Ledgers, stage: StageId): StageLedger['sums'] {
  return ledgers.get(stage)?.sums ?? { rowsIn: 0, rowsOut: 0, filtered: 0, dead: 0 };
}

function checkRowCounts(outputs: readonly OutputPlan[], ledgers: Ledgers): BooksResult {
  const warnings: string[] = [];
  for (const output of outputs) {
    const rows = sumsOf(ledgers, output.stage).rowsOut;
    for (const { step, min, max, action } of output.rowCounts) {
      const wrong =
        min !== undefined && rows < min
          ? `output ${output.name} has ${rows} rows, step ${step} expects at least ${min}`
          : max !== undefined && rows > max
            ? `output ${output.name} has ${rows} rows, step ${step} expects at most ${max}`
            : undefined;
      if (wrong === undefined) continue;
      if (action === 'warn') {
        warnings.push(wrong);
        continue;
      }
      const hint = 'mend the input or the expectation; nothing was published';
      const failure = { kind: 'badData', code: 'E_ROW_COUNT', message: wrong, hint } as const;
      return { failure: { ...failure, at: { step } }, warnings };
    }
  }
  return { warnings };
}
