/**
 * One job, from acceptance to its end. Never: knows workers, or what a task goes through.
 *
 *             all stages done              commit.frozen             commit.done
 *   running ──────────────────> committing ─────────────> committing ───────────> succeeded
 *      │  ^                      │   │                    (frozen:     job.failed
 *      │  └─────chunk.lost───────┘   │                    no cancel) ───────────┐
 *      │ job.failed, job.cancel      │ job.failed, job.cancel                   │
 *      └────────────> stopping <─────┴──────────────────────────────────────────┘
 *                        └── no attempt runs any more ──> failed | cancelled
 */
import type { StagePlan } from '../../shared/plan.js';
import { deadLetterFailure } from './dead-letter-cap.js';
import type { Effect } from './effects.js';
import type {
  CommitDone,
  CommitFrozen,
  JobCancelRequested,
  JobFailed,
  JobSubmitted,
  QueryPlanned,
  StagePlanned,
} from './events.js';
import { IllegalTransition } from './illegal.js';
import { newStage, stageIndex, stagePlanned, upstreamDone } from './stage.js';
import { isEnded, type JobPhase, type JobState, type StageState, type State } from './state.js';

type Outcome = Extract<JobPhase, { kind: 'stopping' }>['outcome'];

export function jobSubmitted(state: State, event: JobSubmitted, effects: Effect[]): void {
  if (state.jobs.has(event.jobId)) {
    throw new IllegalTransition(event.type, `for job ${event.jobId}`, 'it exists');
  }
  const reused = new Map(event.reused.map((entry) => [entry.stageId, entry.chunks]));
  const stages = event.plan.stages.map((plan) => newStage(plan, reused.get(plan.id) ?? []));
  const seed = event.counts;
  const job: JobState = {
    id: event.jobId,
    requestId: event.requestId,
    name: event.name,
    spec: event.spec,
    plan: event.plan,
    run: event.run,
    ...(event.before ? { before: event.before } : {}),
    submittedMs: event.nowMs,
    phase: { kind: 'running' },
    stages,
    counts: {
      rowsTotal: seed.rowsTotal,
      rowsReused: seed.rowsReused,
      rowsPruned: seed.rowsPruned,
      rowsInferred: 0,
      rowsDone: seed.rowsPruned + seed.rowsReused,
      out: seed.reusedOut,
      filtered: seed.rowsPruned + seed.reusedFiltered,
      dead: seed.reusedDead,
      chunksDone: sum(stages, (stage) => stage.chunksDoneCount),
      chunksTotal: sum(stages, (stage) => stage.chunkCount),
      retries: 0,
    },
    running: 0,
    warnings: {},
  };
  state.jobs.set(job.id, job);
  notify(effects, job, 'submitted', event.nowMs, {
    name: job.name,
    rowsTotal: seed.rowsTotal,
    rowsReused: seed.rowsReused,
    chunksTotal: job.counts.chunksTotal,
    chunksReused: job.counts.chunksDone,
  });
  capDeadLetters(job, event.nowMs, effects);
  advance(job, effects);
}

function sum(stages: readonly StageState[], of: (stage: StageState) => number): number {
  return stages.reduce((total, stage) => total + of(stage), 0);
}

export function jobStagePlanned(state: State, event: StagePlanned, effects: Effect[]): void {
  const asked = sizing(state, event, 'stage');
  if (!asked) return;
  const { job, stage } = asked;
  stagePlanned(stage, event);
  job.counts.chunksTotal += stage.chunkCount;
  job.counts.chunksDone += stage.chunksDoneCount;
  notifyStage(effects, job, stage, event.nowMs);
  advance(job, effects);
}

/** Stages that a query needs stand before its own, which is laid out when they are done. */
export function jobQueryPlanned(state: State, event: QueryPlanned, effects: Effect[]): void {
  const asked = sizing(state, event, 'query');
  if (!asked) return;
  const { job, stage: own, plan, index } = asked;
  const { final } = event;
  if (!final && event.stages.length === 0) {
    throw new IllegalTransition(event.type, `for stage ${event.stageId}`, 'it plans nothing');
  }
  // These were added when this was answered before; what follows them is asked for by itself.
  if (event.stages.some(({ id }) => stageIndex(job, id) >= 0)) return;
  const reused = new Map(event.reused.map(({ stageId, chunks }) => [stageId, chunks]));
  const planned = [...event.stages, ...(final ? [final] : [])];
  const added = planned.map((each) => newStage(each, reused.get(each.id) ?? []));
  const expected = rowsExpected(job, plan);
  const plans = final ? planned : [...planned, plan];
  job.plan = { ...job.plan, stages: job.plan.stages.toSpliced(index, 1, ...plans) };
  job.stages.splice(index, 1, ...added, ...(final ? [] : [own]));
  if (!final) own.phase = 'blocked';
  job.counts.chunksTotal += sum(added, (stage) => stage.chunkCount);
  job.counts.chunksDone += sum(added, (stage) => stage.chunksDoneCount);
  job.counts.rowsReused += event.rowsReused;
  job.counts.rowsDone += event.rowsReused;
  job.counts.rowsTotal += rowsExpected(job, final ?? plan) - expected;
  for (const { kind, step, text } of event.notes) {
    notify(effects, job, 'note', event.nowMs, { kind, text, ...(step ? { step } : {}) });
  }
  for (const stage of added) notifyStage(effects, job, stage, event.nowMs);
  advance(job, effects);
}

/**
 * The stage that an answer is about. Undefined where nobody asks any more: it was answered already,
 * or one of the chunks was lost since, and it is asked again.
 */
function sizing(
  state: State,
  { type, jobId, stageId }: StagePlanned | QueryPlanned,
  kind: 'stage' | 'query',
): { job: JobState; stage: StageState; plan: StagePlan; index: number } | undefined {
  const job = state.jobs.get(jobId);
  if (!job || isEnded(job.phase) || job.phase.kind === 'stopping') return undefined;
  const index = stageIndex(job, stageId);
  const stage = job.stages[index];
  const plan = job.plan.stages[index];
  if (!stage || !plan) {
    throw new IllegalTransition(type, `for stage ${stageId}`, 'nobody asked for it');
  }
  if (stage.phase !== 'sizing') return undefined;
  if (plan.input.kind !== kind) {
    throw new IllegalTransition(type, `for stage ${stageId}`, `it reads a ${plan.input.kind}`);
  }
  return { job, stage, plan, index };
}

/**
 * Rows of sources that a query's stages read chunk by chunk. Until the last of them is known, each
 * source is expected once, unless the others read more already.
 */
function rowsExpected(job: JobState, own: StagePlan): number {
  const parts = job.plan.stages.filter(({ part }) => part?.of === own.id);
  const read = parts.reduce((rows, stage) => rows + stage.rows, 0);
  return own.input.kind === 'query' ? Math.max(own.rows, read) : read + own.rows;
}

export function jobCancel(state: State, event: JobCancelRequested, effects: Effect[]): void {
  const job = state.jobs.get(event.jobId);
  if (!job || isEnded(job.phase) || job.phase.kind === 'stopping') return;
  if (job.phase.kind === 'committing' && job.phase.manifests) {
    notify(effects, job, 'cancelRefused', event.nowMs, { reason: 'the output is being published' });
    return;
  }
  const reason =
    event.reason === 'superseded' ? `superseded by ${event.by ?? 'a newer job'}` : 'user';
  stop(job, { kind: 'cancelled', reason }, event.nowMs, effects);
}

export function jobFailed(state: State, event: JobFailed, effects: Effect[]): void {
  const job = state.jobs.get(event.jobId);
  if (!job || isEnded(job.phase) || job.phase.kind === 'stopping') return;
  stop(job, { kind: 'failed', failure: event.failure }, event.nowMs, effects);
}

export function commitFrozen(state: State, event: CommitFrozen, effects: Effect[]): void {
  const job = state.jobs.get(event.jobId);
  // Frozen for a job that was cancelled, or lost a chunk, in the meantime: void.
  if (job?.phase.kind !== 'committing' || job.phase.manifests) return;
  job.phase = { kind: 'committing', manifests: event.manifests };
  notify(effects, job, 'committing', event.nowMs, {
    outputs: event.manifests.map((m) => m.output),
  });
  effects.push({ type: 'publish', jobId: job.id });
}

export function commitDone(state: State, event: CommitDone, effects: Effect[]): void {
  const job = state.jobs.get(event.jobId);
  if (!job || job.phase.kind === 'succeeded') return;
  if (job.phase.kind !== 'committing' || !job.phase.manifests) {
    throw new IllegalTransition(event.type, `while ${job.phase.kind}`, 'no manifest is frozen');
  }
  job.phase = { kind: 'succeeded', summary: event.summary };
  job.endedMs = event.nowMs;
  notify(effects, job, 'result', event.nowMs, {
    state: 'succeeded',
    rows: event.summary.rows,
    rowsInferred: job.counts.rowsInferred,
    rowsReused: job.counts.rowsReused,
    upToDate: event.summary.upToDate,
    outputs: event.summary.outputs,
  });
  effects.push({ type: 'jobEnded', jobId: job.id });
}

/** Moves on after stages have come to their end: downstream stages, then the commit. */
export function advance(job: JobState, effects: Effect[]): void {
  if (job.phase.kind !== 'running') return;
  let done = 0;
  for (let index = 0; index < job.stages.length; index += 1) {
    const stage = job.stages[index] as StageState;
    if (stage.phase === 'done') done += 1;
    if (stage.phase !== 'blocked' || !upstreamDone(job, index)) continue;
    stage.phase = 'sizing';
    effects.push({ type: 'planStage', jobId: job.id, stageId: stage.id });
  }
  if (done < job.stages.length) return;
  job.phase = { kind: 'committing' };
  effects.push({ type: 'freezeCommit', jobId: job.id });
}

/** Cancels what runs; the job ends when nothing does. */
export function stop(job: JobState, outcome: Outcome, nowMs: number, effects: Effect[]): void {
  job.phase = { kind: 'stopping', outcome };
  for (const stage of job.stages) {
    for (const [task, running] of stage.tasks) {
      if (running.kind !== 'running' || running.cancelling) continue;
      running.cancelling = true;
      const attempt = { jobId: job.id, stageId: stage.id, task, attempt: running.attempt };
      const reason = outcome.kind === 'failed' ? outcome.failure.code : outcome.reason;
      effects.push({ type: 'cancelAttempt', attempt, workerId: running.workerId, reason });
    }
  }
  endIfStill(job, nowMs, effects);
}

export function endIfStill(job: JobState, nowMs: number, effects: Effect[]): void {
  if (job.phase.kind !== 'stopping' || job.running > 0) return;
  const { outcome } = job.phase;
  job.endedMs = nowMs;
  job.phase = outcome;
  if (outcome.kind === 'failed') {
    notify(effects, job, 'failure', nowMs, { failure: outcome.failure });
  } else {
    notify(effects, job, 'cancelled', nowMs, { reason: outcome.reason });
  }
  effects.push({ type: 'jobEnded', jobId: job.id });
}

/** Fails the job when more rows are dead letters than its spec allows. */
export function capDeadLetters(job: JobState, nowMs: number, effects: Effect[]): void {
  if (job.phase.kind !== 'running' || job.counts.dead === 0) return;
  const { dead } = job.counts;
  const failure = deadLetterFailure(dead, job.plan);
  if (!failure) return;
  notify(effects, job, 'deadLetters', nowMs, { rows: dead });
  stop(job, { kind: 'failed', failure }, nowMs, effects);
}

export function notifyStage(
  effects: Effect[],
  job: JobState,
  stage: StageState,
  nowMs: number,
): void {
  notify(effects, job, 'stage', nowMs, {
    stage: stage.id,
    state: stage.phase,
    tasks: stage.taskStarts.length,
    tasksDone: stage.tasksDone,
    chunks: stage.chunkCount,
    chunksDone: stage.chunksDoneCount,
  });
}

export function notify(
  effects: Effect[],
  job: JobState,
  kind: string,
  timeMs: number,
  data: Readonly<Record<string, unknown>>,
): void {
  effects.push({ type: 'notify', jobId: job.id, kind, timeMs, data });
}
