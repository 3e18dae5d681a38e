/**
 * What the verbs of jobs do with a run of a schedule, by its id: end it for good, or have it once
 * more. Never: touches a try that somebody else follows; the core says what becomes of it.
 */
import { randomUUID } from 'node:crypto';
import { fail } from '../../shared/failure.js';
import type { SubmitResponse } from '../../shared/gen/windrow.js';
import type { RunView } from '../../shared/schedule-views.js';
import type { Event } from '../core/events.js';
import { whyRun } from '../core/run-why.js';
import { isFinished, runNamed, type RunState, type ScheduleState } from '../core/schedule-state.js';
import { runView } from '../core/schedule-views.js';
import type { State } from '../core/state.js';
import type { Submission } from '../submission.js';

export interface RunsDependencies {
  readonly state: State;
  readonly submission: () => Pick<Submission, 'cancel'>;
  /** Throws E_SCHEDULES_OFF where this process starts no runs. */
  readonly checkFires: () => void;
  readonly post: (...events: Event[]) => Promise<void>;
  readonly nowMs: () => number;
}

interface NamedRun {
  readonly schedule: ScheduleState;
  readonly run: RunState;
}

export class Runs {
  constructor(private readonly deps: RunsDependencies) {}

  has(id: string): boolean {
    return this.named(id) !== undefined;
  }

  /**
   * Ends it for good, wherever it is on its way; one that has ended stays as it is.
   * @throws WindrowError E_COMMITTING once its job publishes, E_NO_JOB
   */
  async cancel(id: string): Promise<RunView> {
    const { submission, post, nowMs } = this.deps;
    const found = this.find(id);
    const { schedule, run } = found;
    if (!isFinished(run)) {
      // What publishes is refused before the run hears of it.
      if (run.phase.kind === 'running' && run.jobId !== undefined) {
        await submission().cancel(run.jobId);
      }
      await post({ type: 'run.cancelled', scheduleId: schedule.id, runId: id, nowMs: nowMs() });
    }
    // Its schedule may have been deleted in the meantime.
    const after = this.named(id) ?? found;
    return runView(after.schedule, after.run);
  }

  /**
   * A run that has ended once more, as its schedule is now. The same request id reopens it once.
   * @returns as `jobId` the run's id, which all verbs take: it has a job once it has its place
   * @throws WindrowError E_NOT_FINISHED, E_SCHEDULES_OFF, E_NO_JOB
   */
  async reopen(id: string, requestId: string, redoDeadLetters: boolean): Promise<SubmitResponse> {
    const { checkFires, post, nowMs } = this.deps;
    checkFires();
    const order = requestId || randomUUID();
    const { schedule, run } = this.find(id);
    if (run.reopened?.order === order) return { jobId: id, existing: true };
    if (!isFinished(run)) this.failUnfinished(id);
    const about = { scheduleId: schedule.id, runId: id, nowMs: nowMs() };
    await post({ type: 'run.reopened', ...about, order, redoDeadLetters });
    // Somebody else may have asked at the same moment.
    if (this.find(id).run.reopened?.order !== order) this.failUnfinished(id);
    return { jobId: id, existing: false };
  }

  private named(id: string): NamedRun | undefined {
    return runNamed(this.deps.state.schedules, id);
  }

  private find(id: string): NamedRun {
    const found = this.named(id);
    if (found) return found;
    return fail('invalidSpec', 'E_NO_JOB', `there is no run '${id}'`, {
      hint: 'see what there is: windrow schedule list',
    });
  }

  private failUnfinished(id: string): never {
    const why = whyRun(this.deps.state, id)?.answer ?? `run ${id} has not ended`;
    return fail('invalidSpec', 'E_NOT_FINISHED', why, {
      hint: `wait for it, or cancel it with: windrow cancel ${id}`,
    });
  }
}
