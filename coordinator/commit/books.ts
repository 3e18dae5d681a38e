/**
 * The books: every input row ends in exactly one place, and what was measured must say so before
 * anything is published. Pure. Never: a tolerance.
 */
import type { Failure } from '../../shared/failure.js';
import type { StageId } from '../../shared/ids.js';
import type { ChunkRecord, JobPlan, OutputPlan, StagePlan } from '../../shared/plan.js';
import type { RowTotals } from '../../shared/views.js';

/** Records of each stage's chunks, in chunk order. */
export type RecordsByStage = ReadonlyMap<StageId, readonly ChunkRecord[]>;

export interface BooksResult {
  /** Absent: the books balance and the expectations hold. */
  readonly failure?: Failure;
  /** Row-count expectations with action `warn` that do not hold, in words. */
  readonly warnings: readonly string[];
}

/** Checks accounting of every stage, then dead-letter caps, then row counts. */
export function checkBooks(plan: JobPlan, records: RecordsByStage): BooksResult {
  for (const stage of plan.stages) {
    const failure = checkStage(stage, records);
    if (failure) return { failure, warnings: [] };
  }
  const totals = jobTotals(plan, records);
  const capped = deadLetterFailure(totals.deadLettered, totals.in, plan.deadLetters);
  if (capped) return { failure: capped, warnings: [] };
  return checkRowCounts(plan.outputs, records);
}

/** E_TOO_MANY_DEAD_LETTERS when there are more than the caps allow; for use while a job runs, too. */
export function deadLetterFailure(
  dead: number,
  rowsIn: number,
  caps: JobPlan['deadLetters'],
): Failure | undefined {
  const cap =
    caps.maxRows !== undefined && dead > caps.maxRows
      ? `deadLetters.maxRows is ${caps.maxRows}`
      : caps.maxFraction !== undefined && dead > caps.maxFraction * rowsIn
        ? `deadLetters.maxFraction is ${caps.maxFraction}`
        : undefined;
  if (cap === undefined) return undefined;
  return {
    kind: 'badData',
    code: 'E_TOO_MANY_DEAD_LETTERS',
    message: `${dead} of ${rowsIn} rows are dead letters, but ${cap}`,
    hint: 'look at them in the dead-letter files, mend the data or the step, or raise the cap',
  };
}

/**
 * Rows of one output: in at its sources, out at its end, filtered and dead on the way. Rows that
 * pruning ruled out entered and were filtered.
 */
export function outputTotals(
  plan: JobPlan,
  output: OutputPlan,
  records: RecordsByStage,
): RowTotals {
  const stages = stagesBehind(plan, output);
  const sums = stages.map((stage) => sumCounts(records.get(stage.id) ?? []));
  const first = stages[0];
  const pruned = first?.input.kind === 'source' ? prunedRows(first) : 0;
  return {
    in: (sums[0]?.rowsIn ?? 0) + pruned,
    out: sums.at(-1)?.rowsOut ?? 0,
    filtered: sums.reduce((sum, { filtered }) => sum + filtered, pruned),
    deadLettered: sums.reduce((sum, { dead }) => sum + dead, 0),
  };
}

/** Totals of all outputs; a row that goes to two outputs counts in each. */
export function jobTotals(plan: JobPlan, records: RecordsByStage): RowTotals {
  const total = { in: 0, out: 0, filtered: 0, deadLettered: 0 };
  for (const output of plan.outputs) {
    const rows = outputTotals(plan, output, records);
    total.in += rows.in;
    total.out += rows.out;
    total.filtered += rows.filtered;
    total.deadLettered += rows.deadLettered;
  }
  return total;
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

function checkStage(stage: StagePlan, records: RecordsByStage): Failure | undefined {
  const chunks = records.get(stage.id) ?? [];
  if (stage.input.kind === 'empty') return undefined;
  for (const chunk of chunks) {
    const failure = checkChunk(stage, chunk);
    if (failure) return failure;
  }
  const entered = sumCounts(chunks).rowsIn;
  const expected = rowsEntering(stage, records);
  if (entered === expected) return undefined;
  return unbalanced(`stage ${stage.id} read ${entered} rows of the ${expected} its input has`);
}

function checkChunk(stage: StagePlan, chunk: ChunkRecord): Failure | undefined {
  const { rowsIn, rowsOut, filtered, dead } = chunk.counts;
  const name = `chunk ${chunk.identity.slice(0, 12)} of stage ${stage.id}`;
  if (stage.program.rowwise && rowsIn !== rowsOut + filtered + dead) {
    return unbalanced(
      `${name} took in ${rowsIn} rows, but ${rowsOut} out + ${filtered} filtered + ${dead} dead ` +
        `make ${rowsOut + filtered + dead}`,
    );
  }
  const written = chunk.files.reduce((sum, { rows }) => sum + rows, 0);
  if (written !== rowsOut) {
    return unbalanced(`${name} put out ${rowsOut} rows, but its files hold ${written}`);
  }
  const deadWritten = chunk.deadLetters?.rows ?? 0;
  if (deadWritten !== dead) {
    return unbalanced(`${name} has ${dead} dead letters, but their file holds ${deadWritten}`);
  }
  return undefined;
}

function rowsEntering(stage: StagePlan, records: RecordsByStage): number {
  switch (stage.input.kind) {
    case 'source':
      return sourceRows(stage) - prunedRows(stage);
    case 'stage':
      return sumCounts(records.get(stage.input.stage) ?? []).rowsOut;
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

function sumCounts(records: readonly ChunkRecord[]) {
  const sums = { rowsIn: 0, rowsOut: 0, filtered: 0, dead: 0 };
  for (const { counts } of records) {
    sums.rowsIn += counts.rowsIn;
    sums.rowsOut += counts.rowsOut;
    sums.filtered += counts.filtered;
    sums.dead += counts.dead;
  }
  return sums;
}

function checkRowCounts(outputs: readonly OutputPlan[], records: RecordsByStage): BooksResult {
  const warnings: string[] = [];
  for (const output of outputs) {
    const rows = sumCounts(records.get(output.stage) ?? []).rowsOut;
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

function unbalanced(message: string): Failure {
  return {
    kind: 'broken',
    code: 'E_BOOKS',
    message: `the books do not balance: ${message}`,
    hint: 'nothing was published; please report this with the job id',
  };
}
