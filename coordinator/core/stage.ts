/**
 * One stage: which chunks are done and which tasks are still untouched. Never: knows workers.
 *
 *   blocked ──upstream done──> sizing ──stage.planned──> running ──last task done──> done
 *      ^                         │ │                        ^                          │
 *      └─query.planned: others ──┘ └──query.planned: final──┤                          │
 *        have to run first                                  │                          │
 *   source stages start here ───────────────────────────────┴──────chunk.lost──────────┘
 */
import type { StagePlan } from '../../shared/plan.js';
import { plannedChunkCount, stagesRead } from '../planner/exchange-chunks.js';
import type { StagePlanned } from './events.js';
import { IllegalTransition } from './illegal.js';
import type { JobState, StageState, TaskHistory } from './state.js';
import { pushWaiting } from './waiting.js';

/** A source stage is ready to run; a stage over a stage waits until that one is done. */
export function newStage(plan: StagePlan, reused: readonly number[]): StageState {
  const stage: StageState = {
    id: plan.id,
    phase: 'blocked',
    chunkCount: 0,
    taskStarts: [],
    chunksDone: new Uint8Array(0),
    chunksDoneCount: 0,
    doneBy: new Int32Array(0),
    lost: new Set(),
    losses: new Map(),
    tasksDone: 0,
    untouched: [],
    tasks: new Map(),
    waiting: [],
    lastAttempt: new Map(),
    poison: new Map(),
  };
  const chunks = plannedChunkCount(plan);
  if (chunks !== undefined) fill(stage, chunks, plan.taskStarts, reused);
  return stage;
}

export function stagePlanned(stage: StageState, event: StagePlanned): void {
  stage.groups = event.groups;
  fill(stage, event.groups.length, event.taskStarts, event.reused);
}

function fill(
  stage: StageState,
  chunks: number,
  starts: readonly number[],
  reused: readonly number[],
): void {
  checkStarts(stage, chunks, starts);
  stage.chunkCount = chunks;
  stage.taskStarts = starts;
  stage.chunksDone = new Uint8Array((chunks + 7) >> 3);
  stage.doneBy = new Int32Array(chunks);
  for (const chunk of reused) {
    if (isChunkDone(stage, chunk)) continue;
    setDone(stage, chunk);
    stage.chunksDoneCount += 1;
  }
  stage.untouched = reused.length === 0 ? wholeRange(starts.length) : unfinishedRanges(stage);
  const left = stage.untouched.reduce((sum, range) => sum + range.to - range.from, 0);
  stage.tasksDone = starts.length - left;
  stage.phase = left === 0 ? 'done' : 'running';
}

function checkStarts(stage: StageState, chunks: number, starts: readonly number[]): void {
  let last = -1;
  for (const start of starts) {
    if (start <= last || start >= chunks || (last === -1 && start !== 0)) last = chunks;
    else last = start;
  }
  if (last >= chunks || (chunks > 0 && starts.length === 0)) {
    throw new IllegalTransition(
      'a plan',
      `for stage ${stage.id}`,
      'its tasks do not cut its chunks',
    );
  }
}

function wholeRange(tasks: number): { from: number; to: number }[] {
  return tasks === 0 ? [] : [{ from: 0, to: tasks }];
}

function unfinishedRanges(stage: StageState): { from: number; to: number }[] {
  const ranges: { from: number; to: number }[] = [];
  for (let task = 0; task < stage.taskStarts.length; task += 1) {
    if (firstMissing(stage, task) === undefined) continue;
    const last = ranges.at(-1);
    if (last?.to === task) last.to += 1;
    else ranges.push({ from: task, to: task + 1 });
  }
  return ranges;
}

export function isChunkDone(stage: StageState, chunk: number): boolean {
  return ((stage.chunksDone[chunk >> 3] ?? 0) & (1 << (chunk & 7))) !== 0;
}

function setDone(stage: StageState, chunk: number): void {
  stage.chunksDone[chunk >> 3] = (stage.chunksDone[chunk >> 3] ?? 0) | (1 << (chunk & 7));
}

/** The chunks of a task: [from, to). */
export function taskChunks(stage: StageState, task: number): { from: number; to: number } {
  return {
    from: stage.taskStarts[task] ?? stage.chunkCount,
    to: stage.taskStarts[task + 1] ?? stage.chunkCount,
  };
}

export function taskOfChunk(stage: StageState, chunk: number): number {
  let low = 0;
  let high = stage.taskStarts.length;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((stage.taskStarts[middle] as number) <= chunk) low = middle;
    else high = middle;
  }
  return low;
}

export function firstMissing(stage: StageState, task: number): number | undefined {
  const { from, to } = taskChunks(stage, task);
  for (let chunk = from; chunk < to; chunk += 1) if (!isChunkDone(stage, chunk)) return chunk;
  return undefined;
}

/** Chunks of a task that are not done, ascending. */
export function missingChunks(stage: StageState, task: number): number[] {
  const { from, to } = taskChunks(stage, task);
  const missing: number[] = [];
  for (let chunk = from; chunk < to; chunk += 1)
    if (!isChunkDone(stage, chunk)) missing.push(chunk);
  return missing;
}

/** What the attempt now running has to do: a probe's or a restricted attempt's one chunk, or all. */
export function attemptChunks(stage: StageState, task: number): number[] {
  const state = stage.tasks.get(task);
  if (state?.kind === 'running') {
    if (state.probe) return [state.probe.chunk];
    if (state.only !== undefined) return isChunkDone(stage, state.only) ? [] : [state.only];
  }
  return missingChunks(stage, task);
}

export function markDone(stage: StageState, chunk: number, attempt: number): void {
  setDone(stage, chunk);
  stage.chunksDoneCount += 1;
  stage.doneBy[chunk] = attempt;
  stage.lost.delete(chunk);
}

/** Opens a done chunk again; `doneBy` keeps its old winner, whose report is void from now on. */
export function markLost(stage: StageState, chunk: number): void {
  stage.chunksDone[chunk >> 3] = (stage.chunksDone[chunk >> 3] ?? 0) & ~(1 << (chunk & 7));
  stage.chunksDoneCount -= 1;
  stage.lost.add(chunk);
}

/** Nothing that an attempt so far has yet to report of this chunk counts. */
export function voidReports(stage: StageState, chunk: number, attempts: number): void {
  const used = stage.lastAttempt.get(taskOfChunk(stage, chunk)) ?? 0;
  stage.doneBy[chunk] = Math.max(stage.doneBy[chunk] ?? 0, attempts, used);
}

export function isUntouched(stage: StageState, task: number): boolean {
  return rangeOf(stage, task) !== undefined;
}

/** Takes a task out of the untouched ranges. */
export function touch(stage: StageState, task: number): TaskHistory {
  const at = rangeOf(stage, task) as number;
  const range = stage.untouched[at] as { from: number; to: number };
  if (range.from === task) {
    range.from += 1;
    if (range.from === range.to) stage.untouched.splice(at, 1);
  } else {
    const rest = { from: task + 1, to: range.to };
    range.to = task;
    if (rest.from < rest.to) stage.untouched.splice(at + 1, 0, rest);
  }
  return newHistory(stage, task, 0);
}

function rangeOf(stage: StageState, task: number): number | undefined {
  let low = 0;
  let high = stage.untouched.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const range = stage.untouched[middle] as { from: number; to: number };
    if (task < range.from) high = middle;
    else if (task >= range.to) low = middle + 1;
    else return middle;
  }
  return undefined;
}

function newHistory(stage: StageState, task: number, attempts: number): TaskHistory {
  const { from, to } = taskChunks(stage, task);
  let missing = 0;
  for (let chunk = from; chunk < to; chunk += 1) if (!isChunkDone(stage, chunk)) missing += 1;
  return { attempts, missing, counted: 0, deaths: 0, alone: false };
}

/** A finished task is forgotten, but for the numbers its attempts used up. */
export function retire(stage: StageState, task: number, history: TaskHistory): void {
  stage.tasks.delete(task);
  if (history.attempts > 1) stage.lastAttempt.set(task, history.attempts);
}

/** Brings a finished task back because one of its chunks was lost. */
export function revive(stage: StageState, task: number, nowMs: number): void {
  const { from, to } = taskChunks(stage, task);
  let attempts = stage.lastAttempt.get(task) ?? 0;
  for (let chunk = from; chunk < to; chunk += 1) {
    attempts = Math.max(attempts, stage.doneBy[chunk] ?? 0);
  }
  stage.lastAttempt.delete(task);
  const history = newHistory(stage, task, attempts);
  stage.tasks.set(task, { kind: 'waiting', eligibleMs: nowMs, history });
  pushWaiting(stage, task, nowMs);
}

/** Whether the stage's tasks may be placed: it runs, and all it reads is there. */
export function mayRun(job: JobState, index: number): boolean {
  if (job.stages[index]?.phase !== 'running') return false;
  return upstreamDone(job, index);
}

export function upstreamDone(job: JobState, index: number): boolean {
  return upstreamsOf(job, index).every((upstream) => upstream.phase === 'done');
}

/** Stages that must be done before this one can go on; of a query also those it had added. */
export function upstreamsOf(job: JobState, index: number): StageState[] {
  const plan = job.plan.stages[index];
  if (!plan || plan.input.kind === 'source' || plan.input.kind === 'empty') return [];
  const read = new Set(stagesRead(plan));
  const isQuery = plan.input.kind === 'query';
  return job.stages.filter(
    ({ id }, at) => read.has(id) || (isQuery && job.plan.stages[at]?.part?.of === plan.id),
  );
}

export function stageIndex(job: JobState, id: string): number {
  const { stages } = job;
  for (let index = 0; index < stages.length; index += 1) if (stages[index]?.id === id) return index;
  return -1;
}
