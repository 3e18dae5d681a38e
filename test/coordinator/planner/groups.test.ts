/** How finished chunks are grouped to be rewritten. */
import { expect, it } from 'vitest';
import { sizeGroups } from '../../../coordinator/planner/groups.js';

const groupsOf = (sizes: readonly number[], targetBytes: number, apart?: ReadonlySet<number>) =>
  sizeGroups(sizes, {
    targetBytes,
    partitioned: false,
    slots: 1,
    ...(apart ? { apart } : {}),
  }).groups.map(({ from, to }) => [from, to]);

it('each is as near the wanted size as whole chunks come', () => {
  expect(groupsOf([4, 4, 4, 4, 4], 10)).toEqual([
    [0, 3],
    [3, 5],
  ]);
  expect(groupsOf([20, 1, 1], 10)).toEqual([
    [0, 1],
    [1, 3],
  ]);
  expect(groupsOf([], 10)).toEqual([]);
});

it('chunks that are to stay apart do, and those of one file are grouped as they were before', () => {
  expect(groupsOf([1, 1, 1, 1], 10, new Set([0, 2]))).toEqual([
    [0, 2],
    [2, 4],
  ]);
  const more = groupsOf([1, 1, 1, 1, 1], 10, new Set([0, 2, 4]));
  expect(more.slice(0, 2)).toEqual(groupsOf([1, 1, 1, 1], 10, new Set([0, 2])));
});
