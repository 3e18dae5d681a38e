/**
 * Runs the rows of one batch through a model in slices, and finds the rows a model refuses by
 * bisecting. Never: touches tensors or DuckDB; what a run is, the caller says.
 */
import { WindrowError } from '../../shared/failure.js';

/** Runs rows [from, to). @throws WindrowError `E_MODEL_RUN` when their data is refused */
export type RunRange = (from: number, to: number) => void;

/** A run that failed because of what is in the rows, so that fewer rows may pass. */
function isRefusal(error: unknown): error is WindrowError {
  return (
    error instanceof WindrowError &&
    error.failure.kind === 'badData' &&
    error.failure.code === 'E_MODEL_RUN'
  );
}

/**
 * All rows in slices of at most `slice`; the first refusal ends it. `located` gets the first refused
 * row where one row alone is refused too, at the cost of log2(slice) + 1 more runs.
 */
export function runOrFail(
  rows: number,
  slice: number,
  run: RunRange,
  located: (row: number, refusal: WindrowError) => never,
): void {
  for (let from = 0; from < rows; from += slice) {
    const to = Math.min(rows, from + slice);
    try {
      run(from, to);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      const found = locate(from, to, run);
      if (found) located(found.row, found.refusal);
      throw error;
    }
  }
}

function locate(from: number, to: number, run: RunRange) {
  while (to - from > 1) {
    const middle = from + ((to - from) >> 1);
    if (refused(from, middle, run)) to = middle;
    else from = middle;
  }
  const refusal = refused(from, to, run);
  return refusal && { row: from, refusal };
}

function refused(from: number, to: number, run: RunRange): WindrowError | undefined {
  try {
    run(from, to);
    return undefined;
  } catch (error) {
    if (isRefusal(error)) return error;
    throw error;
  }
}

/**
 * All rows in slices of at most `slice`; a refused slice is halved until single rows are refused,
 * which `onBad` gets in order. One bad row costs at most 2 * log2(slice) + 1 runs.
 */
export function runOrSetAside(
  rows: number,
  slice: number,
  run: RunRange,
  onBad: (row: number, refusal: WindrowError) => void,
): void {
  const halve = (from: number, to: number): void => {
    const refusal = refused(from, to, run);
    if (!refusal) return;
    if (to - from === 1) {
      onBad(from, refusal);
      return;
    }
    const middle = from + ((to - from) >> 1);
    halve(from, middle);
    halve(middle, to);
  };
  for (let from = 0; from < rows; from += slice) halve(from, Math.min(rows, from + slice));
}
