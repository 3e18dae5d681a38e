/**
 * The functions that filter and expect steps call inside the statement: they count what is refused,
 * at the step that refuses it, and say which rows go on. Never evaluate a predicate; DuckDB does.
 */
import {
  BIGINT,
  BOOLEAN,
  DuckDBScalarFunction,
  USMALLINT,
  type DuckDBVector,
} from '@duckdb/node-api';
import { WindrowError } from '../../shared/failure.js';
import { isValid, validityWords, vectorItems } from '../inference/raw-vectors.js';
import type { Scope } from './scope.js';
import { type Condition, passedVerdict } from './statement.js';

/** `name(verdict USMALLINT [, row BIGINT]) → BOOLEAN`: true for rows that go on. */
export function verdictFunction(
  name: string,
  conditions: readonly Condition[],
  scope: Scope,
  carriesRow: boolean,
): DuckDBScalarFunction {
  const main = scope.guarded((chunk, out: DuckDBVector) => {
    const verdicts = vectorItems(chunk.getColumnVector(0)) as Uint16Array;
    const keep = vectorItems(out) as Uint8Array;
    const rows = chunk.rowCount;
    for (let row = 0; row < rows; row++) {
      const verdict = verdicts[row]!;
      if (verdict === passedVerdict) {
        keep[row] = 1;
        continue;
      }
      keep[row] = 0;
      const condition = conditions[verdict];
      if (!condition) throw new RangeError(`verdict ${verdict} of ${conditions.length}`);
      if (condition.action === 'filter') scope.tally.filtered += 1;
      else refuse(condition, scope, carriesRow ? rowNumber(chunk.getColumnVector(1), row) : -1);
    }
    out.flush();
  });
  return DuckDBScalarFunction.create({
    name,
    volatile: true,
    // Without it a constant NULL argument would be answered by DuckDB, uncounted.
    specialHandling: true,
    parameterTypes: carriesRow ? [USMALLINT, BIGINT] : [USMALLINT],
    returnType: BOOLEAN,
    mainFunction: (_info, chunk, out) => main(chunk, out),
  });
}

function refuse(condition: Condition, scope: Scope, row: number): void {
  if (condition.action !== 'deadLetter') throw expectationError(condition, row);
  scope.tally.dead.push({
    row,
    step: condition.step,
    code: 'E_EXPECT_FAILED',
    message: `check ${condition.check} does not hold: ${condition.predicate}`,
  });
}

function expectationError(condition: Condition, row: number): WindrowError {
  return new WindrowError({
    kind: 'badData',
    code: 'E_EXPECT_FAILED',
    message: `check ${condition.check} does not hold: ${condition.predicate}`,
    at: { step: condition.step, ...(row < 0 ? {} : { row }) },
    hint: 'correct the data, or set onFail of the check to deadLetter or warn',
  });
}

function rowNumber(rows: DuckDBVector, index: number): number {
  return Number(vectorItems(rows)[index]);
}

/** `name(holds BOOLEAN) → false`: counts the rows on which a check with action `warn` fails. */
export function warnFunction(
  name: string,
  condition: Condition,
  scope: Scope,
): DuckDBScalarFunction {
  const main = scope.guarded((chunk, out: DuckDBVector) => {
    const vector = chunk.getColumnVector(0);
    const holds = vectorItems(vector);
    const valid = validityWords(vector);
    let failed = 0;
    for (let row = 0; row < chunk.rowCount; row++) {
      if (!isValid(valid, row) || holds[row] === 0) failed += 1;
    }
    scope.tally.warn(`${condition.step}.${condition.check}`, failed);
    vectorItems(out).fill(0 as never);
    out.flush();
  });
  return DuckDBScalarFunction.create({
    name,
    volatile: true,
    // Without it a constant NULL argument would be answered by DuckDB, uncounted.
    specialHandling: true,
    parameterTypes: [BOOLEAN],
    returnType: BOOLEAN,
    mainFunction: (_info, chunk, out) => main(chunk, out),
  });
}
