import { describe, expect, it } from 'vitest';
import { locateInLeaves, type RowSpan } from '../../../worker/attempt/locate-in-leaves.js';

const holds = ({ from, to }: RowSpan | undefined = { from: 0, to: 0 }, row: number): boolean =>
  from <= row && row < to;

/** Searches, counts the runs, and allows so many. */
async function search(
  rows: readonly number[],
  fails: (spans: readonly RowSpan[]) => boolean,
  runsMax = Infinity,
) {
  let runs = 0;
  const found = await locateInLeaves(rows, [...rows.keys()], (spans) =>
    Promise.resolve(runs++ < runsMax ? fails(spans) : undefined),
  );
  return { ...found, runs };
}

describe('the rows that make a query fail', () => {
  it('are one row, wherever it lies, in about two runs for each doubling of the rows', async () => {
    for (const row of [0, 1, 499_999, 999_998, 999_999]) {
      const { spans, needed, runs } = await search([1_000_000], ([only]) => holds(only, row));
      expect(spans).toEqual([{ from: row, to: row + 1 }]);
      expect(needed).toEqual([0]);
      expect(runs).toBeLessThanOrEqual(41);
    }
  });

  it('are one row of each leaf that it takes, and none of those that it does not', async () => {
    const { spans, needed } = await search(
      [50, 1000, 0, 700],
      ([, b, , d]) => holds(b, 321) && holds(d, 5),
    );
    expect(spans).toEqual([
      { from: 0, to: 0 },
      { from: 321, to: 322 },
      { from: 0, to: 0 },
      { from: 5, to: 6 },
    ]);
    expect(needed).toEqual([1, 3]);
  });

  it('are not those that fail only because their partners were taken away', async () => {
    // Row 77 of the second leaf has no partner in the first; without the first none has.
    const partner = (row: number) => (row === 77 ? -1 : row % 10);
    const { spans, needed } = await search([10, 100], ([users, orders]) =>
      Array.from({ length: 100 }, (_, row) => row).some(
        (row) => holds(orders, row) && !holds(users, partner(row)),
      ),
    );
    expect(needed).toEqual([1]);
    expect(spans).toEqual([
      { from: 0, to: 0 },
      { from: 77, to: 78 },
    ]);
  });

  it('stay together where each half of them passes', async () => {
    const sum = ({ from, to }: RowSpan) => to - from;
    const { spans, needed, runs } = await search([1000], ([only]) => sum(only!) > 600);
    expect(spans).toEqual([{ from: 0, to: 1000 }]);
    expect(needed).toEqual([0]);
    expect(runs).toBe(3);
  });

  it('are none where it fails without rows, too', async () => {
    expect(await search([1000, 3], () => true)).toMatchObject({ needed: [], runs: 2 });
  });

  it('are a range that holds them when no more may be tried', async () => {
    const { spans, needed } = await search([1 << 20], ([only]) => holds(only, 600_000), 8);
    expect(needed).toEqual([0]);
    expect(holds(spans[0], 600_000)).toBe(true);
    expect(spans[0]!.to - spans[0]!.from).toBeLessThan(1 << 18);
    expect((await search([1000], () => false, 0)).needed).toEqual([]);
  });
});
