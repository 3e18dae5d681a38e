/**
 * The client: JobService over gRPC as methods and async iterators. Every failure comes out as a
 * WindrowError; a coordinator that does not answer is E_UNREACHABLE. Never: decides about jobs.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { Metadata } from '@grpc/grpc-js';
import type { RecordBatch } from 'apache-arrow';
import { channelTo } from '../shared/channel.js';
import { bearer } from '../shared/endpoints.js';
import { fail } from '../shared/failure.js';
import {
  JobServiceClient,
  ScheduleServiceClient,
  type SubmitRequest,
  type UploadedFile,
} from '../shared/gen/windrow.js';
import { isWithoutJob, unlessWithoutJob } from '../shared/retry-check.js';
import type { RunView } from '../shared/schedule-views.js';
import { unlessAborted } from '../shared/unless-aborted.js';
import type { JobStateName, JobView, WhyView, WorkerView } from '../shared/views.js';
import {
  connectOptions,
  eventsOptions,
  listOptions,
  loadedJob,
  logsOptions,
  previewOptions,
  resultOptions,
  retryOptions,
  submitOptions,
  text,
  waitOptions,
} from './arguments.js';
import { recordBatches } from './arrow-stream.js';
import { putMissingBlobs } from './blobs.js';
import { Calls, endOf, isUnanswered, type Unary } from './calls.js';
import { watchEvents, watchLogs } from './events.js';
import { Schedules } from './schedules.js';
import { readStream } from './streams.js';
import type {
  Client,
  ConnectOptions,
  LoadedJob,
  LocalFile,
  RetryOptions,
  SubmitOptions,
} from './types.js';

const endPollMs = 200;
const nextJobPollMs = 1_000;
/** What `why` calls the end of a job, and of a run that never had one. */
const lastReasons: ReadonlySet<string> = new Set(['ended', 'failed', 'cancelled', 'skipped']);
/** A last look at a job whose wait is over may take so long. */
const lastLookMs = 500;

const endStates: ReadonlySet<JobStateName> = new Set([
  'succeeded',
  'failed',
  'cancelled',
  'superseded',
]);

/**
 * A client of the coordinator at `unix:/path` or `host:port`. Connects when first used.
 * @throws WindrowError E_USAGE, E_INSECURE_TARGET for plaintext to another machine, E_TLS_FILE
 */
export function connect(target: string, options: ConnectOptions = {}): Client {
  text('target', target);
  connectOptions('options', options);
  const metadata = new Metadata();
  if (options.token !== undefined) metadata.set('authorization', bearer(options.token));
  const to = channelTo(target, options.tls);
  // Of its own: a shared one remembers for a while that an earlier coordinator at this address went.
  const channel = { ...to.options, 'grpc.use_local_subchannel_pool': 1 };
  const jobs = new JobServiceClient(target, to.credentials, channel);
  const shared = { channelOverride: jobs.getChannel() };
  const schedules = new ScheduleServiceClient(target, to.credentials, shared);
  const { timeoutMs = 30_000, retryMs = 5_000 } = options;
  const calls = new Calls(metadata, timeoutMs, retryMs);
  return new GrpcClient(jobs, schedules, calls, options);
}

interface Seen {
  readonly view: JobView;
  readonly over: boolean;
}

class GrpcClient implements Client {
  readonly schedules: Schedules;
  private readonly metadata: Metadata;

  constructor(
    private readonly service: JobServiceClient,
    scheduleService: ScheduleServiceClient,
    private readonly calls: Calls,
    private readonly outages: Pick<ConnectOptions, 'reconnectMs' | 'onOutage'>,
  ) {
    this.metadata = calls.metadata;
    const upload = (job: LoadedJob): Promise<void> => this.upload(job.files);
    const filesOf = (job: LoadedJob) => uploadedFiles(job.files);
    this.schedules = new Schedules({ service: scheduleService, calls, upload, filesOf });
  }

  async submit(job: LoadedJob, options: SubmitOptions = {}) {
    loadedJob('job', job);
    submitOptions('options', options);
    const request = submitRequest(job, options);
    await this.upload(job.files);
    return this.call(this.service.submit, request, this.calls.longMs);
  }

  async explain(job: LoadedJob) {
    loadedJob('job', job);
    await this.upload(job.files);
    const reply = await this.call(this.service.explain, submitRequest(job, {}), this.calls.longMs);
    return { plan: JSON.parse(reply.planJson) as unknown, text: reply.text };
  }

  preview(
    job: LoadedJob,
    options: { step?: string; rows?: number; signal?: AbortSignal } = {},
  ): AsyncGenerator<RecordBatch, void, undefined> {
    loadedJob('job', job);
    previewOptions('options', options);
    const { step = '', rows = 20 } = options;
    const { calls, service, metadata } = this;
    const upload = (): Promise<void> => this.upload(job.files);
    return calls.streamed(async function* (left) {
      await upload();
      const request = { job: submitRequest(job, {}), step, rows };
      yield* recordBatches(
        readStream(() => service.preview(request, metadata), left),
        left,
      );
    }, options.signal);
  }

  async get(job: string): Promise<JobView> {
    text('job', job);
    const { jobJson } = await this.call(this.service.getJob, { jobId: job });
    return JSON.parse(jobJson) as JobView;
  }

  async list(query: { state?: string; limit?: number } = {}): Promise<JobView[]> {
    listOptions('query', query);
    const request = { state: query.state ?? '', limit: query.limit ?? 100 };
    const { jobsJson } = await this.call(this.service.listJobs, request);
    return jobsJson.map((json) => JSON.parse(json) as JobView);
  }

  events(job: string, options: { afterSeq?: number; follow?: boolean; signal?: AbortSignal } = {}) {
    text('job', job);
    eventsOptions('options', options);
    const { calls, service, metadata, outages } = this;
    return calls.streamed(
      (left) => watchEvents(service, metadata, job, { ...options, ...outages, signal: left }),
      options.signal,
    );
  }

  async wait(
    job: string,
    options: { timeoutMs?: number; signal?: AbortSignal } = {},
  ): Promise<JobView> {
    text('job', job);
    waitOptions('options', options);
    const timeout = options.timeoutMs === undefined ? undefined : endOf(options.timeoutMs);
    const signals = [timeout, options.signal, this.calls.closed];
    const signal = AbortSignal.any(signals.filter((one) => one !== undefined));
    let afterSeq = 0;
    for (;;) {
      try {
        for await (const event of this.events(job, { follow: true, signal, afterSeq })) {
          afterSeq = Math.max(afterSeq, event.seq);
        }
      } catch (error) {
        if (!isWithoutJob(error)) throw error;
      }
      if (options.signal?.aborted || this.calls.closed.aborted) {
        fail('cancelled', 'E_CANCELLED', `waiting for job ${job} was cancelled`);
      }
      const seen = await this.look(job, signal);
      if (seen?.over) return seen.view;
      const unfinished = seen && !endStates.has(seen.view.state);
      if (timeout?.aborted) {
        const state = unfinished ? `is ${seen.view.state}` : 'is not known to have ended';
        const message = `job ${job} ${state}, and the time to wait for it is over`;
        fail('cancelled', 'E_WAIT_TIMEOUT', message, { hint: 'it goes on; wait again' });
      }
      // The stream ended before the job did, or a run has not got its next job yet.
      if (!unfinished) afterSeq = 0;
      const pauseMs = unfinished ? endPollMs : nextJobPollMs;
      await delay(pauseMs, undefined, { signal }).catch(() => undefined);
    }
  }

  /**
   * The job, and whether nothing follows it; undefined where a run has none yet, or nobody answers:
   * then `events` knows how long to be patient.
   */
  private async look(job: string, signal: AbortSignal): Promise<Seen | undefined> {
    const { service, calls } = this;
    const request = { jobId: job };
    const ask = <Reply>(method: Unary<typeof request, Reply>): Promise<Reply> =>
      signal.aborted
        ? calls.callOnce(service, method, request, lastLookMs)
        : unlessAborted(this.call(method, request), signal);
    const isLast = async (): Promise<boolean> => {
      const detail = JSON.parse((await ask(service.why)).detailJson) as WhyView['detail'];
      return lastReasons.has(detail.reason);
    };
    try {
      const reply = await unlessWithoutJob(ask(service.getJob), isLast);
      if (!reply) return undefined;
      const view = JSON.parse(reply.jobJson) as JobView;
      const ended = endStates.has(view.state);
      // Of a run, asked for by its name, the next try may follow.
      return { view, over: ended && (view.job === job || (await isLast())) };
    } catch (error) {
      if (signal.aborted || isUnanswered(error)) return undefined;
      throw error;
    }
  }

  async why(job: string): Promise<WhyView> {
    text('job', job);
    const { answer, detailJson } = await this.call(this.service.why, { jobId: job });
    return { answer, detail: JSON.parse(detailJson) as WhyView['detail'] };
  }

  async cancel(job: string): Promise<JobView | RunView> {
    text('job', job);
    const { jobJson } = await this.call(this.service.cancelJob, { jobId: job });
    return JSON.parse(jobJson) as JobView | RunView;
  }

  async retry(job: string, options: RetryOptions = {}) {
    text('job', job);
    retryOptions('options', options);
    const files = options.files ?? new Map<string, LocalFile>();
    const request = {
      jobId: job,
      requestId: options.requestId ?? randomUUID(),
      onlyDeadLetters: options.onlyDeadLetters ?? false,
      files: uploadedFiles(files),
    };
    await this.upload(files);
    return this.call(this.service.retryJob, request, this.calls.longMs);
  }

  result(job: string, output = '', options: { maxRows?: number; signal?: AbortSignal } = {}) {
    text('job', job);
    text('output', output);
    resultOptions('options', options);
    const request = { jobId: job, output, maxRows: options.maxRows ?? 0 };
    const { calls, service, metadata } = this;
    return calls.streamed(
      (left) =>
        recordBatches(
          readStream(() => service.fetchResult(request, metadata), left),
          left,
        ),
      options.signal,
    );
  }

  logs(job: string, options: { follow?: boolean; signal?: AbortSignal } = {}) {
    text('job', job);
    logsOptions('options', options);
    const { calls, service, metadata, outages } = this;
    return calls.streamed(
      (left) => watchLogs(service, metadata, job, { ...options, ...outages, signal: left }),
      options.signal,
    );
  }

  async workers(): Promise<WorkerView[]> {
    const { workersJson } = await this.call(this.service.listWorkers, {});
    return workersJson.map((json) => JSON.parse(json) as WorkerView);
  }

  async drain(worker: string): Promise<void> {
    text('worker', worker);
    const { service } = this;
    await this.calls.callOnce(service, service.drainWorker, { workerId: worker });
  }

  close(): void {
    this.calls.close();
    this.service.close();
  }

  private async upload(files: LoadedJob['files']): Promise<void> {
    if (files.size === 0) return;
    // What has arrived is not missing the next time.
    const { calls, service } = this;
    await calls.again(calls.longMs, () => putMissingBlobs(service, calls, [...files.values()]));
  }

  private call<Request, Response>(
    method: Unary<Request, Response>,
    request: Request,
    timeoutMs?: number,
  ): Promise<Response> {
    return this.calls.call(this.service, method, request, timeoutMs);
  }
}

function submitRequest(job: LoadedJob, options: SubmitOptions): SubmitRequest {
  return {
    requestId: options.requestId ?? randomUUID(),
    specJson: job.specJson,
    files: uploadedFiles(job.files),
    redoDeadLetters: options.redoDeadLetters ?? false,
  };
}

function uploadedFiles(files: LoadedJob['files']): Record<string, UploadedFile> {
  return Object.fromEntries([...files].map(([path, file]) => [path, uploadedFile(file)]));
}

function uploadedFile(file: LocalFile): UploadedFile {
  const { digest, bytes, name } = file;
  return { digest, bytes, name, external: file.external.map(uploadedFile) };
}
