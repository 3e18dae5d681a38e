/**
 * A map step inside a program: what stands before it goes into a temporary table, the columns it
 * reads go through the function, and what it returns is joined on. Columns not read stay in DuckDB.
 */
import type { RecordBatch } from 'apache-arrow';
import { toFailure, WindrowError } from '../../shared/failure.js';
import { readRecordBatch } from '../functions/arrow.js';
import type { MapFunction, RowPlace } from '../functions/map.js';
import {
  emptyColumns,
  placeColumns,
  type RefuseRow,
  type Staged,
  stageColumns,
  writeResults,
} from '../functions/results.js';
import type { MapStep } from '../../shared/plan.js';
import type { Kernel } from '../kernel/duckdb.js';
import { mapResult } from './map-relation.js';
import type { Scope } from './scope.js';
import { type Relation, rowColumn } from './statement.js';
import { quoteName } from '../../shared/sql-text.js';

let segments = 0;

/** @param tables gets the names of the temporary tables, for the caller to drop */
export async function runMapSegment(
  kernel: Kernel,
  map: MapFunction,
  input: Relation,
  scope: Scope,
  tables: string[],
): Promise<Relation> {
  const { step } = map;
  const number = ++segments;
  const rowsTable = `windrow_rows_${number}`;
  const resultTable = `windrow_map_${number}`;
  tables.push(rowsTable, resultTable);
  await kernel.run(`create temp table ${quoteName(rowsTable)} as ${input.sql}`);
  const rows = Number(
    (await kernel.rows(`select count(*) as n from ${quoteName(rowsTable)}`))[0]?.n,
  );
  const batch = await readRecordBatch(kernel, rowsTable, step.reads, rows);
  const place = input.carriesRow ? await rowPlaces(kernel, rowsTable) : () => undefined;
  scope.throwIfCancelled();

  const ok = new Uint8Array(rows).fill(1);
  const result = await callIsolated(map, batch, place, ok, scope);
  scope.throwIfCancelled();
  const good = step.rowwise ? ok : new Uint8Array(result.rows).fill(1);
  const refuse = isolates(step) ? refusal(step, place, scope) : undefined;
  await writeResults(kernel, step, resultTable, result.staged, result.rows, good, refuse);
  return mapResult(input, step, rowsTable, resultTable);
}

interface Staging {
  readonly staged: readonly Staged[];
  readonly rows: number;
}

/** Whether one bad row is dropped, and not the end of the chunk. */
function isolates({ onError, rowwise }: MapStep): boolean {
  return onError === 'deadLetter' && rowwise;
}

function refusal({ id }: MapStep, place: RowPlace, scope: Scope): RefuseRow {
  return (index, error) => {
    const { code, message } = toFailure(error);
    scope.tally.dead.push({ row: place(index) ?? -1, step: id, code, message });
  };
}

/** Calls the function; where bad rows may be dropped, halves a failing batch until they are found. */
async function callIsolated(
  map: MapFunction,
  batch: RecordBatch,
  place: RowPlace,
  ok: Uint8Array,
  scope: Scope,
): Promise<Staging> {
  const { step } = map;
  scope.printed.nextStep(step.id);
  if (!isolates(step)) {
    const returned = await scope.unlessStray(map.call(batch, place));
    return { staged: stageColumns(map, returned), rows: returned.rows };
  }
  const staged = emptyColumns(map, batch.numRows);
  const refuse = refusal(step, place, scope);
  const tryRows = async (from: number, to: number): Promise<void> => {
    scope.throwIfCancelled();
    try {
      const rows = batch.slice(from, to);
      const returned = await scope.unlessStray(map.call(rows, (index) => place(from + index)));
      placeColumns(staged, stageColumns(map, returned), from);
    } catch (error) {
      if (!(error instanceof WindrowError) || error.failure.code === 'E_MAP_EXIT') throw error;
      if (to - from > 1) {
        const middle = (from + to) >>> 1;
        await tryRows(from, middle);
        await tryRows(middle, to);
        return;
      }
      ok[from] = 0;
      refuse(from, error);
    }
  };
  if (batch.numRows > 0) await tryRows(0, batch.numRows);
  return { staged, rows: batch.numRows };
}

async function rowPlaces(kernel: Kernel, table: string): Promise<RowPlace> {
  const result = await kernel.run(`select ${rowColumn} from ${quoteName(table)}`);
  const numbers = (await result.getColumns())[0] as bigint[] | undefined;
  return (index) => (numbers?.[index] === undefined ? undefined : Number(numbers[index]));
}
