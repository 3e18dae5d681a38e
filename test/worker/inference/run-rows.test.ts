import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { WindrowError, fail } from '../../../shared/failure.js';
import { runOrFail, runOrSetAside } from '../../../worker/inference/run-rows.js';

/** A model that refuses every run with one of `bad` in it, and counts the runs. */
function refusing(bad: ReadonlySet<number>) {
  const done: number[] = [];
  let runs = 0;
  return {
    done,
    runs: () => runs,
    run(from: number, to: number) {
      runs++;
      for (let row = from; row < to; row++) {
        if (bad.has(row)) fail('badData', 'E_MODEL_RUN', `row ${row}`);
      }
      for (let row = from; row < to; row++) done.push(row);
    },
  };
}

const never = (): never => {
  throw new Error('no row should have been found');
};

describe('runs over the rows of a batch', () => {
  it('give every row to exactly one successful run or to the bad ones', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 300 }),
        fc.integer({ min: 1, max: 310 }),
        fc.uniqueArray(fc.nat({ max: 299 })),
        (rows, slice, badRows) => {
          const bad = new Set(badRows.filter((row) => row < rows));
          const model = refusing(bad);
          const found: number[] = [];
          runOrSetAside(rows, slice, model.run, (row) => found.push(row));
          expect(found).toEqual([...bad].sort((a, b) => a - b));
          const expected = Array.from({ length: rows }, (_, row) => row).filter((r) => !bad.has(r));
          expect(model.done).toEqual(expected);
        },
      ),
    );
  });

  it('isolate one bad row in at most 2 log2(n) + 1 runs', () => {
    for (const rows of [1, 2, 3, 100, 1024, 2048]) {
      for (const bad of [0, rows >> 1, rows - 1]) {
        const model = refusing(new Set([bad]));
        runOrSetAside(rows, rows, model.run, () => undefined);
        expect(model.runs()).toBeLessThanOrEqual(2 * Math.ceil(Math.log2(rows)) + 1);
      }
    }
  });

  it('find the first refused row in at most log2(n) + 2 runs before failing', () => {
    const model = refusing(new Set([1500, 1700]));
    let found = -1;
    expect(() =>
      runOrFail(2048, 2048, model.run, (row, refusal) => {
        found = row;
        throw refusal;
      }),
    ).toThrow('row 1500');
    expect(found).toBe(1500);
    expect(model.runs()).toBeLessThanOrEqual(13);
  });

  it('keep the original refusal when no single row is refused alone', () => {
    const together = (from: number, to: number): void => {
      if (to - from > 1) fail('badData', 'E_MODEL_RUN', `${to - from} rows together`);
    };
    expect(() => runOrFail(8, 8, together, never)).toThrow('8 rows together');
  });

  it('do not bisect what is not the data: it goes through at once', () => {
    let runs = 0;
    const lost = (): void => {
      runs++;
      fail('resource', 'E_DEVICE_LOST', 'gone');
    };
    expect(() => runOrSetAside(100, 50, lost, never)).toThrow(WindrowError);
    expect(() => runOrFail(100, 50, lost, never)).toThrow('E_DEVICE_LOST');
    expect(runs).toBe(2);
  });
});
