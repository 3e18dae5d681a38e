/** Which bytes of a divided file belong to which partitions. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isConsistent, partitionSizes, sliceOf, wholeSlice } from '../../shared/divided-file.js';
import type { ChunkFile } from '../../shared/plan.js';

/** A file of as many rows in each partition, so many in each row group but the last. */
function divided(partitions: readonly number[], groupRows: number): ChunkFile {
  const parts = partitions.flatMap((rows, partition) => (rows > 0 ? [{ partition, rows }] : []));
  const rows = parts.reduce((sum, part) => sum + part.rows, 0);
  const blocks = [];
  for (let row = 0; row < rows; row += groupRows) {
    const held = Math.min(groupRows, rows - row);
    blocks.push({ offset: 10 * row, bytes: 10 * held, rows: held, crc32: row });
  }
  blocks.push({ offset: 10 * rows, bytes: 7, rows: 0, crc32: 1 });
  const bytes = 10 * rows + 7;
  return { path: '/c', rows, bytes, sha256: '', partition: [], divided: { parts, blocks } };
}

const files = fc
  .record({
    partitions: fc.array(fc.nat(9), { minLength: 1, maxLength: 12 }),
    groupRows: fc.integer({ min: 1, max: 20 }),
  })
  .map(({ partitions, groupRows }) => ({ partitions, file: divided(partitions, groupRows) }));

describe('a slice of a divided file', () => {
  it('is every row of its partitions once, in row groups that have some of them', () => {
    fc.assert(
      fc.property(files, fc.nat(12), fc.nat(12), ({ partitions, file }, one, other) => {
        const [from, to] = [Math.min(one, other), Math.max(one, other) + 1];
        const before = partitions.slice(0, from).reduce((sum, rows) => sum + rows, 0);
        const rows = partitions.slice(from, to).reduce((sum, held) => sum + held, 0);
        const slice = sliceOf(file, from, to);
        if (rows === 0) return slice === undefined;
        const footer = file.divided!.blocks.at(-1)!;
        const touched = file.divided!.blocks.filter(
          ({ offset, rows: held }) =>
            held > 0 && offset < 10 * (before + rows) && offset + 10 * held > 10 * before,
        );
        expect(slice).toMatchObject({ from, to, rowStart: before, rows, bytes: file.bytes });
        expect(slice!.blocks).toEqual([...touched, footer]);
        return true;
      }),
    );
  });

  it('of all its partitions is the whole file', () => {
    const file = divided([0, 3, 0, 4], 2);
    expect(wholeSlice(file)).toMatchObject({ rowStart: 0, rows: 7, blocks: file.divided!.blocks });
    expect(wholeSlice(divided([0, 0], 2))).toBeUndefined();
  });
});

it('a file that is not divided is none without rows', () => {
  const { divided: _, ...plain } = divided([1, 2], 2);
  expect(() => sliceOf(plain, 0, 1)).toThrow(/E_INTERNAL: \/c is to be read by partitions/);
  expect(wholeSlice(plain)).toBeUndefined();
});

it('the sizes of partitions are those of their rows', () => {
  fc.assert(
    fc.property(files, ({ partitions, file }) => {
      const expected = partitions.flatMap((rows, partition) =>
        rows > 0 ? [{ partition, bytes: 10 * rows }] : [],
      );
      expect(partitionSizes(file.divided!)).toEqual(expected);
    }),
  );
});

describe('what is said of a divided file', () => {
  const file = divided([2, 3], 2);
  const { parts, blocks } = file.divided!;
  it('fits together where its blocks are its bytes, and its partitions its rows', () => {
    fc.assert(fc.property(files, (each) => isConsistent(each.file, each.partitions.length)));
  });

  it.each([
    ['a gap', { parts, blocks: blocks.filter((_, at) => at !== 1) }],
    [
      'a block that ends before it begins',
      { parts, blocks: [...blocks, { ...blocks[0]!, bytes: -5 }] },
    ],
    ['rows below none', { parts, blocks: blocks.map((each) => ({ ...each, rows: -each.rows })) }],
    ['a partition twice', { parts: [parts[0]!, { ...parts[1]!, partition: 0 }], blocks }],
    ['a partition without rows', { parts: [...parts, { partition: 2, rows: 0 }], blocks }],
    ['more rows than there are', { parts: [parts[0]!, { partition: 1, rows: 4 }], blocks }],
    [
      'a partition that its exchange has not',
      { parts: [parts[0]!, { partition: 3, rows: 3 }], blocks },
    ],
    ['no footer', { parts, blocks: blocks.slice(0, -1) }],
  ])('does not with %s', (_, told) => {
    expect(isConsistent({ ...file, divided: told }, 3)).toBe(false);
  });
});
