/**
 * How long a failure may be looked into before it is reported, and the interrupt of what takes
 * longer. Never: decides what is looked for.
 */
import type { Kernel } from '../kernel/duckdb.js';

/** Two leaves of a million rows each, or a minute. */
export const searchLimits = { runs: 64, ms: 60_000 };

const pollMs = 50;

/**
 * Runs it, interrupting the kernel's statements from that moment on.
 * @param endMs as `performance.now()` tells it
 * @returns undefined, and runs nothing, where the moment has passed
 */
export async function runUntil<T>(
  endMs: number,
  kernel: Pick<Kernel, 'interrupt'>,
  run: () => Promise<T>,
): Promise<T | undefined> {
  if (performance.now() >= endMs) return undefined;
  // Time may run out between two statements, where there is nothing to interrupt: look again.
  const poll = setInterval(() => {
    if (performance.now() >= endMs) kernel.interrupt();
  }, pollMs);
  try {
    return await run();
  } finally {
    clearInterval(poll);
  }
}
