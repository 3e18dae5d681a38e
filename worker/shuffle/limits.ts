/** What one worker holds and how long it waits while parts travel between two. Never: behaviour. */

export const shuffleLimits = {
  /** Of one reply, and of one read from a disk. */
  blockBytes: 1024 * 1024,
  /** Asked for and not yet written down, of one stream. */
  windowBytes: 4 * 1024 * 1024,
  /** Replies that are asked for at a time, however small they are. */
  windowBlocks: 64,
  /** Workers that one attempt fetches from at a time. */
  streams: 4,
  /** From one block to the next; a worker that takes longer is taken to be gone. */
  blockTimeoutMs: 20_000,
  /** Times in a row that a stream may break without one block having come. */
  reconnects: 3,
  /** First pause before another try; doubles with each. */
  reconnectMs: 200,
  /** Blocks that a worker has in memory for all who read from it. */
  blocksServed: 32,
} as const;

export type ShuffleLimits = { readonly [Name in keyof typeof shuffleLimits]: number };
