/** What one worker holds and how long it waits while parts travel between two. Never: behaviour. */

export const shuffleLimits = {
  /** Of one read from a disk, and of one write to it. */
  blockBytes: 1024 * 1024,
  /** Workers that one attempt fetches from at a time. */
  streams: 4,
  /** From one byte to the next; a worker that takes longer is taken to be gone. */
  blockTimeoutMs: 20_000,
  /** For how long a caller may take nothing; one that takes longer is taken to be gone. */
  callerTimeoutMs: 60_000,
  /** Times in a row that an answer may break without one byte having come. */
  reconnects: 3,
  /** First pause before another try; doubles with each. */
  reconnectMs: 200,
  /** Blocks that a worker has in memory for all who read from it. */
  blocksServed: 32,
} as const;

export type ShuffleLimits = { readonly [Name in keyof typeof shuffleLimits]: number };
