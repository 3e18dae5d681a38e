/** Answers questions about jobs and workers, live ones and ended ones alike. Changes nothing. */
import { distance } from 'fastest-levenshtein';
import { fail } from '../shared/failure.js';
import { jobId, type JobId } from '../shared/ids.js';
import type { JobView, ProgressView, WhyView, WorkerView } from '../shared/views.js';
import { isEnded, type JobState, type State } from './core/state.js';
import { whyRun, whySchedule } from './core/run-why.js';
import { jobView, workerView } from './core/views.js';
import type { ArchivedJob, Journal } from './journal/journal.js';
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

  /** @throws WindrowError E_NO_JOB naming the nearest job */
  async get(idOrName: string): Promise<JobView> {
    const live = this.live(idOrName);
    if (live) return this.view(live);
    return JSON.parse((await this.archivedJob(idOrName)).view) as JobView;
  }

  async archivedJob(idOrName: string): Promise<ArchivedJob> {
    const archived = await this.archived(idOrName);
    if (archived) return archived;
    return fail('invalidSpec', 'E_NO_JOB', `there is no job '${idOrName}'`, {
      hint: await this.nearest(idOrName),
    });
  }

  async list(state: string | undefined, limit: number): Promise<JobView[]> {
    const live = [...this.deps.state.jobs.values()].map((job) => this.view(job)).reverse();
    const seen = new Set(live.map(({ job }) => job));
    const archived = await this.deps.journal.archived({ ...(state ? { state } : {}), limit });
    const views = [
      ...live,
      ...archived
        .map(({ view }) => JSON.parse(view) as JobView)
        .filter(({ job }) => !seen.has(job)),
    ];
    return views.filter((view) => !state || view.state === state).slice(0, limit);
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
    if (live) return whyJob(state, live, nowMs());
    const run = whyRun(state, idOrName);
    if (run) return run;
    const archived = await this.archived(idOrName);
    // A schedule may be called as jobs are; they go first.
    const schedule = archived ? undefined : whySchedule(state, idOrName);
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

  private async nearest(name: string): Promise<string> {
    const live = [...this.deps.state.jobs.values()].flatMap(({ id, name: own }) => [id, own]);
    const archived = await this.deps.journal.archived({ limit: 200 });
    const names = [...live, ...archived.flatMap((each) => [each.jobId, each.name])];
    const best = names.sort((a, b) => distance(a, name) - distance(b, name))[0];
    return best === undefined
      ? 'this state directory has no jobs yet'
      : `did you mean '${best}'? windrow list shows all`;
  }
}

function failSlow(job: JobId, behind: number, last: number): never {
  return fail('io', 'E_SLOW_READER', `the reader of job ${job}'s events is ${behind} behind`, {
    hint: `go on after event ${last}, as with: windrow events ${job} --after ${last}`,
  });
}
