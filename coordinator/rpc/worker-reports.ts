/**
 * From what a worker reports to an event for the loop. A report is believed about rows and failures
 * alone: which chunk it is, whose it is and where its files lie must be what this worker was sent.
 * Never: changes state, or ends the coordinator whatever a worker says.
 */
import { isConsistent } from '../../shared/divided-file.js';
import { fail, type Failure } from '../../shared/failure.js';
import type { Report } from '../../shared/gen/windrow.js';
import { attemptKey, type AttemptRef, type WorkerId } from '../../shared/ids.js';
import type { ChunkRecord } from '../../shared/plan.js';
import { isFailure } from '../../shared/rpc.js';
import { attemptTag, chunkFilePath, deadLetterFilePath } from '../../shared/storage/paths.js';
import { attemptFromWire, chunkRecordFromWire } from '../../shared/wire.js';
import type { Event } from '../core/events.js';
import { isUntouched, taskChunks } from '../core/stage.js';
import { partitionCount } from '../planner/exchange-layout.js';
import type { JobState, StageState, State } from '../core/state.js';
import { runningTask } from '../core/task.js';
import type { JobChunks } from '../job-chunks.js';
import { withOrigin } from '../row-origin.js';
import { chunkDirectory } from '../shuffle-files.js';
import { modelOf, readStored } from '../stored-spec.js';

export interface Reporter {
  readonly id: WorkerId;
  readonly incarnation: string;
  readonly shuffleDirectory: string | undefined;
}

export interface WorkerReportsDependencies {
  readonly state: State;
  readonly chunksOf: (job: JobState) => JobChunks;
}

/** What a worker may write about one failure; a user's error may be of any length. */
const failureTextMax = 10_000;

export class WorkerReports {
  constructor(private readonly deps: WorkerReportsDependencies) {}

  /**
   * Undefined for what came too late to matter.
   * @throws WindrowError E_WORKER_PROTOCOL for what no worker can report that does as it was told
   */
  event(from: Reporter, { report }: Report, nowMs: number): Event | undefined {
    if (!report?.value.attempt) return refuse(from, 'a report of no attempt');
    const attempt = attemptFromWire(report.value.attempt);
    const running = runningTask(this.deps.state, attempt);
    if (running && running.workerId !== from.id) {
      refuse(from, `${attemptKey(attempt)}, which runs on worker ${running.workerId}`);
    }
    if (report.$case === 'chunkDone') {
      const { chunk } = report.value;
      const record = chunkRecordFromWire(report.value);
      if (!this.isWanted(from, attempt, chunk, record)) return undefined;
      return { type: 'chunk.done', attempt, workerId: from.id, chunk, record, nowMs };
    }
    const holdsSlot = this.deps.state.workers.get(from.id)?.attempts.has(attemptKey(attempt));
    if (!running && !holdsSlot) return undefined;
    const { failureJson } = report.value;
    return {
      type: 'attempt.ended',
      attempt,
      workerId: from.id,
      ...(failureJson ? { failure: this.located(failureOf(failureJson), attempt) } : {}),
      nowMs,
    };
  }

  private located(failure: Failure, { jobId }: AttemptRef): Failure {
    const job = this.deps.state.jobs.get(jobId);
    return job ? withModel(withOrigin(failure, this.deps.chunksOf(job)), job.spec) : failure;
  }

  /** False where the job is gone: its record would enter the chunk index unchecked. */
  private isWanted(from: Reporter, ref: AttemptRef, chunk: number, record: ChunkRecord): boolean {
    const job = this.deps.state.jobs.get(ref.jobId);
    if (!job) return false;
    const key = attemptKey(ref);
    const stage = job.stages.find(({ id }) => id === ref.stageId);
    if (!stage) return refuse(from, `${key}, a stage that is not there`);
    if (!(ref.attempt >= 1 && ref.attempt <= attemptsOf(stage, ref.task))) {
      return refuse(from, `${key}, an attempt that was never made`);
    }
    const { from: first, to } = taskChunks(stage, ref.task);
    if (!(chunk >= first && chunk < to)) {
      return refuse(from, `chunk ${chunk} of ${key}, whose chunks are ${first} to ${to - 1}`);
    }
    const chunks = this.deps.chunksOf(job);
    const identity = chunks.identity(ref.stageId, chunk);
    if (record.identity !== identity) {
      return refuse(from, `chunk ${chunk} of ${key} with an identity that is not its own`);
    }
    const directory = chunkDirectory(job.plan, chunks.stage(ref.stageId), from.shuffleDirectory);
    const foreign = foreignPath(directory, attemptTag(ref, from.incarnation), record);
    if (foreign !== undefined) {
      return refuse(from, `chunk ${chunk} of ${key} in a file that is not its own: ${foreign}`);
    }
    if (isNegative(record)) return refuse(from, `chunk ${chunk} of ${key} with less than no rows`);
    const { divide } = chunks.stage(ref.stageId).program.sink;
    if (!record.files.every((file) => isConsistent(file, partitionCount(divide)))) {
      return refuse(
        from,
        `chunk ${chunk} of ${key} in a divided file whose parts are not its rows`,
      );
    }
    if (record.files.some(({ divided }) => (divided === undefined) !== (divide === undefined))) {
      return refuse(from, `chunk ${chunk} of ${key} in a file that is not divided as it is to be`);
    }
    return true;
  }
}

function refuse(from: Reporter, what: string): never {
  fail('invalidSpec', 'E_WORKER_PROTOCOL', `worker ${from.id} reports ${what.slice(0, 500)}`, {
    hint: 'use the same version of windrow on all machines, and start that worker anew',
  });
}

/** Attempts a task has had, as far as is known: one too many for a task that was never tried. */
function attemptsOf(stage: StageState, task: number): number {
  if (!Number.isInteger(task) || task < 0 || task >= stage.taskStarts.length) return 0;
  const known = stage.tasks.get(task)?.history.attempts ?? stage.lastAttempt.get(task);
  return known ?? (isUntouched(stage, task) ? 0 : 1);
}

/** The first file that lies elsewhere than where this attempt was to put it. */
function foreignPath(directory: string, tag: string, record: ChunkRecord): string | undefined {
  const { identity, files, deadLetters } = record;
  if (files.length === 0 && !deadLetters) return undefined;
  const whole = chunkFilePath(directory, identity, tag);
  const foreign = files.find(
    ({ path }, part) => path !== whole && path !== chunkFilePath(directory, identity, tag, part),
  );
  if (foreign) return foreign.path;
  const dead = deadLetterFilePath(directory, identity, tag);
  return deadLetters && deadLetters.path !== dead ? deadLetters.path : undefined;
}

/** Less than no rows or bytes somewhere. */
function isNegative({ files, counts, deadLetters }: ChunkRecord): boolean {
  const { warnings, ...rows } = counts;
  const numbers = [...Object.values(rows), ...Object.values(warnings)];
  for (const file of deadLetters ? [...files, deadLetters] : files) {
    numbers.push(file.rows, file.bytes);
  }
  return numbers.some((number) => number < 0);
}

/** Workers have copies of models, under other names. */
function withModel(failure: Failure, storedSpec: string): Failure {
  const { code, at } = failure;
  if (code !== 'E_MODEL_INVALID' || at?.step === undefined) return failure;
  const file = modelOf(readStored(storedSpec), at.step);
  return file === undefined ? failure : { ...failure, at: { ...at, file } };
}

/** A worker's words must never end the coordinator. */
function failureOf(json: string): Failure {
  let said: unknown;
  try {
    said = JSON.parse(json);
  } catch {
    said = undefined;
  }
  if (isFailure(said)) {
    const { lost, ...failure } = said;
    const paths = Array.isArray(lost) ? lost.filter((path) => typeof path === 'string') : [];
    return {
      ...failure,
      message: failure.message.slice(0, failureTextMax),
      ...(paths.length > 0 ? { lost: paths } : {}),
    };
  }
  const message = `a worker reported a failure that is none: ${json.slice(0, 200)}`;
  return { kind: 'broken', code: 'E_INTERNAL', message };
}
