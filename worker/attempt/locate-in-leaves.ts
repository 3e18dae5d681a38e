/**
 * Finds the rows that make a query fail, among those of all that it reads: halves the rows of one
 * leaf after the other while half of them suffice. Never runs anything; gives up rather than guess.
 */

/** Rows [from, to) of a leaf, counted through all that the chunk reads for it. */
export interface RowSpan {
  readonly from: number;
  readonly to: number;
}

export function rowsIn({ from, to }: RowSpan): number {
  return to - from;
}

/**
 * Whether the query fails in the same way over these rows of its leaves; undefined where that is not
 * known, as no more may be tried.
 */
export type FailsOver = (spans: readonly RowSpan[]) => Promise<boolean | undefined>;

export interface LeafRowsFound {
  /** What is left of each leaf: it fails over these rows. */
  readonly spans: readonly RowSpan[];
  /** Leaves without whose rows it does not fail, in the order of the search. */
  readonly needed: readonly number[];
}

const none: RowSpan = { from: 0, to: 0 };

/**
 * Rows that fail only together (a sum that overflows, say) are in neither half: there it ends.
 * @param rows of each leaf
 * @param order of the leaves, those that are to be named first
 */
export async function locateInLeaves(
  rows: readonly number[],
  order: readonly number[],
  fails: FailsOver,
): Promise<LeafRowsFound> {
  const spans = rows.map((to): RowSpan => ({ from: 0, to }));
  const failsOver = (leaf: number, span: RowSpan): Promise<boolean | undefined> =>
    fails(spans.map((each, at) => (at === leaf ? span : each)));

  const needed: number[] = [];
  const spare: number[] = [];
  for (const leaf of order.filter((each) => rows[each]! > 0)) {
    const without = await failsOver(leaf, none);
    if (without === undefined) break;
    (without ? spare : needed).push(leaf);
  }
  if (needed.length === 0) return { spans, needed };
  // The needed ones come first: rows that lack their partners may fail where they did not before.
  for (const leaf of [...needed, ...spare]) {
    // What else is left may fail without it now.
    if (!needed.includes(leaf) && (await failsOver(leaf, none))) spans[leaf] = none;
    while (rowsIn(spans[leaf]!) > 1) {
      const half = await failingHalf(spans[leaf]!, (span) => failsOver(leaf, span));
      if (!half) return { spans, needed };
      spans[leaf] = half;
    }
  }
  return { spans, needed };
}

async function failingHalf(
  { from, to }: RowSpan,
  fails: (span: RowSpan) => Promise<boolean | undefined>,
): Promise<RowSpan | undefined> {
  const middle = Math.floor((from + to) / 2);
  const halves = [
    { from, to: middle },
    { from: middle, to },
  ];
  for (const half of halves) if (await fails(half)) return half;
  return undefined;
}
