/**
 * The SQL around a map step: its result beside the columns that stayed in DuckDB, and the same
 * columns without running it. Never: calls a function, so planning a statement needs no Arrow.
 */
import type { MapStep } from '../../shared/plan.js';
import { type Relation, rowColumn } from './statement.js';
import { quoteName } from '../../shared/sql-text.js';

/** The rows of `rowsTable` with what the function made of them in `resultTable`. */
export function mapResult(
  input: Relation,
  step: MapStep,
  rowsTable: string,
  resultTable: string,
): Relation {
  const returned = step.columns.map(({ name }) => name);
  const own = returned.map((name) => `${quoteName(resultTable)}.${quoteName(name)}`);
  if (!step.rowwise) {
    return {
      sql: `select ${own.join(', ')} from ${quoteName(resultTable)}`,
      columns: returned,
      carriesRow: false,
      open: false,
    };
  }
  const kept = keptColumns(input, step);
  const items = [...kept, ...(input.carriesRow ? [rowColumn] : [])].map(
    (name) => `${quoteName(rowsTable)}.${quoteName(name)}`,
  );
  return {
    sql: `select ${[...items, ...own].join(', ')} from ${quoteName(rowsTable)} positional join ${quoteName(resultTable)} where __windrow_ok`,
    columns: [...kept, ...returned],
    carriesRow: input.carriesRow,
    open: true,
  };
}

function keptColumns(input: Relation, step: MapStep): string[] {
  const replaced = new Set(step.columns.map(({ name }) => name.toLowerCase()));
  return input.columns.filter((name) => !replaced.has(name.toLowerCase()));
}

/** The columns after a map step, without running it: for binding what comes later. */
export function emptyMapResult(input: Relation, step: MapStep): Relation {
  const kept = step.rowwise ? keptColumns(input, step) : [];
  const carriesRow = step.rowwise && input.carriesRow;
  const items = [
    ...kept.map(quoteName),
    ...(carriesRow ? [rowColumn] : []),
    ...step.columns.map(({ name, type }) => `cast(null as ${type}) as ${quoteName(name)}`),
  ];
  return {
    sql: `select ${items.join(', ')} from (${input.sql})`,
    columns: [...kept, ...step.columns.map(({ name }) => name)],
    carriesRow,
    open: false,
  };
}
