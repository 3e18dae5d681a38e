/**
 * The tasks of one stage that wait to be tried again, as a binary heap by time. An entry is stale
 * once its task has moved on; the top never is. Never: decides how long anything waits.
 */
import type { StageState, Waiting } from './state.js';

export function pushWaiting(stage: StageState, task: number, eligibleMs: number): void {
  const heap = stage.waiting;
  const entry: Waiting = { task, eligibleMs };
  let at = heap.length;
  heap.push(entry);
  while (at > 0) {
    const parent = (at - 1) >> 1;
    const above = heap[parent] as Waiting;
    if (above.eligibleMs <= eligibleMs) break;
    heap[at] = above;
    at = parent;
  }
  heap[at] = entry;
}

/** Drops stale entries from the top; to be called after a waiting task has moved on. */
export function trimWaiting(stage: StageState): void {
  const heap = stage.waiting;
  while (heap.length > 0 && !isCurrent(stage, heap[0] as Waiting)) {
    const last = heap.pop() as Waiting;
    if (heap.length > 0) sink(heap, last);
  }
}

/** Tasks whose time has come, at most `max`, without removing them; cost is in their number. */
export function eligibleTasks(stage: StageState, nowMs: number, max: number): number[] {
  const found = new Set<number>();
  const open = [0];
  while (open.length > 0 && found.size < max) {
    const at = open.pop() as number;
    const entry = stage.waiting[at];
    if (!entry || entry.eligibleMs > nowMs) continue;
    if (isCurrent(stage, entry)) found.add(entry.task);
    open.push(2 * at + 2, 2 * at + 1);
  }
  return [...found];
}

export function isCurrent(stage: StageState, entry: Waiting): boolean {
  const task = stage.tasks.get(entry.task);
  return task?.kind === 'waiting' && task.eligibleMs === entry.eligibleMs;
}

function sink(heap: Waiting[], entry: Waiting): void {
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    const right = heap[child + 1];
    if (right && right.eligibleMs < (heap[child] as Waiting).eligibleMs) child += 1;
    const below = heap[child] as Waiting;
    if (below.eligibleMs >= entry.eligibleMs) break;
    heap[at] = below;
    at = child;
  }
  heap[at] = entry;
}
