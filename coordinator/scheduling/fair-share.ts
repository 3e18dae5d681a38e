/**
 * Whose turn it is: jobs of a higher priority first, whatever the shares; among jobs of equal
 * priority the one with the fewest running attempts for its weight; then the older one. A heap,
 * so that a turn costs the logarithm of the number of jobs. Never: looks at workers.
 */
import type { JobState } from '../core/state.js';

export interface Turn {
  readonly job: JobState;
  /** Attempts that run, those chosen in this round included. */
  running: number;
}

export class FairShare {
  private readonly heap: Turn[] = [];

  push(turn: Turn): void {
    const { heap } = this;
    let at = heap.length;
    heap.push(turn);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(turn, heap[parent] as Turn)) break;
      heap[at] = heap[parent] as Turn;
      at = parent;
    }
    heap[at] = turn;
  }

  pop(): Turn | undefined {
    const { heap } = this;
    const first = heap[0];
    const last = heap.pop();
    if (first && last && heap.length > 0) this.sink(last);
    return first;
  }

  private sink(turn: Turn): void {
    const { heap } = this;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      const right = heap[child + 1];
      if (right && before(right, heap[child] as Turn)) child += 1;
      if (!before(heap[child] as Turn, turn)) break;
      heap[at] = heap[child] as Turn;
      at = child;
    }
    heap[at] = turn;
  }
}

function before(a: Turn, b: Turn): boolean {
  const priority = b.job.run.priority - a.job.run.priority;
  if (priority !== 0) return priority < 0;
  const share = a.running / a.job.run.weight - b.running / b.job.run.weight;
  if (share !== 0) return share < 0;
  return a.job.submittedMs < b.job.submittedMs;
}
