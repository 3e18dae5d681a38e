/**
 * What a query answered, in a form that answers of other engines compare with: the order of rows does not count, nor
 * whether a number came as integer, decimal or floating point. Never decides which of two is right.
 */
import { createHash } from 'node:crypto';
import type { DuckDBResultReader } from '@duckdb/node-api';

/** A number where the column is floating point; all else, decimals too, as exact text. */
export type Cell = string | number | null;
export type Answer = readonly (readonly Cell[])[];

const relativeTolerance = 1e-9;
/** Engines that divide decimals into decimals cut at this digit where DuckDB's answer is floating point. */
const decimalDivision = 1e-6;

export function answerOf(result: DuckDBResultReader): Answer {
  const types = result.columnTypes().map(String);
  return result.getRowsJson().map((row) =>
    row.map((value, k) => {
      const type = types[k] ?? '';
      if (value === null) return null;
      if (type === 'DOUBLE' || type === 'FLOAT') return Number(value);
      if (type.startsWith('DECIMAL'))
        return String(value)
          .replace(/(\.\d*?)0+$/, '$1')
          .replace(/\.$/, '');
      return typeof value === 'object' ? JSON.stringify(value) : String(value);
    }),
  );
}

/** Equal for equal answers, whatever the order of rows; floating point counts to nine digits. */
export function hashOf(answer: Answer): string {
  const rows = answer.map((row) =>
    JSON.stringify(row.map((cell) => (typeof cell === 'number' ? cell.toPrecision(9) : cell))),
  );
  return createHash('sha256').update(rows.sort().join('\n')).digest('hex').slice(0, 12);
}

/**
 * The first difference, in words; undefined when there is none. Floating point may differ by 1e-9 of its value, and a
 * decimal in its place by 1e-6.
 */
export function differenceOf(expected: Answer, actual: Answer): string | undefined {
  if (expected.length !== actual.length)
    return `${actual.length} rows instead of ${expected.length}`;
  const inexact = new Set<number>();
  for (const row of [...expected, ...actual])
    row.forEach((cell, k) => typeof cell === 'number' && inexact.add(k));
  const left = sorted(expected, inexact);
  const right = sorted(actual, inexact);
  for (const [k, row] of left.entries()) {
    const other = right[k] ?? [];
    if (row.length !== other.length) return `${other.length} columns instead of ${row.length}`;
    const at = row.findIndex((cell, column) => !same(cell, other[column] ?? null));
    if (at >= 0) return `${JSON.stringify(other)} instead of ${JSON.stringify(row)}`;
  }
  return undefined;
}

/** By the exact columns first, so that noise in the others moves no row. */
function sorted(answer: Answer, inexact: ReadonlySet<number>): Answer {
  const keyed = answer.map((row) => ({
    row,
    exact: JSON.stringify(row.filter((_, k) => !inexact.has(k))),
    rest: row.filter((_, k) => inexact.has(k)).map(Number),
  }));
  keyed.sort((a, b) => {
    if (a.exact !== b.exact) return a.exact < b.exact ? -1 : 1;
    const k = a.rest.findIndex((value, at) => value !== b.rest[at]);
    return k < 0 ? 0 : (a.rest[k] ?? 0) - (b.rest[k] ?? 0);
  });
  return keyed.map(({ row }) => row);
}

function same(expected: Cell, actual: Cell): boolean {
  if (expected === null || actual === null) return expected === actual;
  if (typeof expected === 'string' && typeof actual === 'string') return expected === actual;
  const [a, b] = [Number(expected), Number(actual)];
  const slack = relativeTolerance * Math.max(Math.abs(a), Math.abs(b));
  return (
    a === b ||
    Math.abs(a - b) <= (typeof actual === 'string' ? Math.max(slack, decimalDivision) : slack)
  );
}
