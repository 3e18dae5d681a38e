/**
 * A stage's query as a relation: each of its leaves becomes a table over the files that this chunk
 * reads for it, with the types that the query expects. Pure text in, text out; never runs anything.
 */
import type { QueryLeaf, StageProgram, StageQuery } from '../../shared/plan.js';
import { enclosed } from '../kernel/sql-text.js';
import type { SourceWork } from './protocol.js';
import { type Relation, scanChunks, scanNothing, scanSource } from './statement.js';
import { quoteName } from '../../shared/sql-text.js';

/** Rows [rowStart, rowEnd) of a Parquet file, with what they need to have a leaf's columns. */
export type LeafRange = Pick<
  SourceWork,
  'path' | 'rowStart' | 'rowEnd' | 'fileRows' | 'hive' | 'missingColumns'
>;

/** What lies ready on this machine for one leaf. */
export interface LeafFiles {
  readonly sources: readonly LeafRange[];
  /** Whole Parquet files that have all of the leaf's columns. */
  readonly paths: readonly string[];
  readonly slices: readonly LeafSlice[];
}

/** Rows [rowStart, rowStart + rows) of a divided file, which are those of its partitions [from, to). */
export interface LeafSlice {
  readonly path: string;
  readonly from: number;
  readonly to: number;
  readonly rowStart: number;
  readonly rows: number;
}

/** @param files of each leaf, in the query's order */
export function queryRelation(query: StageQuery, files: readonly LeafFiles[]): Relation {
  const tables = query.leaves.map(
    (leaf, at) =>
      `${quoteName(leaf.leaf)} as not materialized (${leafRelation(leaf, files[at] ?? nothing).sql})`,
  );
  const given = tables.length === 0 ? '' : `with ${tables.join(', ')} `;
  return {
    sql: `${given}select * from ${enclosed(query.sql)}`,
    columns: query.columns.map(({ name }) => name),
    carriesRow: false,
    open: true,
  };
}

/** What a scan would be that gives the query's columns: for binding the steps after it. */
export function resultScan({ columns }: StageQuery): StageProgram['scan'] {
  return { kind: 'chunks', columns, hive: [] };
}

const nothing: LeafFiles = { sources: [], paths: [], slices: [] };

/** One leaf by itself. */
export function leafRelation(
  { columns, hive = [] }: QueryLeaf,
  { sources, paths, slices }: LeafFiles,
): Relation {
  const scan = { kind: 'source' as const, columns, hive };
  const ranges = joined(sources);
  // Files that lie on disk as the query wants them are one table, which DuckDB may read in any order.
  const plain = ranges.filter(
    (source) => isWhole(source) && hive.length === 0 && source.missingColumns.length === 0,
  );
  const others = ranges.filter((source) => !plain.includes(source));
  const tables = [plain.map(({ path }) => path), paths].filter((files) => files.length > 0);
  const parts = [
    ...tables.map((files) => scanChunks(scan, files, false)),
    ...alike(slices).map(({ files, ...range }) => scanChunks(scan, files, false, range)),
    ...others.map((source) =>
      scanSource(scan, source, isWhole(source) ? undefined : source, false),
    ),
  ];
  if (parts.length === 0) parts.push(scanNothing(scan, false));
  return { ...parts[0]!, sql: parts.map(({ sql }) => sql).join(' union all ') };
}

/** Slices that have the same partitions are one table. */
function alike(slices: readonly LeafSlice[]): { from: number; to: number; files: string[] }[] {
  const tables = new Map<string, { from: number; to: number; files: string[] }>();
  for (const { path, from, to } of slices) {
    const table = tables.get(`${from} ${to}`);
    if (table) table.files.push(path);
    else tables.set(`${from} ${to}`, { from, to, files: [path] });
  }
  return [...tables.values()];
}

function isWhole({ rowStart, rowEnd, fileRows }: LeafRange): boolean {
  return rowStart === 0 && rowEnd === fileRows;
}

/** Ranges that follow one another in a file as one: each scan opens its file anew. */
function joined(sources: readonly LeafRange[]): LeafRange[] {
  const ranges: LeafRange[] = [];
  for (const source of sources) {
    const last = ranges.at(-1);
    if (last?.path === source.path && last.rowEnd === source.rowStart) {
      ranges[ranges.length - 1] = { ...last, rowEnd: source.rowEnd };
    } else {
      ranges.push(source);
    }
  }
  return ranges;
}
