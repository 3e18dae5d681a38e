/** Jobs and workers as users see them, derived from the state. Never: changes it, reads a clock. */
import type { Failure } from '../../shared/failure.js';
import type { JobStateName, JobView, RowTotals, WorkerView } from '../../shared/views.js';
import { isEnded, type JobState, type StageState, type WorkerState } from './state.js';

/** What is known of a job's progress beyond its finished chunks. */
export interface Pace {
  /** Rows done, those inside unfinished chunks included. */
  readonly rowsDone?: number;
  readonly rowsPerSecond: number;
}

/** @param nowMs for the average pace, which stands in when `pace` is absent */
export function jobView(job: JobState, nowMs: number, pace?: Pace): JobView {
  const { counts, phase } = job;
  const failure = failureOf(job);
  return {
    job: job.id,
    name: job.name,
    state: stateName(job),
    submittedAt: new Date(job.submittedMs).toISOString(),
    ...(job.endedMs !== undefined ? { endedAt: new Date(job.endedMs).toISOString() } : {}),
    rows: rowTotals(job),
    rowsInferred: counts.rowsInferred,
    rowsReused: counts.rowsReused,
    upToDate: phase.kind === 'succeeded' && phase.summary.upToDate,
    progress: progress(job, nowMs, pace),
    stages: job.stages.map(stageView),
    outputs: outputs(job),
    warnings: { ...job.warnings },
    retries: counts.retries,
    ...(failure ? { failure } : {}),
  };
}

export function stateName(job: JobState): JobStateName {
  const { phase } = job;
  switch (phase.kind) {
    case 'running':
      return job.startedMs === undefined ? 'queued' : 'running';
    case 'cancelled':
      return phase.reason.startsWith('superseded') ? 'superseded' : 'cancelled';
    case 'stopping':
    case 'committing':
    case 'succeeded':
    case 'failed':
      return phase.kind;
  }
}

function rowTotals(job: JobState): RowTotals {
  if (job.phase.kind === 'succeeded') return job.phase.summary.rows;
  const { rowsDone, out, filtered, dead } = job.counts;
  return { in: rowsDone, out, filtered, deadLettered: dead };
}

function failureOf(job: JobState): Failure | undefined {
  const { phase } = job;
  if (phase.kind === 'failed') return phase.failure;
  if (phase.kind === 'stopping' && phase.outcome.kind === 'failed') return phase.outcome.failure;
  return undefined;
}

function progress(job: JobState, nowMs: number, pace: Pace | undefined): JobView['progress'] {
  const { counts } = job;
  const rowsDone = Math.min(counts.rowsTotal, Math.max(counts.rowsDone, pace?.rowsDone ?? 0));
  const perSecond = pace?.rowsPerSecond ?? average(job, nowMs);
  const left = counts.rowsTotal - rowsDone;
  // A pace is worth telling once a chunk is done in this run: the first rows come slowly.
  const worked = counts.rowsDone > counts.rowsReused + counts.rowsPruned;
  const eta =
    perSecond > 0 && worked && !isEnded(job.phase) ? Math.ceil(left / perSecond) : undefined;
  return {
    rowsDone,
    rowsTotal: counts.rowsTotal,
    rowsPerSecond: Math.round(perSecond),
    chunksDone: counts.chunksDone,
    chunksTotal: counts.chunksTotal,
    ...(eta !== undefined ? { etaSeconds: eta } : {}),
    tasksRunning: job.running,
  };
}

/** Rows per second over the whole run, without what was reused or pruned. */
function average(job: JobState, nowMs: number): number {
  const { rowsDone, rowsReused, rowsPruned } = job.counts;
  const elapsedMs = (job.endedMs ?? nowMs) - (job.startedMs ?? nowMs);
  return elapsedMs > 0 ? ((rowsDone - rowsReused - rowsPruned) * 1000) / elapsedMs : 0;
}

function stageView(stage: StageState): JobView['stages'][number] {
  let tasksRunning = 0;
  for (const task of stage.tasks.values()) if (task.kind === 'running') tasksRunning += 1;
  return {
    id: stage.id,
    state: stage.phase,
    tasks: stage.taskStarts.length,
    tasksDone: stage.tasksDone,
    tasksRunning,
    chunks: stage.chunkCount,
    chunksDone: stage.chunksDoneCount,
  };
}

function outputs(job: JobState): JobView['outputs'] {
  if (job.phase.kind === 'succeeded') return job.phase.summary.outputs;
  return job.plan.outputs.map(({ name, path }) => ({ name, path }));
}

export function workerView(worker: WorkerState, rssBytes = 0): WorkerView {
  return {
    worker: worker.id,
    state: worker.phase,
    host: worker.host,
    pid: worker.pid,
    pools: worker.pools,
    slots: worker.slots,
    busy: Math.min(worker.slots, worker.attempts.size),
    devices: worker.devices,
    rssBytes,
  };
}
