/**
 * One task and its attempts. A task is done when all its chunks are, whoever did them. Never:
 * chooses a worker (scheduling/placement.ts) or how long to wait (retry.ts).
 *
 *   untouched ──attempt.started──> running ──attempt.ended, all chunks done──> (forgotten)
 *                                   │   ^                                         │
 *                     attempt.ended │   │ attempt.started                         │ chunk.lost
 *                                   v   │                                         │
 *                                  waiting <──────────────────────────────────────┘
 */
import type { Failure } from '../../shared/failure.js';
import type { AttemptRef } from '../../shared/ids.js';
import { attemptKey } from '../../shared/ids.js';
import { limits } from '../../shared/limits.js';
import type { StagePlan } from '../../shared/plan.js';
import type { Effect } from './effects.js';
import type {
  AttemptEnded,
  AttemptStarted,
  AttemptTimedOut,
  ChunkDone,
  ChunkLost,
} from './events.js';
import { IllegalTransition } from './illegal.js';
import { isIsolated, restriction } from './isolation.js';
import { advance, capDeadLetters, endIfStill, notify, notifyStage, stop } from './job.js';
import { judge } from './judge.js';
import {
  isChunkDone,
  isUntouched,
  markDone,
  markLost,
  mayRun,
  retire,
  revive,
  stageIndex,
  taskChunks,
  taskOfChunk,
  touch,
  upstreamsOf,
  voidReports,
} from './stage.js';
import { isEnded, type JobState, type StageState, type State, type TaskState } from './state.js';
import { pushWaiting, trimWaiting } from './waiting.js';

export type Running = Extract<TaskState, { kind: 'running' }>;

export function attemptStarted(state: State, event: AttemptStarted, effects: Effect[]): void {
  const ref = event.attempt;
  const { job, stage, index } = locate(state, ref);
  const refuse = (why: string): never => {
    throw new IllegalTransition(event.type, `for ${attemptKey(ref)}`, why);
  };
  if (!job || !stage) return refuse('there is no such stage');
  if (job.phase.kind !== 'running' || !mayRun(job, index)) return refuse('it is not running');
  const before = stage.tasks.get(ref.task);
  if (before?.kind === 'running') return refuse('the task runs already');
  if (!before && !isUntouched(stage, ref.task)) return refuse('the task is done');
  if (ref.attempt !== (before?.history.attempts ?? 0) + 1) return refuse('its number is not next');

  // A replayed state knows no workers; where one is known, placement has looked at it just now.
  const worker = state.workers.get(event.workerId);
  if (worker && worker.phase !== 'connected') return refuse(`its worker is ${worker.phase}`);

  const history = before?.history ?? touch(stage, ref.task);
  history.attempts = ref.attempt;
  const { only } = event.probe ? {} : restriction(stage, ref.task, history);
  stage.tasks.set(ref.task, {
    kind: 'running',
    attempt: ref.attempt,
    workerId: event.workerId,
    startedMs: event.nowMs,
    cancelling: false,
    timedOut: false,
    alone: history.alone,
    ...(event.probe ? { probe: event.probe } : {}),
    ...(only !== undefined ? { only } : {}),
    history,
  });
  if (before) trimWaiting(stage);
  job.running += 1;
  if (job.startedMs === undefined) {
    job.startedMs = event.nowMs;
    notify(effects, job, 'started', event.nowMs, { worker: event.workerId });
  }
  if (worker) {
    worker.attempts.set(attemptKey(ref), ref);
    if (history.alone) worker.exclusive = true;
  }
  effects.push({ type: 'dispatch', attempt: ref, workerId: event.workerId });
}

export function chunkDone(state: State, event: ChunkDone, effects: Effect[]): void {
  const ref = event.attempt;
  const { job, stage, index } = locate(state, ref);
  // An archived job's chunk may be a report repeated after a restart: its file may be in use.
  if (!job || !stage) return;
  const { from, to } = taskChunks(stage, ref.task);
  if (event.chunk < from || event.chunk >= to) {
    throw new IllegalTransition(
      event.type,
      `for ${attemptKey(ref)}`,
      `chunk ${event.chunk} is not its`,
    );
  }
  const winner = stage.doneBy[event.chunk] ?? 0;
  if (isChunkDone(stage, event.chunk)) {
    // The winner's own report again is a redelivery: those files stay. A reused chunk has none.
    if (winner !== 0 && winner !== ref.attempt) discard(event, effects);
    return;
  }
  if (isEnded(job.phase)) return;
  // What these attempts report was lost, or stands on what was.
  if (ref.attempt <= winner) {
    if (ref.attempt !== winner) discard(event, effects);
    return;
  }
  const again = stage.lost.has(event.chunk);
  const task = stage.tasks.get(ref.task);
  if (!task || ref.attempt > task.history.attempts) return;

  markDone(stage, event.chunk, ref.attempt);
  task.history.missing -= 1;
  if (!isIsolated(task.history)) task.history.deaths = 0;
  count(job, index, event, again);
  if (task.history.missing === 0) taskDone(job, stage, ref, task, effects);
  capDeadLetters(job, event.nowMs, effects);
  if (stage.phase === 'running' && stage.tasksDone === stage.taskStarts.length) {
    stage.phase = 'done';
    notifyStage(effects, job, stage, event.nowMs);
    advance(job, effects);
  }
}

function discard(event: ChunkDone, effects: Effect[]): void {
  const { files, deadLetters } = event.record;
  const paths = [...files, ...(deadLetters ? [deadLetters] : [])].map((file) => file.path);
  if (paths.length > 0) {
    effects.push({ type: 'discardFiles', workerId: event.workerId, paths });
  }
}

/** @param again the chunk was counted before it was lost: its rows count once */
function count(job: JobState, index: number, event: ChunkDone, again: boolean): void {
  const { counts } = event.record;
  job.counts.rowsInferred += counts.inferred;
  job.counts.chunksDone += 1;
  if (again) return;
  const plan = job.plan.stages[index];
  if (plan) job.counts.rowsDone += sourceRows(plan, counts.rowsIn);
  if (job.plan.outputs.some((output) => output.stage === plan?.id))
    job.counts.out += counts.rowsOut;
  job.counts.filtered += counts.filtered;
  job.counts.dead += counts.dead;
  for (const check in counts.warnings) {
    job.warnings[check] = (job.warnings[check] ?? 0) + (counts.warnings[check] ?? 0);
  }
}

/** Of the rows that entered a chunk, those that a job's progress is counted by: rows of sources. */
export function sourceRows({ input, rows }: StagePlan, rowsIn: number): number {
  if (input.kind === 'source') return rowsIn;
  if (input.kind !== 'exchange') return 0;
  const { driving } = input;
  if (driving.kind === 'split') return driving.table.kind === 'source' ? rowsIn : 0;
  return driving.kind === 'once' ? Math.min(rows, rowsIn) : 0;
}

function taskDone(
  job: JobState,
  stage: StageState,
  by: AttemptRef,
  task: TaskState,
  effects: Effect[],
): void {
  stage.tasksDone += 1;
  if (task.kind === 'waiting') {
    retire(stage, by.task, task.history);
    trimWaiting(stage);
  } else if (task.attempt !== by.attempt && !task.cancelling) {
    task.cancelling = true;
    effects.push({
      type: 'cancelAttempt',
      attempt: { jobId: job.id, stageId: stage.id, task: by.task, attempt: task.attempt },
      workerId: task.workerId,
      reason: 'an earlier attempt finished the task',
    });
  }
}

/** Also what a lost worker means for each of its attempts. Ends of attempts unknown are ignored. */
export function attemptEnded(state: State, event: AttemptEnded, effects: Effect[]): void {
  const ref = event.attempt;
  const worker = state.workers.get(event.workerId);
  if (worker?.attempts.delete(attemptKey(ref)) && worker.attempts.size === 0) {
    worker.exclusive = false;
  }
  const { job, stage, index } = locate(state, ref);
  const task = stage?.tasks.get(ref.task);
  if (!job || !stage || task?.kind !== 'running' || task.attempt !== ref.attempt) return;
  job.running -= 1;
  if (task.history.missing === 0) {
    retire(stage, ref.task, task.history);
  } else {
    const waitMs = job.phase.kind === 'running' ? judge(job, index, task, event, effects) : 0;
    const eligibleMs = event.nowMs + waitMs;
    stage.tasks.set(ref.task, { kind: 'waiting', eligibleMs, history: task.history });
    pushWaiting(stage, ref.task, eligibleMs);
  }
  endIfStill(job, event.nowMs, effects);
}

export function attemptTimedOut(state: State, event: AttemptTimedOut, effects: Effect[]): void {
  const running = runningTask(state, event.attempt);
  if (!running || running.cancelling || running.history.missing === 0) return;
  running.cancelling = true;
  running.timedOut = true;
  const { attempt } = event;
  effects.push({
    type: 'cancelAttempt',
    attempt,
    workerId: running.workerId,
    reason: 'task timeout',
  });
}

export function chunkLost(state: State, event: ChunkLost, effects: Effect[]): void {
  const job = state.jobs.get(event.jobId);
  if (!job || isEnded(job.phase) || job.phase.kind === 'stopping') return;
  // What is frozen is published or fails as a whole.
  if (job.phase.kind === 'committing' && job.phase.manifests) return;
  const stage = job.stages[stageIndex(job, event.stageId)];
  if (!stage || event.chunk >= stage.chunkCount) return;
  const number = taskOfChunk(stage, event.chunk);
  const task = stage.tasks.get(number);
  if (event.stale) voidReports(stage, event.chunk, task?.history.attempts ?? 0);
  if (!isChunkDone(stage, event.chunk)) return;
  markLost(stage, event.chunk);
  job.counts.chunksDone -= 1;
  if (task) {
    if (task.history.missing === 0) stage.tasksDone -= 1;
    task.history.missing += 1;
  } else if (!isUntouched(stage, number)) {
    stage.tasksDone -= 1;
    revive(stage, number, event.nowMs);
  }
  if (stage.phase === 'done' && stage.tasksDone < stage.taskStarts.length) {
    stage.phase = 'running';
    if (job.phase.kind === 'committing') job.phase = { kind: 'running' };
    blockReaders(job, stage);
    notifyStage(effects, job, stage, event.nowMs);
  }
  if (!event.stale) countLoss(job, stage, event, effects);
}

/** Sizes of chunks are asked for again when all are there again. */
function blockReaders(job: JobState, lost: StageState): void {
  job.stages.forEach((stage, index) => {
    if (stage.phase === 'sizing' && upstreamsOf(job, index).includes(lost)) stage.phase = 'blocked';
  });
}

/** Something that takes chunks away again and again must not keep a job busy for ever. */
function countLoss(job: JobState, stage: StageState, event: ChunkLost, effects: Effect[]): void {
  const losses = (stage.losses.get(event.chunk) ?? 0) + 1;
  stage.losses.set(event.chunk, losses);
  if (losses <= limits.lossesPerChunk) return;
  const failure: Failure = {
    kind: 'io',
    code: 'E_CHUNK_LOST',
    message: `chunk ${event.chunk} of stage ${stage.id} was finished ${losses} times, and each time its files were removed or changed`,
    at: { file: job.plan.chunkLocation },
    hint: 'look for what removes or changes files in that directory, or name another with checkpoints.location',
  };
  stop(job, { kind: 'failed', failure }, event.nowMs, effects);
}

/** The attempt as it runs now; undefined when it is unknown, ended or superseded. */
export function runningTask(state: State, ref: AttemptRef): Running | undefined {
  const task = locate(state, ref).stage?.tasks.get(ref.task);
  return task?.kind === 'running' && task.attempt === ref.attempt ? task : undefined;
}

function locate(
  state: State,
  ref: AttemptRef,
): { job: JobState | undefined; stage: StageState | undefined; index: number } {
  const job = state.jobs.get(ref.jobId);
  const index = job ? stageIndex(job, ref.stageId) : -1;
  return { job, stage: job?.stages[index], index };
}
