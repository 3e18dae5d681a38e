/**
 * What can be asked of a coordinator about jobs and workers: one function a verb, the same for every
 * door. Never: knows how a call arrived, or who may make it.
 */
import type {
  BlobPart,
  ExplainResponse,
  PreviewRequest,
  SubmitRequest,
  SubmitResponse,
} from '../shared/gen/windrow.js';
import { fail } from '../shared/failure.js';
import { jobId } from '../shared/ids.js';
import { checkRetry, unlessWithoutJob } from '../shared/retry-check.js';
import type { RunView } from '../shared/schedule-views.js';
import type { JobView, WhyView, WorkerView } from '../shared/views.js';
import type { BlobStore } from './blob-store.js';
import type { Catalogue } from './catalogue.js';
import type { Event } from './core/events.js';
import type { State } from './core/state.js';
import type { LogLines, NumberedEntry } from './log-lines.js';
import type { Notice } from './notices.js';
import type { Previews } from './previews.js';
import type { ResultReader } from './result-reader.js';
import type { Runs } from './schedules/runs.js';
import type { Again } from './stored-spec.js';
import type { Submission } from './submission.js';

export interface JobVerbsDependencies {
  readonly submission: Submission;
  readonly runs: Pick<Runs, 'has' | 'cancel' | 'reopen'>;
  readonly previews: Previews;
  readonly catalogue: Catalogue;
  readonly blobs: BlobStore;
  readonly results: Pick<ResultReader, 'output'>;
  readonly logs: Pick<LogLines, 'of' | 'follow'>;
  readonly state: Pick<State, 'workers' | 'jobs'>;
  readonly post: (...events: Event[]) => Promise<void>;
  readonly nowMs: () => number;
}

/** Notices a watcher may have waiting before it is dropped. */
const slowReaderNotices = 10_000;

export class JobVerbs {
  constructor(private readonly deps: JobVerbsDependencies) {}

  /** @param aborted nobody waits for the answer any more: nothing is started */
  submit(request: SubmitRequest, aborted: AbortSignal): Promise<SubmitResponse> {
    return this.deps.submission.submit(request, aborted);
  }

  explain(request: SubmitRequest): Promise<ExplainResponse> {
    return this.deps.submission.explain(request);
  }

  preview(request: PreviewRequest, aborted: AbortSignal): AsyncIterable<{ data: Uint8Array }> {
    return this.deps.previews.rows(request, aborted);
  }

  putBlob(parts: AsyncIterable<BlobPart>): Promise<{ digest: string; bytes: number }> {
    return this.deps.blobs.put(parts);
  }

  missingBlobs(digests: readonly string[]): string[] {
    return this.deps.blobs.missing(digests);
  }

  /** A job by id, or the newest of that name. @throws WindrowError E_NO_JOB, as all that name one */
  get(job: string): Promise<JobView> {
    return this.deps.catalogue.get(job);
  }

  list(state: string | undefined, limit: number): Promise<JobView[]> {
    return this.deps.catalogue.list(state, limit);
  }

  /** @throws WindrowError E_SLOW_READER when what was not asked for in time is too much */
  watch(
    job: string,
    afterSeq: number,
    follow: boolean,
    aborted: AbortSignal,
  ): AsyncGenerator<Notice> {
    return this.deps.catalogue.watch(job, afterSeq, follow, aborted, slowReaderNotices);
  }

  why(job: string): Promise<WhyView> {
    return this.deps.catalogue.why(job);
  }

  /** A run of a schedule goes before a job of its name, and is told as a run. */
  async cancel(name: string): Promise<JobView | RunView> {
    const { runs, submission } = this.deps;
    return runs.has(name) ? runs.cancel(name) : submission.cancel(name);
  }

  /**
   * The spec of any ended job as a new run; the job of a schedule's run as a try of that run, whose
   * id is the answer.
   * @throws WindrowError E_RETRY_FILES, E_RUN_FILES
   */
  async again(job: string, how: Again, aborted: AbortSignal): Promise<SubmitResponse> {
    const { runs, submission } = this.deps;
    const name = runs.has(job) ? job : (await this.get(job)).name;
    if (!runs.has(name)) return submission.retry(job, how, aborted);
    if (Object.keys(how.files).length > 0) {
      fail('invalidSpec', 'E_RUN_FILES', `${name} is a run, and has the files of its schedule`, {
        hint: 'create the schedule again with what you mended, then retry the run',
      });
    }
    return runs.reopen(name, how.requestId, how.onlyDeadLetters);
  }

  /** The same where something is left to do. @throws WindrowError E_NOTHING_TO_RETRY */
  async retry(
    job: string,
    requestId: string,
    onlyDeadLetters: boolean,
    aborted: AbortSignal,
  ): Promise<SubmitResponse> {
    const view = await unlessWithoutJob(this.get(job));
    if (view) checkRetry(view, onlyDeadLetters);
    return this.again(view?.job ?? job, { requestId, onlyDeadLetters, files: {} }, aborted);
  }

  /**
   * An output's rows as an Arrow IPC stream.
   * @param output its name; empty means the first
   */
  async *result(
    job: string,
    output: string,
    maxRows: number | undefined,
  ): AsyncGenerator<Uint8Array> {
    const view = await this.get(job);
    const found = view.outputs.find(({ name }) => output === '' || name === output);
    if (!found) {
      const names = view.outputs.map(({ name }) => name).join(', ');
      fail('invalidSpec', 'E_NO_OUTPUT', `job ${view.job} has no output '${output}'`, {
        hint: `its outputs are ${names}`,
      });
    }
    if (view.state !== 'succeeded') {
      const message = `job ${view.job} is ${view.state}, so there is no result`;
      fail('invalidSpec', 'E_NOT_FINISHED', message, {
        hint:
          view.endedAt === undefined
            ? `wait for it with: windrow wait ${view.job}`
            : `see why with: windrow why ${view.job}; do it again with: windrow retry ${view.job}`,
      });
    }
    yield* this.deps.results.output(found.path, maxRows);
  }

  async logs(job: string): Promise<readonly NumberedEntry[]> {
    return this.deps.logs.of((await this.get(job)).job);
  }

  /** Lines that there are after that one, then each as it comes until the job has ended. */
  async *followLogs(
    job: string,
    afterSeq: number,
    aborted: AbortSignal,
  ): AsyncGenerator<NumberedEntry> {
    const id = jobId((await this.get(job)).job);
    const { logs, state } = this.deps;
    yield* logs.follow(id, () => state.jobs.has(id), afterSeq, aborted);
  }

  workers(): WorkerView[] {
    return this.deps.catalogue.workers();
  }

  /** @throws WindrowError E_NO_WORKER */
  async drain(id: string): Promise<void> {
    const { state, post, nowMs } = this.deps;
    const worker = [...state.workers.values()].find((each) => each.id === id);
    if (!worker) {
      const names = [...state.workers.keys()].join(', ') || 'none';
      fail('invalidSpec', 'E_NO_WORKER', `there is no worker '${id}'`, {
        hint: `workers here: ${names}`,
      });
    }
    await post({ type: 'worker.drain', workerId: worker.id, nowMs: nowMs() });
  }
}
