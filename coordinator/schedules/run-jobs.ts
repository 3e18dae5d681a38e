/**
 * From a run to its job and back: submits it under the id of the try, follows it, tells the loop how
 * it ended. Never: two jobs for one try; the id is the same after any crash.
 */
import type { SubmitRequest } from '../../shared/gen/windrow.js';
import { toFailure, WindrowError } from '../../shared/failure.js';
import { jobId, type ScheduleId } from '../../shared/ids.js';
import { jobOfRun, runVariables } from '../../shared/schedule-variables.js';
import { validateSpec } from '../../shared/spec-file.js';
import type { Catalogue } from '../catalogue.js';
import type { Effect } from '../core/effects.js';
import type { Event } from '../core/events.js';
import type { RunEnded } from '../core/schedule-events.js';
import {
  requestIdOf,
  successBefore,
  type RunState,
  type ScheduleState,
} from '../core/schedule-state.js';
import { forgetSchedule } from '../core/schedule.js';
import type { State } from '../core/state.js';
import type { Journal } from '../journal/journal.js';
import type { Submission } from '../submission.js';

export interface RunJobsDependencies {
  readonly state: State;
  readonly epoch: number;
  readonly journal: Pick<Journal, 'snapshot'>;
  readonly submission: () => Pick<Submission, 'submit' | 'tryAgain' | 'cancel'>;
  readonly catalogue: Pick<Catalogue, 'get' | 'watch'>;
  readonly post: (...events: Event[]) => Promise<void>;
  readonly nowMs: () => number;
  readonly fatal: (error: unknown) => void;
}

export type RunEffect = Extract<Effect, { type: 'startRun' | 'cancelRun' | 'scheduleDeleted' }>;

type Ending = Pick<RunEnded, 'outcome' | 'failure'>;

export class RunJobs {
  private readonly closing = new AbortController();
  private readonly pending = new Set<Promise<void>>();

  constructor(private readonly deps: RunJobsDependencies) {}

  run(effect: RunEffect): void {
    if (this.closing.signal.aborted) return;
    if (effect.type === 'scheduleDeleted') return this.track(this.remove(effect.scheduleId));
    const schedule = this.deps.state.schedules.get(effect.scheduleId);
    const run = schedule?.runs.get(effect.runId);
    if (!schedule || !run) return;
    if (effect.type === 'startRun') this.track(this.follow(schedule, run));
    else if (run.jobId !== undefined) this.track(this.cancel(run.jobId));
  }

  /** From here on nothing is told any more: the next coordinator goes on with what is unfinished. */
  async close(): Promise<void> {
    this.closing.abort();
    await Promise.allSettled([...this.pending]);
  }

  private async follow(schedule: ScheduleState, run: RunState): Promise<void> {
    const { deps } = this;
    const about = { scheduleId: schedule.id, runId: run.id, try: run.tries };
    const ending = await this.toItsEnd(schedule, run, (id) =>
      deps.post({ type: 'run.started', ...about, jobId: jobId(id), nowMs: deps.nowMs() }),
    );
    if (!ending) return;
    await deps.post({ type: 'run.ended', ...about, ...ending, nowMs: deps.nowMs() });
  }

  /** Undefined where this process ends before the job does. */
  private async toItsEnd(
    schedule: ScheduleState,
    run: RunState,
    started: (job: string) => Promise<void>,
  ): Promise<Ending | undefined> {
    const { submission, catalogue } = this.deps;
    const { signal } = this.closing;
    let job: string;
    try {
      const jobs = submission();
      const request = requestOf(schedule, run);
      const accepted =
        run.tries > 1 ? jobs.tryAgain(request, signal) : jobs.submit(request, signal);
      job = (await accepted).jobId;
    } catch (error) {
      if (signal.aborted) return undefined;
      return { outcome: 'failed', failure: toFailure(error) };
    }
    await started(job);
    // Told to stop before there was a job to cancel.
    if (run.phase.kind === 'stopping') await this.cancel(job);
    const after = Number.MAX_SAFE_INTEGER;
    for await (const news of catalogue.watch(job, after, true, signal, Infinity)) void news;
    if (signal.aborted) return undefined;
    const { state, failure } = await catalogue.get(job);
    if (state === 'succeeded') return { outcome: 'succeeded' };
    if (state !== 'failed') return { outcome: 'cancelled' };
    return { outcome: 'failed', ...(failure ? { failure } : {}) };
  }

  private async cancel(job: string): Promise<void> {
    try {
      await this.deps.submission().cancel(job);
    } catch (error) {
      // What is being published is finished: the run has succeeded then.
      if (!(error instanceof WindrowError) || error.failure.code !== 'E_COMMITTING') throw error;
    }
  }

  private async remove(id: ScheduleId): Promise<void> {
    const { journal, epoch, state } = this.deps;
    await journal.snapshot(epoch, [{ id, row: undefined }]);
    forgetSchedule(state, id);
  }

  private track(work: Promise<void>): void {
    const tracked = work.catch(this.deps.fatal).finally(() => this.pending.delete(tracked));
    this.pending.add(tracked);
  }
}

/** What the schedule was given as its job, for this run. @throws WindrowError E_SPEC_INVALID */
function requestOf(schedule: ScheduleState, run: RunState): SubmitRequest {
  const { specJson, files } = JSON.parse(schedule.definition.job) as Pick<
    SubmitRequest,
    'specJson' | 'files'
  >;
  const before = successBefore(schedule, run);
  const spec = jobOfRun(validateSpec(JSON.parse(specJson), { variables: runVariables }), {
    runId: run.id,
    ...run.interval,
    ...(before ? { previousSuccessMs: before.interval.startMs } : {}),
    ...(run.changes ? { changes: run.changes } : {}),
  });
  return {
    requestId: requestIdOf(schedule, run),
    specJson: JSON.stringify(spec),
    files,
    redoDeadLetters: run.reopened?.redoDeadLetters ?? false,
  };
}
