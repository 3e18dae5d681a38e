/**
 * Counts what happens: looks at each event as the core applies it. Never: changes the state, or what
 * becomes of an event; replayed events are not seen, so counts begin with the process.
 */
import { Counter, Histogram, type Registry } from 'prom-client';
import type { JobId } from '../../shared/ids.js';
import type { Effect } from '../core/effects.js';
import type { AttemptEnded, AttemptStarted, ChunkDone, Event } from '../core/events.js';
import { stageIndex } from '../core/stage.js';
import type { JobState, StageState, State } from '../core/state.js';
import { sourceRows } from '../core/task.js';
import { transition } from '../core/transition.js';
import { stateName } from '../core/views.js';
import { endedRunStates, endedStates, failureKinds } from './labels.js';
import { LeaseCounts, leaseEnds } from './lease-counts.js';
import { RunCounts } from './run-counts.js';

/** From a tenth of a second to a day. */
const longSeconds = [0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600, 14_400, 86_400];
/** From a millisecond to an hour. */
const waitSeconds = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600];

export class EventCounts {
  /** When each stage could run first, as far as this process has seen it. */
  private readonly readyMs = new WeakMap<StageState, number>();
  private readonly counts: ReturnType<typeof metrics>;
  private readonly runs: RunCounts;
  private readonly leases: LeaseCounts;

  constructor(registry: Registry) {
    this.counts = metrics(registry);
    this.runs = new RunCounts(this.counts.runsEnded, this.counts.scheduleLag);
    this.leases = new LeaseCounts(this.counts.leasesGranted, this.counts.leasesEnded);
  }

  /** The core's `transition`, looked at. */
  readonly transition = (state: State, event: Event): Effect[] => {
    const job = 'jobId' in event ? state.jobs.get(event.jobId) : jobOfAttempt(state, event);
    const chunksBefore = job?.counts.chunksDone ?? 0;
    const waited = event.type === 'attempt.started' ? this.waitedMs(job, event) : undefined;
    this.leases.look(state, event);
    const runsSeen = this.runs.look(state, event);
    const effects = transition(state, event);
    runsSeen();
    this.see(state, event, waited);
    if (event.type === 'chunk.done' && job && job.counts.chunksDone > chunksBefore) {
      this.chunkDone(job, event);
    }
    for (const effect of effects) this.follows(state, effect, event.nowMs);
    return effects;
  };

  private see(state: State, event: Event, waitedMs: number | undefined): void {
    const { counts } = this;
    switch (event.type) {
      case 'job.submitted': {
        const job = state.jobs.get(event.jobId);
        counts.submitted.inc();
        counts.chunksReused.inc(job?.counts.chunksDone ?? 0);
        counts.rowsReused.inc(event.counts.rowsReused);
        return;
      }
      case 'stage.planned':
        return counts.chunksReused.inc(event.reused.length);
      case 'query.planned':
        for (const { chunks } of event.reused) counts.chunksReused.inc(chunks.length);
        return counts.rowsReused.inc(event.rowsReused);
      case 'attempt.started':
        if (waitedMs !== undefined) counts.taskQueue.observe(seconds(waitedMs));
        return;
      case 'attempt.ended':
        return this.attemptEnded(event);
      case 'chunk.lost':
        return event.stale ? undefined : counts.chunksLost.inc();
      case 'worker.hello':
        return counts.hellos.inc();
      case 'worker.exited':
        return counts.left.inc({ how: event.crashed ? 'crashed' : 'exited' });
      case 'worker.leaseExpired':
        return counts.left.inc({ how: 'leaseExpired' });
      default:
        return;
    }
  }

  private follows(state: State, effect: Effect, nowMs: number): void {
    if (effect.type === 'record') return this.attemptEnded(effect.event);
    if (effect.type === 'startRun') return this.runs.starts(state, effect, nowMs);
    if (effect.type !== 'notify' && effect.type !== 'jobEnded') return;
    const job = state.jobs.get(effect.jobId);
    if (!job) return;
    if (effect.type === 'jobEnded') return this.jobEnded(job);
    switch (effect.kind) {
      case 'submitted':
      case 'stage':
        return this.stagesReady(job, nowMs);
      case 'started':
        return this.counts.jobQueue.observe(seconds(nowMs - job.submittedMs));
      case 'retry':
        return this.counts.retries.inc({ kind: String(effect.data['kind']) });
    }
  }

  private jobEnded(job: JobState): void {
    const state = stateName(job);
    this.counts.ended.inc({ state });
    this.counts.jobSeconds.observe({ state }, seconds((job.endedMs ?? 0) - job.submittedMs));
  }

  private attemptEnded({ failure }: AttemptEnded): void {
    this.counts.attempts.inc({ outcome: failure?.kind ?? 'succeeded' });
  }

  private stagesReady(job: JobState, nowMs: number): void {
    for (const stage of job.stages) {
      if (stage.phase === 'running' && !this.readyMs.has(stage)) this.readyMs.set(stage, nowMs);
    }
  }

  /** How long the task could have run; undefined where its stage was ready before this process. */
  private waitedMs(job: JobState | undefined, { attempt, nowMs }: AttemptStarted) {
    const stage = job?.stages[stageIndex(job, attempt.stageId)];
    const task = stage?.tasks.get(attempt.task);
    const readyMs = task?.kind === 'waiting' ? task.eligibleMs : stage && this.readyMs.get(stage);
    return readyMs === undefined ? undefined : nowMs - readyMs;
  }

  private chunkDone(job: JobState, { attempt, record }: ChunkDone): void {
    const { counts } = this;
    const plan = job.plan.stages[stageIndex(job, attempt.stageId)];
    const to = job.plan.outputs.some(({ stage }) => stage === plan?.id) ? 'output' : 'stage';
    const { rowsIn, rowsOut, filtered, dead, inferred } = record.counts;
    const fromSource = plan ? Math.min(rowsIn, sourceRows(plan, rowsIn)) : 0;
    counts.chunks.inc();
    counts.rowsRead.inc({ from: 'source' }, fromSource);
    counts.rowsRead.inc({ from: 'stage' }, rowsIn - fromSource);
    counts.rowsWritten.inc({ to }, rowsOut);
    counts.bytesWritten.inc(
      { to },
      record.files.reduce((bytes, file) => bytes + file.bytes, 0),
    );
    counts.rowsFiltered.inc(filtered);
    counts.rowsDead.inc(dead);
    counts.rowsInferred.inc(inferred);
  }
}

function jobOfAttempt(state: State, event: Event): JobState | undefined {
  if (!('attempt' in event)) return undefined;
  const id: JobId = event.attempt.jobId;
  return state.jobs.get(id);
}

function seconds(ms: number): number {
  return Math.max(0, ms) / 1000;
}

function metrics(registry: Registry) {
  const registers = [registry];
  const counter = <Label extends string>(
    name: string,
    help: string,
    label?: Label,
    values: readonly string[] = [],
  ): Counter<Label> => {
    const made = new Counter({ name, help, registers, labelNames: label ? [label] : [] });
    // What has not happened yet is 0, so that its first time is seen as an increase.
    for (const value of values) made.inc({ [label!]: value } as never, 0);
    return made;
  };
  const histogram = <Label extends string>(
    name: string,
    help: string,
    buckets: number[],
    ...labelNames: Label[]
  ) => new Histogram({ name, help, buckets, labelNames, registers });
  const to = ['output', 'stage'] as const;
  return {
    submitted: counter('windrow_jobs_submitted_total', 'Jobs accepted.'),
    ended: counter('windrow_jobs_ended_total', 'Jobs that ended.', 'state', endedStates),
    jobQueue: histogram(
      'windrow_job_queue_seconds',
      'From the acceptance of a job to its first attempt.',
      longSeconds,
    ),
    jobSeconds: histogram(
      'windrow_job_duration_seconds',
      'From the acceptance of a job to its end.',
      longSeconds,
      'state',
    ),
    scheduleLag: histogram(
      'windrow_schedule_lag_seconds',
      'From the time that a scheduled run was due to its first try.',
      longSeconds,
    ),
    runsEnded: counter(
      'windrow_schedule_runs_ended_total',
      'Runs of schedules that ended.',
      'state',
      endedRunStates,
    ),
    taskQueue: histogram(
      'windrow_task_queue_seconds',
      'How long a task could have run before an attempt at it started.',
      waitSeconds,
    ),
    attempts: counter('windrow_attempts_total', 'Attempts that ended.', 'outcome', [
      'succeeded',
      ...failureKinds,
    ]),
    retries: counter(
      'windrow_retries_total',
      'Attempts that have to be made again, by kind of failure.',
      'kind',
      failureKinds,
    ),
    chunks: counter('windrow_chunks_done_total', 'Chunks finished by workers.'),
    chunksReused: counter('windrow_chunks_reused_total', 'Chunks that were done already.'),
    chunksLost: counter('windrow_chunks_lost_total', 'Finished chunks found lost or corrupt.'),
    rowsRead: counter('windrow_rows_read_total', 'Rows that entered finished chunks.', 'from', [
      'source',
      'stage',
    ]),
    rowsWritten: counter('windrow_rows_written_total', 'Rows of finished chunks.', 'to', to),
    bytesWritten: counter(
      'windrow_written_bytes_total',
      'Bytes of the files of finished chunks.',
      'to',
      to,
    ),
    rowsFiltered: counter('windrow_rows_filtered_total', 'Rows that steps filtered out.'),
    rowsDead: counter('windrow_rows_dead_lettered_total', 'Rows that became dead letters.'),
    rowsInferred: counter('windrow_rows_inferred_total', 'Rows that went through a model.'),
    rowsReused: counter('windrow_rows_reused_total', 'Source rows of chunks that were reused.'),
    hellos: counter('windrow_worker_hellos_total', 'Workers that joined or came back.'),
    leasesGranted: counter('windrow_leases_granted_total', 'Leases given to workers.'),
    leasesEnded: counter('windrow_leases_ended_total', 'Leases that ended.', 'how', leaseEnds),
    left: counter('windrow_workers_left_total', 'Workers that are gone.', 'how', [
      'exited',
      'crashed',
      'leaseExpired',
    ]),
  };
}
