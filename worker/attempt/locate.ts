/**
 * Finds the row and the step of an error that names neither: halves the range of rows until one is
 * left, then takes steps away until it passes. Bounded; gives up rather than guess.
 */
import type { FailureLocation } from '../../shared/failure.js';
import type { ProgramStep } from '../../shared/plan.js';

export interface Trial {
  /** True when rows [rowStart, rowEnd) pass the first `steps` steps (with the sink if `sink`). */
  passes(rowStart: number, rowEnd: number, steps: number, sink: boolean): Promise<boolean>;
}

export interface Found {
  readonly at: FailureLocation;
  /** The rows cannot even be read. */
  readonly unreadable: boolean;
}

/** Enough for a range of 2^31 rows. */
const trialsMax = 32;

export async function locate(
  trial: Trial,
  range: { readonly rowStart: number; readonly rowEnd: number },
  steps: readonly ProgramStep[],
): Promise<Found> {
  const { rowStart, rowEnd } = range;
  if (!(await trial.passes(rowStart, rowEnd, 0, false))) return { at: {}, unreadable: true };
  let [low, high] = [rowStart, rowEnd];
  for (let trials = 0; high - low > 1 && trials < trialsMax; trials++) {
    const middle = Math.floor((low + high) / 2);
    if (await trial.passes(low, middle, steps.length, true)) low = middle;
    else high = middle;
  }
  const alone = !(await trial.passes(low, high, steps.length, true));
  // Where the last row passes alone, only rows together fail, or it does not happen again.
  if (!alone) return { at: await failingStep(trial, rowStart, rowEnd, steps), unreadable: false };
  return { at: { ...(await failingStep(trial, low, high, steps)), row: low }, unreadable: false };
}

async function failingStep(
  trial: Trial,
  low: number,
  high: number,
  steps: readonly ProgramStep[],
): Promise<FailureLocation> {
  for (const [index, step] of steps.entries()) {
    if (!(await trial.passes(low, high, index + 1, false))) return { step: step.id };
  }
  return {};
}
