/**
 * Which task goes to which worker now. Pure: reads the state, returns events, changes nothing but the
 * turns it is given; each event is then applied like any other. Costs the workers and jobs once, then
 * each assignment the logarithm of the number of jobs.
 */
import type { AttemptStarted } from '../core/events.js';
import { restriction } from '../core/isolation.js';
import type { JobState, StageState, State } from '../core/state.js';
import { isCurrent } from '../core/waiting.js';
import type { JobId } from '../../shared/ids.js';
import type { StagePlan } from '../../shared/plan.js';
import { FairShare, Turns } from './fair-share.js';
import { freeSlots, openStages } from './fit.js';
import { noQueue, type QueueDepths } from './queue-depth.js';
import { Seats, type Seat } from './seats.js';
import { StageQueue } from './stage-queue.js';

export interface PlacementOptions {
  /** Jobs that are kept but not run. */
  readonly held?: ReadonlySet<JobId>;
  /** Attempts each slot may have queued on its worker beside the one it runs; default none. */
  readonly ahead?: number | QueueDepths;
  /** Who had which part of the slots so far, brought up to date here; default nobody. */
  readonly turns?: Turns;
}

export function place(
  state: State,
  nowMs: number,
  options: PlacementOptions = {},
): AttemptStarted[] {
  const depths = depthsOf(options.ahead);
  let free = 0;
  for (const worker of state.workers.values()) free += Math.max(0, freeSlots(worker, depths.most));
  if (free === 0) return [];

  const seats = new Seats(state, depths.most);
  const queues = new Map<JobState, StageQueue[]>();
  for (const job of state.jobs.values()) {
    if (options.held?.has(job.id)) continue;
    const open = stageQueues(job, nowMs, free);
    if (open.length === 0) continue;
    queues.set(job, open);
  }
  const shares = new FairShare([...queues.keys()], free, options.turns ?? new Turns());

  const starts: AttemptStarted[] = [];
  while (starts.length < free) {
    const turn = shares.pop();
    if (!turn) break;
    const start = next(queues.get(turn.job) ?? [], seats, depths, nowMs);
    // Nothing of this job fits anywhere: it is out of this round.
    if (!start) continue;
    starts.push(start);
    shares.putBack(turn);
  }
  return starts;
}

function depthsOf(ahead: PlacementOptions['ahead']): QueueDepths {
  if (typeof ahead === 'number') return { most: ahead, of: () => ahead };
  return ahead ?? noQueue;
}

function stageQueues(job: JobState, nowMs: number, most: number): StageQueue[] {
  return openStages(job)
    .map((index) => new StageQueue(job, index, job.stages[index] as StageState, nowMs, most))
    .filter((queue) => queue.hasSuspect || queue.hasTask);
}

function next(
  queues: readonly StageQueue[],
  seats: Seats,
  depths: QueueDepths,
  nowMs: number,
): AttemptStarted | undefined {
  for (const queue of queues) {
    const plan = queue.job.plan.stages[queue.index] as StagePlan;
    if (queue.hasSuspect) {
      const seat = seats.takeAlone(plan);
      if (seat) return started(queue, queue.takeSuspect() as number, seat, nowMs);
    }
    if (!queue.hasTask) continue;
    const seat = seats.take(plan, depths.of(queue.stage));
    if (seat) return started(queue, queue.take() as number, seat, nowMs);
  }
  return undefined;
}

function started(queue: StageQueue, task: number, seat: Seat, nowMs: number): AttemptStarted {
  const { job, index } = queue;
  const stage = job.stages[index] as StageState;
  const history = stage.tasks.get(task)?.history;
  const probe = history ? restriction(stage, task, history).probe : undefined;
  return {
    type: 'attempt.started',
    attempt: {
      jobId: job.id,
      stageId: stage.id,
      task,
      attempt: (history?.attempts ?? 0) + 1,
    },
    workerId: seat.worker.id,
    ...(probe ? { probe } : {}),
    nowMs,
  };
}

/** When the next task that waits for its time may be placed; undefined when none waits. */
export function nextEligible(state: State, nowMs = -Infinity): number | undefined {
  let next: number | undefined;
  for (const job of state.jobs.values()) {
    if (job.phase.kind !== 'running') continue;
    for (const stage of job.stages) {
      const at = nextInHeap(stage, nowMs);
      if (at !== undefined && (next === undefined || at < next)) next = at;
    }
  }
  return next;
}

function nextInHeap(stage: StageState, nowMs: number): number | undefined {
  let next: number | undefined;
  const open = [0];
  while (open.length > 0) {
    const at = open.pop() as number;
    const entry = stage.waiting[at];
    if (!entry || (next !== undefined && entry.eligibleMs >= next)) continue;
    if (entry.eligibleMs > nowMs && isCurrent(stage, entry)) next = entry.eligibleMs;
    else open.push(2 * at + 1, 2 * at + 2);
  }
  return next;
}
