/**
 * The one rule for how many rows may be dead letters, asked while a job runs and once more before
 * its commit. Pure. Never: counts rows itself.
 */
import type { Failure } from '../../shared/failure.js';
import type { JobPlan } from '../../shared/plan.js';
import { quoteText } from '../../shared/sql-text.js';

/**
 * E_TOO_MANY_DEAD_LETTERS when there are more than the spec allows.
 * @param dead of all stages' chunks, each chunk once: a row that dies before its way divides is one
 *   dead letter, however many outputs list it. `maxFraction` is of the rows of all scans, pruned
 *   ones included.
 */
export function deadLetterFailure(
  dead: number,
  plan: Pick<JobPlan, 'deadLetters' | 'stages' | 'outputs' | 'chunkLocation'>,
): Failure | undefined {
  const { maxRows, maxFraction } = plan.deadLetters;
  const rows = plan.stages.reduce((sum, stage) => sum + stage.rows, 0);
  const cap =
    maxRows !== undefined && dead > maxRows
      ? `deadLetters.maxRows is ${maxRows}`
      : maxFraction !== undefined && dead > maxFraction * rows
        ? `deadLetters.maxFraction is ${maxFraction}`
        : undefined;
  if (cap === undefined) return undefined;
  return {
    kind: 'badData',
    code: 'E_TOO_MANY_DEAD_LETTERS',
    message: `${dead} of ${rows} rows are dead letters, but ${cap}`,
    hint: `${whereToRead(plan)}; mend the data or the step, or raise the cap`,
  };
}

/** Dead letters lie beside their chunks until they are published, which those of this job are not. */
function whereToRead({ outputs, chunkLocation }: Pick<JobPlan, 'outputs' | 'chunkLocation'>) {
  const files = quoteText(`${chunkLocation}/**/*.dead`);
  const published = [...new Set(outputs.map(({ deadLetterPath }) => deadLetterPath))].join(', ');
  return `look at them in DuckDB: from read_parquet(${files}); those that an earlier run published are in ${published}`;
}
