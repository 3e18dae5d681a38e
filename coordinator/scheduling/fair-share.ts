/**
 * Whose turn it is. Jobs of a higher priority come first, whatever the shares. Among jobs of equal
 * priority those come first that lack a whole slot of their share, by running attempts for their
 * weight; then those that lack a part of one, which they take in turns by weight; then the others. A
 * heap, so that a turn costs the logarithm of the number of jobs. Never: looks at workers.
 */
import type { JobState } from '../core/state.js';
import type { JobId } from '../../shared/ids.js';

export interface Turn {
  readonly job: JobState;
  /** Slots that are this job's by its weight, a fraction mostly. */
  readonly share: number;
  /** Attempts that run, those chosen in this round included. */
  running: number;
}

/**
 * How often each job had its turn, for its weight. Of jobs that compete for less than a slot each only
 * this tells who is next: when a slot is free, none of them has one.
 */
export class Turns {
  private passes = new Map<JobId, number>();
  /** Where those begin who come now; never falls. */
  private begin = 0;

  /**
   * Who comes begins one turn behind the one that had the least, so that it is next and makes up for
   * nothing else. Who comes back has had what it had.
   */
  enter(jobs: readonly JobState[]): void {
    const behind = jobs.flatMap((job) => {
      const had = this.passes.get(job.id);
      return had === undefined ? [] : [had - 1 / job.run.weight];
    });
    if (behind.length > 0) {
      this.begin = Math.max(
        this.begin,
        behind.reduce((least, one) => Math.min(least, one)),
      );
    }
    for (const [id, had] of this.passes) if (had <= this.begin) this.passes.delete(id);
    for (const job of jobs) this.passes.set(job.id, this.of(job));
  }

  of(job: JobState): number {
    return this.passes.get(job.id) ?? this.begin;
  }

  had(job: JobState): void {
    this.passes.set(job.id, this.of(job) + 1 / job.run.weight);
  }
}

export class FairShare {
  private readonly heap: Turn[] = [];

  /** @param free slots that may be given away now */
  constructor(
    jobs: readonly JobState[],
    free: number,
    private readonly turns: Turns,
  ) {
    turns.enter(jobs);
    const groups = new Map<number, { running: number; weight: number }>();
    for (const { run, running } of jobs) {
      const group = groups.get(run.priority) ?? { running: 0, weight: 0 };
      group.running += running;
      group.weight += run.weight;
      groups.set(run.priority, group);
    }
    for (const job of jobs) {
      const { running, weight } = groups.get(job.run.priority)!;
      const share = ((running + free) * job.run.weight) / weight;
      this.add({ job, running: job.running, share });
    }
  }

  /** Whose turn it is; out of the round until it is put back. */
  pop(): Turn | undefined {
    const { heap } = this;
    const first = heap[0];
    const last = heap.pop();
    if (first && last && heap.length > 0) this.sink(last);
    return first;
  }

  /** It has been given a slot. */
  putBack(turn: Turn): void {
    turn.running += 1;
    this.turns.had(turn.job);
    this.add(turn);
  }

  private add(turn: Turn): void {
    const { heap } = this;
    let at = heap.length;
    heap.push(turn);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.before(turn, heap[parent] as Turn)) break;
      heap[at] = heap[parent] as Turn;
      at = parent;
    }
    heap[at] = turn;
  }

  private sink(turn: Turn): void {
    const { heap } = this;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      const right = heap[child + 1];
      if (right && this.before(right, heap[child] as Turn)) child += 1;
      if (!this.before(heap[child] as Turn, turn)) break;
      heap[at] = heap[child] as Turn;
      at = child;
    }
    heap[at] = turn;
  }

  private before(a: Turn, b: Turn): boolean {
    const priority = b.job.run.priority - a.job.run.priority;
    if (priority !== 0) return priority < 0;
    const [lackOfA, lackOfB] = [lack(a), lack(b)];
    if (lackOfA !== lackOfB) return lackOfA > lackOfB;
    if (lackOfA === 1) {
      const turns = this.turns.of(a.job) - this.turns.of(b.job);
      if (Math.abs(turns) > rounding) return turns < 0;
    }
    const share = a.running / a.job.run.weight - b.running / b.job.run.weight;
    if (share !== 0) return share < 0;
    return a.job.submittedMs < b.job.submittedMs;
  }
}

const rounding = 1e-9;

/** 2: of a slot and more; 1: of a part of one; 0: of none. */
function lack({ share, running }: Turn): 0 | 1 | 2 {
  const missing = share - running;
  if (missing > 1 - rounding) return 2;
  return missing > rounding ? 1 : 0;
}
