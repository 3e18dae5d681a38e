import { once } from 'node:events';
import { existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import {
  isLocked,
  lockStateDirectory,
  readOwner,
} from '../../../coordinator/journal/state-lock.js';
import { ended, startChild } from './child.js';

const place = () => mkdtempSync(join(tmpdir(), 'windrow-lock-'));
const holder = fileURLToPath(new URL('lock-child.ts', import.meta.url));

describe('the lock of a state directory', () => {
  it('is had by one, and the other learns who has it', () => {
    const directory = join(place(), 'state');
    expect(isLocked(directory)).toBe(false);
    expect(existsSync(directory)).toBe(false);
    const lock = lockStateDirectory(directory);
    if (lock.busy) throw new Error('nobody else was there');
    expect(lockStateDirectory(directory)).toEqual({ busy: true, owner: { pid: process.pid } });
    lock.announce('unix:/socket');
    expect(lockStateDirectory(directory)).toEqual({
      busy: true,
      owner: { pid: process.pid, endpoint: 'unix:/socket' },
    });
    expect(isLocked(directory)).toBe(true);
    lock.release();
    expect(isLocked(directory)).toBe(false);
    expect(readOwner(directory)).toBeUndefined();
    const again = lockStateDirectory(directory);
    expect(again.busy).toBe(false);
    if (!again.busy) again.release();
  });

  it('goes with a process that is killed by SIGKILL, whatever its owner.json says', async () => {
    const directory = place();
    const child = startChild(holder, [directory]);
    const [said] = (await once(child.stdout!, 'data')) as [Buffer];
    expect(said.toString()).toBe('held\n');
    expect(lockStateDirectory(directory)).toEqual({
      busy: true,
      owner: { pid: child.pid, endpoint: 'unix:/there' },
    });
    const end = ended(child);
    child.kill('SIGKILL');
    expect((await end).how).toBe('SIGKILL');
    expect(readOwner(directory)?.pid).toBe(child.pid);
    const lock = lockStateDirectory(directory);
    expect(lock.busy).toBe(false);
    if (!lock.busy) lock.release();
  });
});
