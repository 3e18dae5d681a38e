import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { WindrowError } from '../../../shared/failure.js';
import { catchStray } from '../../../worker/attempt/stray.js';

let spillDirectory: string;
let heard: WindrowError[];
let letGo: (() => void) | undefined;

beforeEach(() => {
  spillDirectory = mkdtempSync(join(tmpdir(), 'windrow-stray-'));
  heard = [];
});

afterEach(() => {
  letGo?.();
  letGo = undefined;
  rmSync(spillDirectory, { recursive: true });
});

function listen(steps: readonly { kind: string; id?: string; bundle?: { digest: string } }[]) {
  const task = { program: { steps }, blobs: {}, spillDirectory };
  letGo = catchStray(task as never, (error) => heard.push(error));
}

/** What the process does with an error that nothing catches; the listener of the test runner is spared. */
function throwInTimer(error: unknown): void {
  const listener = process.listeners('uncaughtException').at(-1);
  listener?.(error as Error, 'uncaughtException');
}

describe('an error that nothing catches', () => {
  it('is another task’s where this one has no function, which is then done again', () => {
    listen([{ kind: 'infer', id: 'score' }]);
    throwInTimer(new Error('too late'));
    expect(heard.map(({ failure }) => failure)).toMatchObject([
      { kind: 'workerLost', code: 'E_THREAD_LOST', message: expect.stringContaining('too late') },
    ]);
    expect(heard[0]?.failure.hint).toContain('await');
  });

  it('is the function’s where the task has one', () => {
    listen([{ kind: 'map', id: 'clean', bundle: { digest: 'd' } }]);
    throwInTimer('not even an error');
    expect(heard.map(({ failure }) => failure)).toMatchObject([
      {
        kind: 'userCode',
        code: 'E_MAP_THREW',
        message: expect.stringContaining('not even an error'),
        at: { step: 'clean' },
      },
    ]);
  });

  it('is heard of no longer once the task has ended', () => {
    const before = process.listenerCount('uncaughtException');
    listen([]);
    expect(process.listenerCount('uncaughtException')).toBe(before + 1);
    letGo?.();
    letGo = undefined;
    expect(process.listenerCount('uncaughtException')).toBe(before);
  });
});

describe('process.exit', () => {
  it('throws and is told, also where the module catches it, and is itself again afterwards', () => {
    const before = Object.getOwnPropertyDescriptor(process, 'exit');
    listen([{ kind: 'map', id: 'clean', bundle: { digest: 'd' } }]);
    expect(() => process.exit(3)).toThrow('process.exit(3)');
    expect(heard.map(({ failure }) => failure)).toMatchObject([
      { code: 'E_MAP_EXIT', at: { step: 'clean' } },
    ]);
    letGo?.();
    letGo = undefined;
    expect(Object.getOwnPropertyDescriptor(process, 'exit')).toEqual(before);
  });
});
