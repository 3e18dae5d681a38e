/** Column names that the engine keeps for itself. Never: names of steps; the spec's own check has those. */
import { fail, type FailureLocation } from '../../shared/failure.js';

/** Columns that a worker adds to a relation while it runs. */
const ownPrefix = '__windrow_';
/** DuckDB's own column of a scan: a file that has one of that name cannot be split by rows. */
const scanColumn = 'file_row_number';

/** @throws WindrowError E_COLUMN_RESERVED */
export function refuseReserved(
  columns: readonly { readonly name: string }[],
  at: FailureLocation,
): void {
  for (const { name } of columns) {
    if (name.toLowerCase().startsWith(ownPrefix)) refuse(name, at);
  }
}

/** As `refuseReserved`, for what lies inside a file. @throws WindrowError E_COLUMN_RESERVED */
export function refuseReservedInFile(
  columns: readonly { readonly name: string }[],
  at: FailureLocation,
): void {
  refuseReserved(columns, at);
  for (const { name } of columns) if (name.toLowerCase() === scanColumn) refuse(name, at);
}

function refuse(name: string, at: FailureLocation): never {
  fail('invalidSpec', 'E_COLUMN_RESERVED', `the name '${name}' is the engine's own`, {
    at: { ...at, column: name },
    hint: `rename the column; ${scanColumn} and names that begin with ${ownPrefix} are taken`,
  });
}
