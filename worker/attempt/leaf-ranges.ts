/**
 * All that a chunk reads for a leaf of its query as one list of rows, of which a part can be read
 * instead. Looks at footers alone; never at rows.
 */
import { readFooter } from '../../shared/parquet-footer.js';
import type { RowSpan } from './locate-in-leaves.js';
import type { LeafFiles, LeafRange } from './query-statement.js';

export async function asRanges({ sources, paths, slices }: LeafFiles): Promise<LeafRange[]> {
  const ranges = [...sources];
  for (const path of paths) {
    const { rows } = await readFooter(path);
    const all = { rowStart: 0, rowEnd: rows, fileRows: rows };
    ranges.push({ path, ...all, hive: {}, missingColumns: [] });
  }
  for (const { path, rowStart, rows } of slices) {
    ranges.push({ path, rowStart, rowEnd: rowStart + rows, hive: {}, missingColumns: [] });
  }
  return ranges;
}

export function rowsOf(ranges: readonly LeafRange[]): number {
  return ranges.reduce((sum, { rowStart, rowEnd }) => sum + rowEnd - rowStart, 0);
}

/** @param spans the rows of each leaf that are to be read */
export function cut(
  leaves: readonly (readonly LeafRange[])[],
  spans: readonly RowSpan[],
): LeafFiles[] {
  return leaves.map((ranges, leaf) => {
    const { from, to } = spans[leaf]!;
    let before = 0;
    const sources = ranges.flatMap((range): LeafRange[] => {
      // From a row's number in the list to that in its file.
      const offset = range.rowStart - before;
      before += range.rowEnd - range.rowStart;
      const rowStart = Math.max(range.rowStart, from + offset);
      const rowEnd = Math.min(range.rowEnd, to + offset);
      return rowStart < rowEnd ? [{ ...range, rowStart, rowEnd }] : [];
    });
    return { sources, paths: [], slices: [] };
  });
}
