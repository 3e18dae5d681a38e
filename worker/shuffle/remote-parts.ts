/**
 * Fetches ranges of files from the workers that have them, from several at a time. Never: goes on
 * writing after it has thrown.
 */
import type { Arrival } from './arrival.js';
import type { ShuffleLimits } from './limits.js';
import type { PeerAccess } from './peers.js';
import { RemoteWorker } from './remote-worker.js';

/** How often a cancel is looked for while nothing arrives. */
const cancelPollMs = 50;

/**
 * Ends with each arrival complete or wrong.
 * @param arrivals of ranges that are served
 * @throws WindrowError E_UNAUTHENTICATED and others that no fetching again would mend
 */
export async function fetchRemote(
  arrivals: readonly Arrival[],
  access: PeerAccess,
  limits: ShuffleLimits,
  throwIfCancelled: () => void,
): Promise<void> {
  if (arrivals.length === 0) return;
  const workers = [...byWorker(arrivals)];
  const stop = new AbortController();
  const poll = setInterval(() => {
    try {
      throwIfCancelled();
    } catch (error) {
      stop.abort(error);
    }
  }, cancelPollMs);
  const stream = async (): Promise<void> => {
    for (let next = workers.shift(); next; next = workers.shift()) {
      const [address, all] = next;
      try {
        await new RemoteWorker(address, access, limits, stop.signal).fetch(all);
      } catch (error) {
        // Nobody may write below the directory any more once this is known.
        stop.abort(error);
      }
    }
  };
  try {
    await Promise.all(Array.from({ length: limits.streams }, stream));
  } finally {
    clearInterval(poll);
  }
  stop.signal.throwIfAborted();
}

function byWorker(arrivals: readonly Arrival[]): Map<string, Arrival[]> {
  const workers = new Map<string, Arrival[]>();
  for (const arrival of arrivals) {
    const address = arrival.range.servedBy!;
    const others = workers.get(address);
    if (others) others.push(arrival);
    else workers.set(address, [arrival]);
  }
  return workers;
}
