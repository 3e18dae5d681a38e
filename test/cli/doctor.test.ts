/** The verdicts of `doctor` that do not depend on this machine. */
import { describe, expect, test } from 'vitest';
import { checkMemory, checkNode, checkSocketPath, checkThreadPool } from '../../cli/doctor.js';
import { nodeIsTooOld } from '../../cli/runtime-version.js';

describe('doctor', () => {
  test('refuses a Node that is older than needed and takes every newer one', () => {
    const verdicts = ['18.20.0', '20.18.3', '20.19.0', '20.20.2', '22.0.0', '100.1.0'];
    expect(verdicts.map(nodeIsTooOld)).toEqual([true, true, false, false, false, false]);
    expect(checkNode('18.0.0')).toMatchObject({ status: 'fail', advice: expect.any(String) });
  });

  test('counts the bytes of a socket path, not its characters, up to the last that fits', () => {
    expect(checkSocketPath('x'.repeat(107), 'linux').status).toBe('ok');
    expect(checkSocketPath('x'.repeat(108), 'linux').status).toBe('warn');
    expect(checkSocketPath('é'.repeat(54), 'linux').status).toBe('warn');
    expect(checkSocketPath('x'.repeat(104), 'darwin').status).toBe('warn');
  });

  test('warns of a thread pool that is too small for the slots', () => {
    expect(checkThreadPool(undefined, 2).status).toBe('ok');
    expect(checkThreadPool('12', 2).status).toBe('ok');
    expect(checkThreadPool('4', 2)).toMatchObject({
      status: 'warn',
      advice: expect.stringContaining('12'),
    });
  });

  test('says how many workers fit in the memory that is free', () => {
    const gib = 2 ** 30;
    expect(checkMemory(16 * gib, 8 * gib, 4).status).toBe('ok');
    expect(checkMemory(16 * gib, 1.5 * gib, 4)).toMatchObject({
      status: 'warn',
      advice: 'run with --workers 2',
    });
  });
});
