import { totalmem } from 'node:os';
import { expect, it } from 'vitest';
import { machineMemoryBytes } from '../../shared/machine-memory.js';

it.each([
  ['no control group', 0, 100],
  ['a group without a limit', 2 ** 64, 100],
  ['a group that may have less', 40, 40],
])('of %s', (_, constrained, bytes) => {
  expect(machineMemoryBytes(100, constrained)).toBe(bytes);
});

it('of this machine is some, and not more than all of it', () => {
  expect(machineMemoryBytes()).toBeGreaterThan(0);
  expect(machineMemoryBytes()).toBeLessThanOrEqual(totalmem());
});
