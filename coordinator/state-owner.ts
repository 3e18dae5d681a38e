/**
 * Who works on a state directory: this process, or another one that can be asked. Waits for one that
 * is just starting or ending. Never: takes a directory that somebody holds.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { resolve } from 'node:path';
import { fail } from '../shared/failure.js';
import {
  isLocked,
  lockStateDirectory,
  type Owner,
  readOwner,
  type StateLock,
} from './journal/state-lock.js';

export interface ListeningOwner {
  readonly endpoint: string;
  readonly pid: number;
}

/** An owner that ends may still be publishing. */
const takeWaitMs = 30_000;
const findWaitMs = 5_000;
const lookAgainMs = 50;

/**
 * Looks until the directory is ours or its owner listens: one may be starting, another ending.
 * @throws WindrowError E_STATE_BUSY when neither happens for half a minute
 */
export async function lockOrOwner(
  stateDirectory: string,
  signal: AbortSignal | undefined,
): Promise<StateLock | ListeningOwner> {
  const untilMs = performance.now() + takeWaitMs;
  for (;;) {
    signal?.throwIfAborted();
    const lock = lockStateDirectory(stateDirectory);
    if (!lock.busy) return lock;
    const { owner } = lock;
    if (owner?.endpoint !== undefined) return { endpoint: owner.endpoint, pid: owner.pid };
    if (performance.now() > untilMs) failSilent(stateDirectory, owner);
    await delay(lookAgainMs);
  }
}

function failSilent(stateDirectory: string, owner: Owner | undefined): never {
  const who = owner ? `process ${owner.pid}` : 'a process';
  return fail('io', 'E_STATE_BUSY', `${stateDirectory} is held by ${who}, which does not listen`, {
    hint: 'wait for it, or use another --state directory',
  });
}

/** The live process that works on a state directory, if there is one. */
export async function findOwner(stateDirectory: string): Promise<ListeningOwner | undefined> {
  const directory = resolve(stateDirectory);
  const untilMs = performance.now() + findWaitMs;
  while (isLocked(directory)) {
    const owner = readOwner(directory);
    if (owner?.endpoint !== undefined) return { endpoint: owner.endpoint, pid: owner.pid };
    if (performance.now() > untilMs) failSilent(directory, owner);
    await delay(lookAgainMs);
  }
  return undefined;
}
