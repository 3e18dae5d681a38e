/**
 * What is asked of a worker and not answered yet: so many bytes and ranges at a time, in order. That is
 * the back-pressure: who has no room asks for nothing. Never: receives.
 */
import type { PartRange } from '../../shared/gen/windrow.js';
import type { Arrival } from './arrival.js';
import type { ShuffleLimits } from './limits.js';

/** The way to the worker. */
interface Asking {
  write(range: PartRange): unknown;
  end(): unknown;
}

/** A block of an arrival that is on its way. */
export interface Asked {
  readonly arrival: Arrival;
  readonly bytes: number;
}

export class Questions {
  private readonly asked: Asked[] = [];
  private readonly blocks: Iterator<Asked & { readonly offset: number }>;
  private next: IteratorResult<Asked & { readonly offset: number }>;
  private askedBytes = 0;
  private ended = false;

  constructor(
    private readonly worker: Asking,
    arrivals: readonly Arrival[],
    private readonly limits: ShuffleLimits,
  ) {
    this.blocks = blocksOf(arrivals, limits.blockBytes);
    this.next = this.blocks.next();
  }

  get open(): number {
    return this.asked.length;
  }

  ask(): void {
    while (!this.next.done && this.hasRoomFor(this.next.value.bytes)) {
      const { arrival, offset, bytes } = this.next.value;
      if (arrival.wrong === undefined) {
        const { path } = arrival.range;
        this.worker.write({ path, offset: arrival.range.offset + offset, bytes });
        this.asked.push({ arrival, bytes });
        this.askedBytes += bytes;
      }
      this.next = this.blocks.next();
    }
    if (!this.next.done || this.ended) return;
    this.ended = true;
    this.worker.end();
  }

  /** Replies come in the order of the questions. */
  answered(): Asked | undefined {
    const asked = this.asked.shift();
    if (asked) this.askedBytes -= asked.bytes;
    return asked;
  }

  private hasRoomFor(bytes: number): boolean {
    const { windowBytes, windowBlocks } = this.limits;
    if (this.asked.length === 0) return true;
    return this.asked.length < windowBlocks && this.askedBytes + bytes <= windowBytes;
  }
}

/** What is missing of the arrivals, one after the other; a range of no bytes is asked for, too. */
function* blocksOf(arrivals: readonly Arrival[], blockBytes: number) {
  for (const arrival of arrivals) {
    let offset = arrival.written;
    do {
      const bytes = Math.min(blockBytes, arrival.range.bytes - offset);
      yield { arrival, offset, bytes };
      offset += bytes;
    } while (offset < arrival.range.bytes);
  }
}
