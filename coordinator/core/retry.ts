/**
 * What follows a failed attempt, by the failure table (docs/STATE-MACHINES.md). Never: changes a
 * state; and never draws a random number, so that replay waits exactly as long.
 *
 *   failure ──> stop      not retried, or its attempts are used up
 *           └─> again     at once (worker lost), or after a jittered, doubling wait
 */
import { retryRule, type Failure } from '../../shared/failure.js';
import { attemptKey, type AttemptRef } from '../../shared/ids.js';
import { limits } from '../../shared/limits.js';
import type { RunSettings } from './events.js';
import { isIsolated } from './isolation.js';
import type { TaskHistory } from './state.js';

const firstWaitMs = 1000;
const longestWaitMs = 60_000;

export type Verdict =
  | { readonly kind: 'stop'; readonly failure: Failure }
  | { readonly kind: 'again'; readonly waitMs: number; readonly counts: boolean };

/** @param history as it was before this failure */
export function verdict(
  failure: Failure,
  ref: AttemptRef,
  history: TaskHistory,
  run: RunSettings,
): Verdict {
  const rule = retryRule(failure.kind);
  const counted = history.counted + (rule.counts ? 1 : 0);
  // A worker gives up an attempt that nobody cancelled when it goes away: as good as lost.
  if (!rule.retried && failure.kind !== 'cancelled') return { kind: 'stop', failure };
  if (rule.counts && counted >= run.attempts) return { kind: 'stop', failure };
  if (isUsedUp(history)) return { kind: 'stop', failure: exhausted(failure, ref) };
  return { kind: 'again', waitMs: wait(failure, ref, counted, history), counts: rule.counts };
}

function wait({ kind }: Failure, ref: AttemptRef, counted: number, history: TaskHistory): number {
  if (kind === 'workerLost') return 0;
  // What it waits for is that its inputs are done again, however often they were lost before.
  if (kind === 'fetchFailed') return backoffMs(ref, 1);
  return backoffMs(ref, retryRule(kind).counts ? counted : history.attempts);
}

/** A task that is being taken apart needs many attempts, and each brings it on. */
export function isUsedUp(history: TaskHistory): boolean {
  return history.attempts >= limits.attemptsPerTask && !isIsolated(history);
}

/** 1 s, 2 s, 4 s … 60 s, each times a factor in [0.5, 1) that depends on the attempt alone. */
export function backoffMs(ref: AttemptRef, failures: number): number {
  const full = Math.min(longestWaitMs, firstWaitMs * 2 ** Math.max(0, failures - 1));
  return Math.round(full * (0.5 + unitHash(attemptKey(ref)) / 2));
}

/** FNV-1a with a final mix, as a number in [0, 1). */
function unitHash(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash ^= hash >>> 13;
  return (hash >>> 0) / 2 ** 32;
}

export function exhausted(last: Failure, ref: AttemptRef): Failure {
  return {
    kind: last.kind,
    code: 'E_ATTEMPTS_EXHAUSTED',
    message: `task ${ref.task} of stage ${ref.stageId} was tried ${limits.attemptsPerTask} times; last: ${last.code}: ${last.message}`,
    ...(last.at ? { at: last.at } : {}),
    hint: 'look at the logs of its workers for what ends them',
  };
}
