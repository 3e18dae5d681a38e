/** How the worker's memory is divided among its slots. Never: enforces a share. */
import { machineMemoryBytes } from '../shared/machine-memory.js';

export interface MemoryShares {
  /** RSS above which the process recycles itself between attempts. */
  readonly processBytes: number;
  /** DuckDB's part of a slot: the rest is for the process, JavaScript and models. */
  readonly kernelBytes: number;
  /** What DuckDB leaves of a slot for JavaScript, within what V8 works well with. */
  readonly heapBytes: number;
}

/** @param limitBytes of the whole process; default 80 % of the machine's or container's memory */
export function memoryShares(slots: number, limitBytes = machineMemoryBytes() * 0.8): MemoryShares {
  const share = limitBytes / slots;
  return {
    processBytes: Math.floor(limitBytes),
    kernelBytes: Math.max(64 * 2 ** 20, Math.floor(share * 0.6)),
    heapBytes: Math.min(2 * 2 ** 30, Math.max(256 * 2 ** 20, Math.floor(share * 0.4))),
  };
}
