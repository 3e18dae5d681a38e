/**
 * The function that a partitioned output calls on a value that no folder can have: it always fails.
 * Never decides which values those are; the statement does.
 */
import { DuckDBScalarFunction, type DuckDBVector, VARCHAR } from '@duckdb/node-api';
import { fail } from '../../shared/failure.js';
import { hiveDirectory, nameBytesMax, nullPartition } from '../../shared/storage/paths.js';
import type { Scope } from './scope.js';
import { refuseFolder } from './statement.js';

const shownChars = 80;

/** `(column VARCHAR, value VARCHAR) → VARCHAR`, with E_HIVE_VALUE. */
export function refuseFolderFunction(scope: Scope): DuckDBScalarFunction {
  const main = scope.guarded<DuckDBVector>((chunk) => {
    if (chunk.rowCount === 0) return;
    const [column, value] = [0, 1].map((k) => String(chunk.getColumnVector(k).getItem(0)));
    refuse(column!, value!);
  });
  return DuckDBScalarFunction.create({
    name: refuseFolder,
    volatile: true,
    parameterTypes: [VARCHAR, VARCHAR],
    returnType: VARCHAR,
    mainFunction: (_info, chunk, out) => main(chunk, out),
  });
}

function refuse(column: string, value: string): never {
  const at = { column };
  if (value === nullPartition) {
    fail(
      'badData',
      'E_HIVE_VALUE',
      `the text ${value} is what stands for NULL in a folder's name`,
      {
        at,
        hint: `write another text, or NULL: nullif(${column}, '${nullPartition}')`,
      },
    );
  }
  const shown = value.length > shownChars ? `${value.slice(0, shownChars)}…` : value;
  const bytes = hiveDirectory(column, value).length;
  fail(
    'badData',
    'E_HIVE_VALUE',
    `the value '${shown}' is too long for a partition: its folder's name would have ${bytes} bytes of ${nameBytesMax}`,
    { at, hint: 'shorten it in a select before the output, or partition by another column' },
  );
}
