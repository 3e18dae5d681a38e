/**
 * What the end of an attempt means while chunks of its task are missing: stop the job, try again,
 * or take the task apart. The failure table in code. Never: touches workers.
 */
import { formatFailure, type Failure } from '../../shared/failure.js';
import type { JobPlan, StagePlan } from '../../shared/plan.js';
import type { Effect } from './effects.js';
import type { AttemptEnded } from './events.js';
import {
  chunkRange,
  deathsToIsolate,
  probeCrashed,
  probePassed,
  startBisecting,
} from './isolation.js';
import { notify, stop } from './job.js';
import { exhausted, isUsedUp, verdict } from './retry.js';
import { isChunkDone, missingChunks } from './stage.js';
import type { JobState, StageState, TaskState } from './state.js';

type Running = Extract<TaskState, { kind: 'running' }>;

/** Returns how long the task waits; it is of no account when the job has been stopped. */
export function judge(
  job: JobState,
  index: number,
  task: Running,
  event: AttemptEnded,
  effects: Effect[],
): number {
  const stage = job.stages[index] as StageState;
  const plan = job.plan.stages[index] as StagePlan;
  if (!event.failure) return endedWell(job, stage, task, event, effects);
  const failure = withStep(plan, job.plan, task.timedOut ? timedOut(event) : event.failure);
  task.history.lastFailure = failure;
  if (event.crashed && !task.timedOut) {
    retrying(job, event, failure, 0, effects);
    crashed(job, stage, plan, task, event, effects);
    if (job.phase.kind === 'running' && isUsedUp(task.history)) {
      const used = exhausted(failure, event.attempt);
      stop(job, { kind: 'failed', failure: used }, event.nowMs, effects);
    }
    return 0;
  }
  const next = verdict(failure, event.attempt, task.history, job.run);
  if (next.kind === 'stop') {
    stop(job, { kind: 'failed', failure: next.failure }, event.nowMs, effects);
    return 0;
  }
  if (next.counts) task.history.counted += 1;
  retrying(job, event, failure, next.waitMs, effects);
  return next.waitMs;
}

/** Steps have no part in what befalls a worker. */
const ofSteps: ReadonlySet<Failure['kind']> = new Set(['userCode', 'badData', 'resource', 'io']);

/** Workers know a query, and not the steps of the spec that it stands for. */
function withStep(stage: StagePlan, plan: JobPlan, failure: Failure): Failure {
  if (failure.at?.step !== undefined || !ofSteps.has(failure.kind)) return failure;
  const steps = stepsOf(stage, plan);
  return steps.length === 0
    ? failure
    : { ...failure, at: { step: steps.join(', '), ...failure.at } };
}

/** A stage that only writes rows again is about the step that made them. */
function stepsOf({ standsFor, program, input }: StagePlan, plan: JobPlan): readonly string[] {
  if (standsFor) return standsFor;
  if (program.steps.length > 0 || input.kind !== 'stage') return [];
  const below = plan.stages.find(({ id }) => id === input.stage);
  if (!below) return [];
  return below.standsFor ?? below.program.steps.slice(-1).map(({ id }) => id);
}

function endedWell(
  job: JobState,
  stage: StageState,
  task: Running,
  event: AttemptEnded,
  effects: Effect[],
): number {
  if (task.probe) {
    const inconclusive = probePassed(task.history, task.probe);
    if (inconclusive) {
      const data = { stage: stage.id, chunk: task.probe.chunk, found: false };
      notify(effects, job, 'isolated', event.nowMs, data);
    }
    return 0;
  }
  const left = task.only === undefined ? missingChunks(stage, event.attempt.task) : [task.only];
  const unreported = left.filter(
    (chunk) =>
      !isChunkDone(stage, chunk) &&
      !stage.lost.has(chunk) &&
      // Its report came, and was void.
      (stage.doneBy[chunk] ?? 0) < event.attempt.attempt,
  );
  if (unreported.length === 0) return 0;
  const { attempt } = event;
  const failure: Failure = {
    kind: 'broken',
    code: 'E_CHUNKS_MISSING',
    message: `attempt ${attempt.attempt} of task ${attempt.task} in stage ${stage.id} ended without failure but did not report ${unreported.length} chunks, the first is ${unreported[0]}`,
    hint: 'report this with the logs of its worker',
  };
  stop(job, { kind: 'failed', failure }, event.nowMs, effects);
  return 0;
}

/** A worker died under it: the first time it only becomes a suspect. */
function crashed(
  job: JobState,
  stage: StageState,
  plan: StagePlan,
  task: Running,
  event: AttemptEnded,
  effects: Effect[],
): void {
  const { history } = task;
  if (task.probe) {
    const row = probeCrashed(history, task.probe);
    if (row !== undefined) poisonRow(job, stage, plan, task.probe.chunk, row, event, effects);
  } else if (task.only !== undefined) {
    if (isChunkDone(stage, task.only)) return;
    const range = chunkRange(plan, task.only);
    if (range) startBisecting(history, task.only, range);
    else poisonChunk(job, stage, task.only, event, effects);
  } else if (task.alone) {
    history.deaths += 1;
    if (history.deaths < deathsToIsolate) return;
    const { task: number } = event.attempt;
    notify(effects, job, 'isolated', event.nowMs, { stage: stage.id, task: number });
  } else {
    history.alone = true;
  }
}

function poisonRow(
  job: JobState,
  stage: StageState,
  plan: StagePlan,
  chunk: number,
  row: number,
  event: AttemptEnded,
  effects: Effect[],
): void {
  const range = chunkRange(plan, chunk);
  const file = plan.input.kind === 'source' ? plan.input.files[range?.file ?? -1]?.path : undefined;
  const at = {
    ...(file !== undefined ? { file } : {}),
    ...(range ? { rowGroup: range.rowGroup } : {}),
    row,
  };
  const deadLetters = plan.program.steps.some(
    (step) => (step.kind === 'map' || step.kind === 'infer') && step.onError === 'deadLetter',
  );
  const data = { stage: stage.id, chunk, found: true, ...at, deadLettered: deadLetters };
  notify(effects, job, 'isolated', event.nowMs, data);
  if (deadLetters) {
    const rows = stage.poison.get(chunk);
    if (rows) rows.push(row);
    else stage.poison.set(chunk, [row]);
    return;
  }
  const failure: Failure = {
    kind: 'badData',
    code: 'E_POISON_ROW',
    message: `row ${row} of ${file ?? 'its file'} ends the worker process that computes it; last: ${event.failure ? formatFailure(event.failure) : 'unknown'}`,
    at,
    hint: 'remove that row, repair the function or model, or set onError: deadLetter on the step',
  };
  stop(job, { kind: 'failed', failure }, event.nowMs, effects);
}

function poisonChunk(
  job: JobState,
  stage: StageState,
  chunk: number,
  event: AttemptEnded,
  effects: Effect[],
): void {
  const failure: Failure = {
    kind: 'badData',
    code: 'E_POISON_CHUNK',
    message: `chunk ${chunk} of stage ${stage.id} ends every worker process that computes it`,
    hint: 'look at the logs of its workers; it may need more memory',
  };
  stop(job, { kind: 'failed', failure }, event.nowMs, effects);
}

function timedOut(event: AttemptEnded): Failure {
  const { attempt } = event;
  return {
    kind: 'resource',
    code: 'E_TASK_TIMEOUT',
    message: `attempt ${attempt.attempt} of task ${attempt.task} in stage ${attempt.stageId} took too long`,
    hint: 'raise run.taskTimeout, or look for what hangs',
  };
}

function retrying(
  job: JobState,
  event: AttemptEnded,
  failure: Failure,
  waitMs: number,
  effects: Effect[],
): void {
  job.counts.retries += 1;
  notify(effects, job, 'retry', event.nowMs, {
    stage: event.attempt.stageId,
    task: event.attempt.task,
    attempt: event.attempt.attempt,
    worker: event.workerId,
    kind: failure.kind,
    code: failure.code,
    message: failure.message,
    waitMs,
  });
}
