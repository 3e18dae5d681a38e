/**
 * Columns by which the files of a source are ranged: no value lies in two of them. Rows that are
 * equal in such a column need no exchange to meet, as long as no file is cut. Pure.
 */
import { limits } from '../../shared/limits.js';
import type { RangedColumn } from '../../shared/plan.js';
import type { SourceFacts, SourceFile } from './facts.js';
import { rowsOfFile } from './splits.js';

/** @param columns those that matter */
export function rangedColumns(source: SourceFacts, columns: readonly string[]): RangedColumn[] {
  const rows = source.files.map(({ file }) => rowsOfFile(file));
  if (rows.some((count) => count > limits.wideFileRows)) return [];
  if (rows.every((count) => count === 0)) return [];
  const inPath = new Set(source.hive.map(({ name }) => name));
  return columns.flatMap((column) => {
    if (inPath.has(column)) return [];
    const ranges = source.files.map((file, at) => (rows[at]! > 0 ? rangeOf(file, column) : null));
    if (!areApart(ranges)) return [];
    const files = ranges.map((range) => range && ([String(range.min), String(range.max)] as const));
    return [{ column, files: files as RangedColumn['files'] }];
  });
}

interface Range {
  readonly min: bigint;
  readonly max: bigint;
}

/** Undefined for a file of which the range is not known. */
function areApart(ranges: readonly (Range | null | undefined)[]): boolean {
  if (ranges.includes(undefined)) return false;
  const known = ranges.flatMap((range) => range ?? []);
  known.sort((a, b) => (a.min < b.min ? -1 : a.min > b.min ? 1 : 0));
  return known.every(({ min }, at) => at === 0 || min > known[at - 1]!.max);
}

/** Numbers and dates only: text compares otherwise here than there. */
function rangeOf({ file, stats }: SourceFile, column: string): Range | undefined {
  const groups = (stats.get(column) ?? []).filter((_, group) => file.rowGroupRows[group]! > 0);
  if (groups.length === 0) return undefined;
  let [min, max]: (bigint | undefined)[] = [];
  for (const group of groups) {
    if (!group?.noNulls || typeof group.min !== 'bigint' || typeof group.max !== 'bigint') {
      return undefined;
    }
    if (min === undefined || group.min < min) min = group.min;
    if (max === undefined || group.max > max) max = group.max;
  }
  return min === undefined || max === undefined ? undefined : { min, max };
}

/**
 * For each run of files of one source the files of another whose values lie among theirs. Both are
 * ranged by a column of the same type.
 * @param runs numbers of the driving source's files
 * @returns numbers of the other's files, ascending
 */
export function filesAmong(
  driving: RangedColumn,
  other: RangedColumn,
  runs: readonly (readonly number[])[],
): number[][] {
  const others = other.files.map(rangeIn);
  const owns = driving.files.map(rangeIn);
  return runs.map((run) => {
    const own = run.flatMap((file) => owns[file] ?? []);
    if (own.length === 0) return [];
    const low = own.reduce((least, { min }) => (min < least ? min : least), own[0]!.min);
    const high = own.reduce((most, { max }) => (max > most ? max : most), own[0]!.max);
    return others.flatMap((range, file) =>
      range && range.max >= low && range.min <= high ? [file] : [],
    );
  });
}

function rangeIn(range: RangedColumn['files'][number]): Range | null {
  return range && { min: BigInt(range[0]), max: BigInt(range[1]) };
}
