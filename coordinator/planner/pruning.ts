/**
 * Rules out row groups that cannot hold a row for which the first filters are true. Pure. Wrong
 * pruning loses rows silently: whatever is in doubt is read.
 */
import type { ColumnStatistics } from '../../shared/parquet-statistics.js';
import type { InputFile, PlanNote } from '../../shared/plan.js';
import {
  hiveKey,
  type Bound,
  type Comparison,
  type Conjunct,
  type Facts,
  type Operator,
  type QueryFacts,
} from './facts.js';
import type { SourceFacts } from './facts.js';

/** Conditions that every row meets before any other operator sees it. */
export function leadingConjuncts(operators: readonly Operator[]): Conjunct[] {
  const conjuncts: Conjunct[] = [];
  for (const operator of operators) {
    if (operator.kind !== 'filter') break;
    if (operator.deterministic) conjuncts.push(...operator.conjuncts);
  }
  return conjuncts;
}

/** What each scan of the source asks of its rows; a query that is not understood asks for all. */
export function scansOf(source: string, queries: Iterable<QueryFacts>): (readonly Conjunct[])[] {
  return [...queries].flatMap(({ tables, scans }) => {
    if (!tables.some(({ id }) => id === source)) return [];
    const found = scans.filter((scan) => scan.source === source);
    return found.length > 0 ? found.map(({ conjuncts }) => conjuncts) : [[]];
  });
}

export interface PrunedSource {
  readonly files: readonly InputFile[];
  readonly rows: number;
  readonly rowsPruned: number;
  readonly notes: readonly PlanNote[];
}

/** @param scans what each scan asks for: a row group is ruled out where none of them needs it */
export function pruneSource(
  source: SourceFacts,
  scans: readonly (readonly Conjunct[])[],
  verdicts: Facts['hiveVerdicts'],
): PrunedSource {
  // A partition column hides a column of that name inside the file, and its statistics.
  const inPath = new Set(source.hive.map((column) => column.name));
  const needs = scans.map((conjuncts) => ({
    bounds: conjuncts.flatMap(({ bounds }) => bounds),
    files: conjuncts.flatMap(({ sql }) => {
      const list = verdicts.get(hiveKey(source.id, sql));
      return list ? [list] : [];
    }),
  }));
  let rows = 0;
  let rowsPruned = 0;
  let filesPruned = 0;
  let groups = 0;
  let groupsPruned = 0;
  const files = source.files.map(({ file, stats }, index): InputFile => {
    const left = needs.filter(({ files }) => files.every((list) => list[index] !== false));
    const wholeFile = needs.length > 0 && left.length === 0;
    const pruned = file.rowGroupRows.flatMap((count, group) => {
      rows += count;
      groups += 1;
      const statsOf = (column: string): ColumnStatistics | undefined =>
        inPath.has(column) ? undefined : stats.get(column)?.[group];
      const ruledOut =
        needs.length > 0 &&
        left.every(({ bounds }) => bounds.some((bound) => isRefuted(bound, statsOf)));
      if (!ruledOut) return [];
      rowsPruned += count;
      return [group];
    });
    if (wholeFile) filesPruned += 1;
    groupsPruned += pruned.length;
    return { ...file, prunedRowGroups: pruned };
  });
  const text =
    `source ${source.id}: ${filesPruned} of ${files.length} files ruled out by partition, ` +
    `${groupsPruned} of ${groups} row groups in all, ${rowsPruned} of ${rows} rows`;
  const notes: PlanNote[] = groupsPruned > 0 ? [{ kind: 'pruned', text }] : [];
  return { files, rows, rowsPruned, notes };
}

function isRefuted(
  bound: Bound,
  statsOf: (column: string) => ColumnStatistics | undefined,
): boolean {
  if (!('any' in bound)) return excludes(bound, statsOf(bound.column));
  return bound.any.every((all) => all.some((each) => isRefuted(each, statsOf)));
}

/** Whether no value between min and max meets the comparison; NULL meets none. */
export function excludes(
  { op, kind, value }: Comparison,
  stats: ColumnStatistics | undefined,
): boolean {
  if (!stats || stats.kind !== kind) return false;
  const low = compare(value, stats.min);
  const high = compare(value, stats.max);
  if (low === undefined || high === undefined) return false;
  switch (op) {
    case '=':
      return low < 0 || high > 0;
    case '<':
      return low <= 0;
    case '<=':
      return low < 0;
    case '>':
      return high >= 0;
    case '>=':
      return high > 0;
  }
}

/** Sign of a - b; strings by code point, which is the order of their UTF-8 bytes. */
function compare(a: bigint | string, b: bigint | string): number | undefined {
  if (typeof a === 'bigint' && typeof b === 'bigint') return a < b ? -1 : a > b ? 1 : 0;
  if (typeof a !== 'string' || typeof b !== 'string') return undefined;
  const [left, right] = [[...a], [...b]];
  for (let index = 0; index < Math.min(left.length, right.length); index += 1) {
    const difference = left[index]!.codePointAt(0)! - right[index]!.codePointAt(0)!;
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}
