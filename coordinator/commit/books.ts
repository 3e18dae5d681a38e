/**
 * The books: every input row ends in exactly one place, and what was measured must say so before
 * anything is published. Pure. Never: a tolerance.
 */
import type { Failure } from '../../shared/failure.js';
import type { StageId } from '../../shared/ids.js';
import type { JobPlan, OutputPlan, StagePlan } from '../../shared/plan.js';
import type { RowTotals } from '../../shared/views.js';
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
 * pruning ruled out entered and were filtered.
 */
export function outputTotals(plan: JobPlan, output: OutputPlan, ledgers: Ledgers): RowTotals {
  const stages = stagesBehind(plan, output);
  const sums = stages.map(({ id }) => sumsOf(ledgers, id));
  const first = stages[0];
  const pruned = first?.input.kind === 'source' ? prunedRows(first) : 0;
  return {
    in: (sums[0]?.rowsIn ?? 0) + pruned,
    out: sums.at(-1)?.rowsOut ?? 0,
    filtered: sums.reduce((sum, { filtered }) => sum + filtered, pruned),
    deadLettered: sums.reduce((sum, { dead }) => sum + dead, 0),
  };
}

/** From the stage that reads the source to the one whose files are published. */
export function stagesBehind(plan: JobPlan, output: OutputPlan): StagePlan[] {
  const found: StagePlan[] = [];
  let wanted: StageId | undefined = output.stage;
  while (wanted !== undefined) {
    const stage: StagePlan | undefined = plan.stages.find(({ id }) => id === wanted);
    if (!stage || found.includes(stage)) break;
    found.unshift(stage);
    wanted = stage.input.kind === 'stage' ? stage.input.stage : undefined;
  }
  return found;
}

function checkStage(stage: StagePlan, ledgers: Ledgers): Failure | undefined {
  if (stage.input.kind === 'empty') return undefined;
  const failure = ledgers.get(stage.id)?.failure;
  if (failure) return failure;
  const entered = sumsOf(ledgers, stage.id).rowsIn;
  const expected = rowsEntering(stage, ledgers);
  if (entered === expected) return undefined;
  return unbalanced(`stage ${stage.id} read ${entered} rows of the ${expected} its input has`);
}

function rowsEntering(stage: StagePlan, ledgers: Ledgers): number {
  switch (stage.input.kind) {
    case 'source':
      return sourceRows(stage) - prunedRows(stage);
    case 'stage':
      return sumsOf(ledgers, stage.input.stage).rowsOut;
    case 'empty':
      return 0;
  }
}

function sourceRows(stage: StagePlan): number {
  if (stage.input.kind !== 'source') return 0;
  return stage.input.files.reduce(
    (sum, file) => sum + file.rowGroupRows.reduce((rows, count) => rows + count, 0),
    0,
  );
}

function prunedRows(stage: StagePlan): number {
  if (stage.input.kind !== 'source') return 0;
  return stage.input.files.reduce(
    (sum, file) =>
      sum + file.prunedRowGroups.reduce((rows, group) => rows + (file.rowGroupRows[group] ?? 0), 0),
    0,
  );
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
