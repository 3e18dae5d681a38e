/**
 * The client: JobService over gRPC as methods and async iterators. Every failure comes out as a
 * WindrowError; a coordinator that does not answer is E_UNREACHABLE. Never: decides about jobs.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { Metadata, type ClientUnaryCall } from '@grpc/grpc-js';
import type { RecordBatch } from 'apache-arrow';
import { fail } from '../shared/failure.js';
import {
  JobServiceClient,
  ScheduleServiceClient,
  type SubmitRequest,
  type UploadedFile,
} from '../shared/gen/windrow.js';
import { channelOptions, statusToError } from '../shared/rpc.js';
import type { JobStateName, JobView, WhyView, WorkerView } from '../shared/views.js';
import { recordBatches } from './arrow-stream.js';
import { putMissingBlobs } from './blobs.js';
import { credentialsFor } from './credentials.js';
import { watchEvents } from './events.js';
import { Schedules, type Unary } from './schedules.js';
import { readStream } from './streams.js';
import type { Client, ConnectOptions, LoadedJob, LocalFile, SubmitOptions } from './types.js';

const endPollMs = 200;

const endStates: ReadonlySet<JobStateName> = new Set([
  'succeeded',
  'failed',
  'cancelled',
  'superseded',
]);

/**
 * A client of the coordinator at `unix:/path` or `host:port`. Connects when first used.
 * @throws WindrowError E_INSECURE_TARGET for plaintext to another machine, E_TLS_FILE
 */
export function connect(target: string, options: ConnectOptions = {}): Client {
  const metadata = new Metadata();
  if (options.token !== undefined) metadata.set('authorization', `Bearer ${options.token}`);
  const credentials = credentialsFor(target, options.tls);
  // Of its own: a shared one remembers for a while that an earlier coordinator at this address went.
  const channel = { ...channelOptions, 'grpc.use_local_subchannel_pool': 1 };
  const jobs = new JobServiceClient(target, credentials, channel);
  const shared = { channelOverride: jobs.getChannel() };
  const schedules = new ScheduleServiceClient(target, credentials, shared);
  return new GrpcClient(jobs, schedules, metadata, options);
}

class GrpcClient implements Client {
  readonly schedules: Schedules;
  private readonly timeoutMs: number;
  private readonly calls = new Set<ClientUnaryCall>();

  constructor(
    private readonly service: JobServiceClient,
    scheduleService: ScheduleServiceClient,
    private readonly metadata: Metadata,
    private readonly options: ConnectOptions,
  ) {
    this.timeoutMs = options.timeoutMs ?? 30_000;
    this.schedules = new Schedules({
      service: scheduleService,
      call: (method, request) => this.callOf(scheduleService, method, request, this.timeoutMs),
      upload: (job) => this.upload(job),
      filesOf,
    });
  }

  async submit(job: LoadedJob, options: SubmitOptions = {}) {
    const request = submitRequest(job, options);
    await this.upload(job);
    return this.call(this.service.submit, request, 10 * this.timeoutMs);
  }

  async explain(job: LoadedJob) {
    await this.upload(job);
    const reply = await this.call(
      this.service.explain,
      submitRequest(job, {}),
      10 * this.timeoutMs,
    );
    return { plan: JSON.parse(reply.planJson) as unknown, text: reply.text };
  }

  async *preview(
    job: LoadedJob,
    options: { step?: string; rows?: number },
  ): AsyncGenerator<RecordBatch> {
    await this.upload(job);
    const request = {
      job: submitRequest(job, {}),
      step: options.step ?? '',
      rows: options.rows ?? 20,
    };
    yield* recordBatches(readStream(() => this.service.preview(request, this.metadata)));
  }

  async get(job: string): Promise<JobView> {
    const { jobJson } = await this.call(this.service.getJob, { jobId: job });
    return JSON.parse(jobJson) as JobView;
  }

  async list(query: { state?: string; limit?: number } = {}): Promise<JobView[]> {
    const request = { state: query.state ?? '', limit: query.limit ?? 100 };
    const { jobsJson } = await this.call(this.service.listJobs, request);
    return jobsJson.map((json) => JSON.parse(json) as JobView);
  }

  events(job: string, options: { afterSeq?: number; follow?: boolean; signal?: AbortSignal } = {}) {
    const { reconnectMs } = this.options;
    return watchEvents(this.service, this.metadata, job, {
      ...options,
      ...(reconnectMs === undefined ? {} : { reconnectMs }),
    });
  }

  async wait(
    job: string,
    options: { timeoutMs?: number; signal?: AbortSignal } = {},
  ): Promise<JobView> {
    // Timers take whole milliseconds only.
    const timeoutMs = options.timeoutMs === undefined ? undefined : Math.ceil(options.timeoutMs);
    const timeout = timeoutMs === undefined ? undefined : AbortSignal.timeout(timeoutMs);
    const signals = [timeout, options.signal].filter((signal) => signal !== undefined);
    const signal = AbortSignal.any(signals);
    let afterSeq = 0;
    for (;;) {
      for await (const event of this.events(job, { follow: true, signal, afterSeq })) {
        afterSeq = Math.max(afterSeq, event.seq);
      }
      const view = await this.get(job);
      if (endStates.has(view.state)) return view;
      if (timeout?.aborted) {
        const message = `job ${job} is ${view.state} after ${timeoutMs} ms`;
        fail('cancelled', 'E_WAIT_TIMEOUT', message, { hint: 'it goes on; wait again' });
      }
      if (options.signal?.aborted) {
        fail('cancelled', 'E_CANCELLED', `waiting for job ${job} was cancelled`);
      }
      // The stream ended before the job did; the job's end is what counts.
      await delay(endPollMs);
    }
  }

  async why(job: string): Promise<WhyView> {
    const { answer, detailJson } = await this.call(this.service.why, { jobId: job });
    return { answer, detail: JSON.parse(detailJson) as WhyView['detail'] };
  }

  async cancel(job: string): Promise<JobView> {
    const { jobJson } = await this.call(this.service.cancelJob, { jobId: job });
    return JSON.parse(jobJson) as JobView;
  }

  retry(job: string, options: { onlyDeadLetters?: boolean; requestId?: string } = {}) {
    const request = {
      jobId: job,
      requestId: options.requestId ?? randomUUID(),
      onlyDeadLetters: options.onlyDeadLetters ?? false,
    };
    return this.call(this.service.retryJob, request, 10 * this.timeoutMs);
  }

  result(job: string, output = '', options: { maxRows?: number } = {}) {
    const request = { jobId: job, output, maxRows: options.maxRows ?? 0 };
    return recordBatches(readStream(() => this.service.fetchResult(request, this.metadata)));
  }

  async *logs(job: string, options: { follow?: boolean; signal?: AbortSignal } = {}) {
    const request = { jobId: job, follow: options.follow ?? false };
    const lines = readStream(() => this.service.logs(request, this.metadata), options.signal);
    for await (const { timeMs, level, workerId, text } of lines) {
      yield { timeMs, level, worker: workerId, text };
    }
  }

  async workers(): Promise<WorkerView[]> {
    const { workersJson } = await this.call(this.service.listWorkers, {});
    return workersJson.map((json) => JSON.parse(json) as WorkerView);
  }

  async drain(worker: string): Promise<void> {
    await this.call(this.service.drainWorker, { workerId: worker });
  }

  close(): void {
    // A closed channel would let them wait; the other side must hear that nobody does any more.
    for (const call of this.calls) call.cancel();
    this.service.close();
  }

  private async upload(job: LoadedJob): Promise<void> {
    if (job.files.size === 0) return;
    await putMissingBlobs(this.service, this.metadata, [...job.files.values()], (digests) =>
      this.call(this.service.missingBlobs, { digests }).then((reply) => reply.digests),
    );
  }

  private call<Request, Response>(
    method: Unary<Request, Response>,
    request: Request,
    timeoutMs = this.timeoutMs,
  ): Promise<Response> {
    return this.callOf(this.service, method, request, timeoutMs);
  }

  private callOf<Request, Response>(
    service: JobServiceClient | ScheduleServiceClient,
    method: Unary<Request, Response>,
    request: Request,
    timeoutMs: number,
  ): Promise<Response> {
    return new Promise((resolve, reject) => {
      const options = { deadline: Date.now() + timeoutMs };
      const call = method.call(service, request, this.metadata, options, (error, reply) => {
        this.calls.delete(call);
        if (error) reject(statusToError(error));
        else resolve(reply);
      });
      this.calls.add(call);
    });
  }
}

function submitRequest(job: LoadedJob, options: SubmitOptions): SubmitRequest {
  return {
    requestId: options.requestId ?? randomUUID(),
    specJson: job.specJson,
    files: filesOf(job),
    redoDeadLetters: options.redoDeadLetters ?? false,
  };
}

function filesOf(job: LoadedJob): Record<string, UploadedFile> {
  return Object.fromEntries([...job.files].map(([path, file]) => [path, uploadedFile(file)]));
}

function uploadedFile(file: LocalFile): UploadedFile {
  const { digest, bytes, name } = file;
  return { digest, bytes, name, external: file.external.map(uploadedFile) };
}
