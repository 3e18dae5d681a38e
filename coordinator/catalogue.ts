/** Answers questions about jobs and workers, live ones and ended ones alike. Changes nothing. */
import { fail } from '../shared/failure.js';
import { jobId, type JobId } from '../shared/ids.js';
import { nearestName } from '../shared/spec-problems.js';
import type { JobView, ProgressView, WhyView, WorkerView } from '../shared/views.js';
import { isEnded, type JobState, type State } from './core/state.js';
import { whyRun, whySchedule } from './core/run-why.js';
import { runNamed } from './core/schedule-state.js';
import { jobView, workerView } from './core/views.js';
import { type ArchivedJob, type Journal, previewRequest } from './journal/journal.js';
import type { Notice, Notices } from './notices.js';
import type { ProgressMeter } from './progress-meter.js';
import { whyJob } from './scheduling/why.js';

export interface CatalogueDependencies {
  readonly state: State;
  readonly journal: Pick<Journal, 'archived' | 'notices'>;
  readonly notices: Notices;
  readonly meter: ProgressMeter;
  readonly held: ReadonlySet<JobId>;
  readonly rssBytes: (worker: string) => number;
  readonly nowMs: () => number;
}

const noticePage = 1000;

export class Catalogue {
  constructor(private readonly deps: CatalogueDependencies) {}

  /** A live job by id, or the newest live one of that name. */
  live(idOrName: string): JobState | undefined {
    const { jobs } = this.deps.state;
    const byId = jobs.get(jobId(idOrName));
    if (byId) return byId;
    let newest: JobState | undefined;
    for (const job of jobs.values()) {
      if (job.name === idOrName && (!newest || job.submittedMs >= newest.submittedMs)) newest = job;
    }
    return newest;
  }

  /** @throws WindrowError E_NO_JOB naming the nearest job, E_RUN_NO_JOB of a run without one */
  async get(idOrName: string): Promise<JobView> {
    const live = this.live(idOrName);
    if (live) return this.view(live);
    return JSON.parse((await this.archivedJob(idOrName)).view) as JobView;
  }

  async archivedJob(idOrName: string): Promise<ArchivedJob> {
    const archived = await this.archived(idOrName);
    if (archived) return archived;
    this.failWithoutJob(idOrName);
    return fail('invalidSpec', 'E_NO_JOB', `there is no job '${idOrName}'`, {
      hint: await this.nearest(idOrName),
    });
  }

  /** Newest first; previews are found by their names alone. */
  async list(state: string | undefined, limit: number): Promise<JobView[]> {
    // Those that live first: one that ends meanwhile is in both then, never in neither.
    const live = [...this.deps.state.jobs.values()]
      .filter(({ requestId }) => !requestId.startsWith(previewRequest))
      .map((job) => this.view(job));
    const archived = await this.deps.journal.archived({
      ...(state ? { state } : {}),
      withoutPreviews: true,
      limit,
    });
    const seen = new Set(live.map(({ job }) => job));
    const ended = archived.map(({ view }) => JSON.parse(view) as JobView);
    return [...live, ...ended.filter(({ job }) => !seen.has(job))]
      .filter((view) => !state || view.state === state)
      .sort((a, b) => newestFirst(a.submittedAt, b.submittedAt) || newestFirst(a.job, b.job))
      .slice(0, limit);
  }

  async why(idOrName: string): Promise<WhyView> {
    const live = this.live(idOrName);
    const { state, nowMs } = this.deps;
    if (live && this.suspended(live)) {
      return {
        answer: `job ${live.id} is suspended: its coordinator stopped before it was done; run the same spec again to go on`,
        detail: { reason: 'suspended' },
      };
    }
    const ofLive = live && whyJob(state, live, nowMs());
    if (ofLive && !isEnded(live.phase)) return ofLive;
    // A try's end is not yet that of its run.
    const why = whyRun(state, idOrName) ?? ofLive;
    if (why) return why;
    const archived = await this.archived(idOrName);
    // A schedule may be called as jobs are; they go first.
    const schedule = archived ? undefined : whySchedule(state, idOrName, nowMs());
    if (schedule) return schedule;
    const view = await this.get(idOrName);
    return {
      answer: `job ${view.job} has ended: ${view.state}${view.failure ? ` (${view.failure.code}: ${view.failure.message})` : ''}`,
      detail: { reason: 'ended', state: view.state },
    };
  }

  /** Stored notices after `afterSeq`, then live ones and progress until the job has ended. */
  async *watch(
    idOrName: string,
    afterSeq: number,
    follow: boolean,
    aborted: AbortSignal,
    queueLimit: number,
  ): AsyncGenerator<Notice> {
    const { notices, journal } = this.deps;
    const id = jobId((await this.get(idOrName)).job);
    const queue: Notice[] = [];
    let behind = 0;
    let wake: () => void = () => undefined;
    const unsubscribe = notices.subscribe(id, (notice) => {
      // Of what nobody keeps only the newest matters.
      if (notice.seq === 0 && queue[queue.length - 1]?.seq === 0) queue.pop();
      if (behind === 0) queue.push(notice);
      // Its reader may be stuck for long: what it would be told is not kept for it.
      if (queue.length > queueLimit) behind = queue.splice(0).length;
      wake();
    });
    const onAbort = (): void => wake();
    aborted.addEventListener('abort', onAbort);
    try {
      let last = afterSeq;
      for (;;) {
        const page = await journal.notices(id, last, noticePage);
        for (const notice of page) {
          last = notice.seq;
          yield notice;
        }
        if (page.length < noticePage) break;
      }
      if (!follow) return;
      while (!aborted.aborted) {
        if (behind > 0) failSlow(id, behind, last);
        const notice = queue.shift();
        if (notice) {
          // Progress has number 0; what the journal already told is not told twice.
          if (notice.kind === 'end' || (notice.seq !== 0 && notice.seq <= last)) continue;
          if (notice.seq !== 0) last = notice.seq;
          yield notice;
        } else if (!this.deps.state.jobs.has(id)) {
          // Put away only after its last news was told.
          return;
        } else {
          await new Promise<void>((resolve) => (wake = resolve));
        }
      }
    } finally {
      unsubscribe();
      aborted.removeEventListener('abort', onAbort);
    }
  }

  workers(): WorkerView[] {
    return [...this.deps.state.workers.values()].map((worker) =>
      workerView(worker, this.deps.rssBytes(worker.id)),
    );
  }

  view(job: JobState): JobView {
    const { nowMs, meter } = this.deps;
    const view = jobView(job, nowMs(), meter.rate(job));
    const state = this.suspended(job) ? 'suspended' : view.state;
    return { ...view, state, progress: this.progress(job, view.progress) };
  }

  /** Progress with what is under way inside chunks, and what the job waits for. */
  progress(job: JobState, base?: ProgressView): ProgressView {
    const { state, nowMs, meter } = this.deps;
    const progress = base ?? jobView(job, nowMs(), meter.rate(job)).progress;
    if (isEnded(job.phase) || this.suspended(job) || progress.tasksRunning > 0) return progress;
    return { ...progress, waitingFor: whyJob(state, job, nowMs()).answer };
  }

  private suspended(job: JobState): boolean {
    return this.deps.held.has(job.id) && !isEnded(job.phase);
  }

  private async archived(idOrName: string): Promise<ArchivedJob | undefined> {
    const { journal } = this.deps;
    const [byId] = await journal.archived({ jobId: idOrName, limit: 1 });
    if (byId) return byId;
    const [byName] = await journal.archived({ name: idOrName, limit: 1 });
    return byName;
  }

  /** @throws WindrowError E_RUN_NO_JOB where it is a run that has none; how it ended is the kind */
  private failWithoutJob(runId: string): void {
    const { state } = this.deps;
    const found = runNamed(state.schedules, runId);
    const why = whyRun(state, runId);
    if (!found || !why) return;
    const { phase } = found.run;
    const isCancelled = phase.kind === 'cancelled' || phase.kind === 'skipped';
    const other = isCancelled ? 'cancelled' : 'invalidSpec';
    const kind = phase.kind === 'failed' ? phase.failure.kind : other;
    fail(kind, 'E_RUN_NO_JOB', `there is no job: ${why.answer}`, {
      hint: `see it with: windrow schedule get ${found.schedule.name}`,
    });
  }

  private async nearest(name: string): Promise<string> {
    const live = [...this.deps.state.jobs.values()].flatMap(({ id, name: own }) => [id, own]);
    const archived = await this.deps.journal.archived({ limit: 200 });
    const names = [...live, ...archived.flatMap((each) => [each.jobId, each.name])];
    if (names.length === 0) return 'this state directory has no jobs yet';
    const near = nearestName(name, names);
    return `${near === undefined ? '' : `did you mean '${near}'? `}windrow list shows all`;
  }
}

function failSlow(job: JobId, behind: number, last: number): never {
  return fail('io', 'E_SLOW_READER', `the reader of job ${job}'s events is ${behind} behind`, {
    hint: `go on after event ${last}, as with: windrow events ${job} --after ${last}`,
  });
}

/** Of times in UTC, and of ids, which begin with theirs. */
function newestFirst(a: string, b: string): number {
  return a === b ? 0 : a < b ? 1 : -1;
}
