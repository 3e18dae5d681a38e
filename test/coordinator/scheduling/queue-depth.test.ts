/** How deep workers' queues may be, by how fast a stage's attempts end; all times are invented. */
import { describe, expect, it } from 'vitest';
import { emptyState, type StageState } from '../../../coordinator/core/state.js';
import { transition } from '../../../coordinator/core/transition.js';
import { place } from '../../../coordinator/scheduling/placement.js';
import { QueueDepth } from '../../../coordinator/scheduling/queue-depth.js';
import { hello, jobOf, ref, started, submitted } from '../core/fixtures.js';

function stageOf(rows = 1000): { state: ReturnType<typeof emptyState>; stage: StageState } {
  const state = emptyState();
  transition(state, submitted({ stages: [{ rows }] }));
  transition(state, hello({ slots: 2 }));
  return { state, stage: jobOf(state).stages[0]! };
}

/** So many attempts end, one every `everyMs`, from time 0 on. @returns the time of the last */
function endings(depth: QueueDepth, stage: StageState, count: number, everyMs: number): number {
  for (let k = 0; k <= count; k += 1) depth.attemptEnded(stage, k * everyMs);
  return count * everyMs;
}

describe('queues on workers', () => {
  it('are not used before attempts have been seen to end fast', () => {
    const { stage } = stageOf();
    const depth = new QueueDepth();
    expect(depth.depths(0, 2).most).toBe(0);
    depth.attemptEnded(stage, 1);
    expect(depth.depths(1, 2).most).toBe(0);
  });

  it('hold what a slot does in a tenth of a second, and never more than 64', () => {
    const { stage } = stageOf();
    const depth = new QueueDepth();
    const now = endings(depth, stage, 200, 5);
    // 200 a second by two slots: ten each in a tenth of a second.
    expect(depth.depths(now, 2).of(stage)).toBe(10);
    expect(depth.depths(now, 1).of(stage)).toBe(20);
    const faster = new QueueDepth();
    expect(faster.depths(endings(faster, stage, 10_000, 0.1), 1).most).toBe(64);
  });

  it('hold the next one of tasks that take a slot up to half a second, and none of longer ones', () => {
    const { stage } = stageOf();
    const depth = new QueueDepth();
    const now = endings(depth, stage, 40, 60);
    expect(depth.depths(now, 2).of(stage)).toBe(1);
    expect(depth.depths(now, 8).of(stage)).toBe(1);
    expect(depth.depths(now, 9).most).toBe(0);
  });

  it("hold no more than a slot's share of the tasks that are left", () => {
    const { state, stage } = stageOf(25);
    const depth = new QueueDepth();
    const now = endings(depth, stage, 200, 5);
    expect(depth.depths(now, 1).of(stage)).toBe(20);
    expect(depth.depths(now, 2).of(stage)).toBe(10);
    for (let task = 0; task < 10; task += 1) transition(state, started(ref(task)));
    expect(depth.depths(now, 2).of(stage)).toBe(7);
    expect(depth.depths(now, 10).of(stage)).toBe(1);
    expect(depth.depths(now, 16).most).toBe(0);
  });

  it('are given up as soon as attempts stop ending, and the stage is forgotten', () => {
    const { stage } = stageOf();
    const depth = new QueueDepth();
    const now = endings(depth, stage, 200, 5);
    expect(depth.depths(now + 90, 2).of(stage)).toBe(10);
    expect(depth.depths(now + 1100, 2).of(stage)).toBe(0);
    expect(depth.depths(now + 1101, 2).most).toBe(0);
  });

  it('belong to the stage that earned them: another one gets idle slots alone', () => {
    const { state, stage } = stageOf(4);
    transition(state, submitted({ id: 'j2', stages: [{ rows: 1000 }] }));
    const ahead = { most: 5, of: (asked: StageState) => (asked === stage ? 5 : 0) };
    const starts = place(state, 1, { ahead }).map(({ attempt }) => attempt.jobId);
    // From where the other one waits for the next idle slot, none is put before it.
    expect(starts).toEqual(['j1', 'j2', 'j1']);
  });
});
