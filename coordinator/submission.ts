/**
 * From a request to an accepted job: validate, plan, look at the outputs, find chunks that can be
 * reused, and only then journal it. Whatever is wrong is found here, before any work.
 */
import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import type {
  ExplainResponse,
  SubmitRequest,
  SubmitResponse,
  UploadedFile,
} from '../shared/gen/windrow.js';
import { parseDurationMs } from '../shared/duration.js';
import { fail, WindrowError } from '../shared/failure.js';
import { makeJobId, type JobId } from '../shared/ids.js';
import type { JobSpec } from '../shared/job-spec.js';
import { limits } from '../shared/limits.js';
import type { JobPlan } from '../shared/plan.js';
import { validateSpec } from '../shared/spec-file.js';
import type { JobView } from '../shared/views.js';
import type { DeviceFacts } from './analyse/devices.js';
import type { PlannedJob } from './analyse/plan-job.js';
import type { BlobStore } from './blob-store.js';
import type { Catalogue } from './catalogue.js';
import type { Committer } from './committer.js';
import type { JobSubmitted, RunSettings } from './core/events.js';
import { isEnded, type JobState, type State } from './core/state.js';
import { JobChunks } from './job-chunks.js';
import type { Journal } from './journal/journal.js';
import type { Loop } from './loop.js';
import { explainJson, explainText } from './planner/explain.js';

export interface SubmissionDependencies {
  readonly state: State;
  readonly journal: Journal;
  readonly loop: () => Loop;
  readonly blobs: BlobStore;
  readonly catalogue: Catalogue;
  readonly committer: Committer;
  /** Throws E_URI_DENIED for what lies outside the roots. */
  readonly checkPath: (path: string) => void;
  readonly allowCode: boolean;
  readonly devices: () => Promise<DeviceFacts>;
  readonly slots: () => number;
  readonly held: ReadonlySet<JobId>;
  /** Lets a suspended job go on. */
  readonly wake: (job: JobState) => void;
  /** Directory for what `preview` writes. */
  readonly scratch: string;
  readonly readArrow: (directory: string, maxRows: number | undefined) => AsyncIterable<Uint8Array>;
  readonly note: (job: JobId, kind: string, data: Record<string, unknown>) => void;
  readonly nowMs: () => number;
}

interface Prepared {
  readonly id: JobId;
  readonly spec: JobSpec;
  readonly specJson: string;
  readonly planned: PlannedJob;
}

export class Submission {
  /** One submission at a time: two of the same name or output must see each other. */
  private turn: Promise<unknown> = Promise.resolve();

  constructor(private readonly deps: SubmissionDependencies) {}

  submit(request: SubmitRequest): Promise<SubmitResponse> {
    const answer = this.turn.then(() => this.accept(request));
    this.turn = answer.catch(() => undefined);
    return answer;
  }

  async explain(request: SubmitRequest): Promise<ExplainResponse> {
    const { plan } = (await this.prepare(request)).planned;
    return { planJson: JSON.stringify(explainJson(plan)), text: explainText(plan) };
  }

  /** A new job from the stored spec of an ended one. */
  async retry(
    idOrName: string,
    requestId: string,
    onlyDeadLetters: boolean,
  ): Promise<SubmitResponse> {
    const live = this.deps.catalogue.live(idOrName);
    if (live && !isEnded(live.phase) && !this.deps.held.has(live.id)) {
      fail('invalidSpec', 'E_NOT_FINISHED', `job ${live.id} has not ended`, {
        hint: `wait for it, or cancel it with: windrow cancel ${live.id}`,
      });
    }
    const stored = live?.spec ?? (await this.deps.catalogue.archivedJob(idOrName)).spec;
    const { request } = JSON.parse(stored) as { request: SubmitRequest };
    return this.submit({ ...request, requestId, redoDeadLetters: onlyDeadLetters });
  }

  async cancel(idOrName: string): Promise<JobView> {
    const { catalogue, loop, nowMs } = this.deps;
    const job = catalogue.live(idOrName);
    if (!job) return catalogue.get(idOrName);
    if (job.phase.kind === 'committing') {
      fail('invalidSpec', 'E_COMMITTING', `job ${job.id} is publishing its output`, {
        hint: 'it can no longer be cancelled; wait for it',
      });
    }
    await loop().post({ type: 'job.cancel', jobId: job.id, reason: 'user', nowMs: nowMs() });
    return catalogue.view(job);
  }

  /** Runs a cut-down job over the first rows into a scratch directory, then reads that back. */
  async *preview(
    request: { job?: SubmitRequest | undefined; step: string; rows: number },
    aborted: AbortSignal,
  ): AsyncGenerator<{ data: Uint8Array }> {
    const rows = Math.min(Math.max(1, request.rows || 20), 10_000);
    const directory = `${this.deps.scratch}/${randomBytes(6).toString('hex')}`;
    try {
      yield* this.previewRows(request, rows, directory, aborted);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  }

  private async *previewRows(
    request: { job?: SubmitRequest | undefined; step: string },
    rows: number,
    directory: string,
    aborted: AbortSignal,
  ): AsyncGenerator<{ data: Uint8Array }> {
    const { jobId: id } = await this.submitPreview(request, rows, directory);
    for await (const notice of this.deps.catalogue.watch(id, 0, true, aborted, 1000)) void notice;
    if (aborted.aborted) return void (await this.cancel(id));
    const view = await this.deps.catalogue.get(id);
    if (view.failure) throw new WindrowError(view.failure);
    for await (const data of this.deps.readArrow(`${directory}/out`, rows)) yield { data };
  }

  private async submitPreview(
    { job, step }: { job?: SubmitRequest | undefined; step: string },
    rows: number,
    directory: string,
  ): Promise<SubmitResponse> {
    if (!job) fail('invalidSpec', 'E_SPEC_INVALID', 'a preview needs a job');
    const spec = validateSpec(parseSpec(job.specJson));
    const from = step || spec.outputs[0]!.from;
    const cut = {
      ...(parseSpec(job.specJson) as JobSpec),
      metadata: { name: `${spec.metadata.name}-preview` },
      outputs: [{ from, parquet: `${directory}/out` }],
      checkpoints: {},
      deadLetters: { path: `${directory}/dead` },
    };
    const whole = { ...job, specJson: JSON.stringify(cut), redoDeadLetters: false };
    const prepared = await this.prepare(whole);
    return this.start(whole, { ...prepared, planned: firstRows(prepared.planned, rows) });
  }

  private async accept(request: SubmitRequest): Promise<SubmitResponse> {
    if (request.requestId === '') request.requestId = randomBytes(12).toString('hex');
    const known = await this.byRequest(request.requestId);
    if (known) return { jobId: known, existing: true };
    const prepared = await this.prepare(request);
    const same = await this.settleSameName(prepared);
    if (same) return { jobId: same, existing: true };
    return this.start(request, prepared);
  }

  private async prepare(request: SubmitRequest): Promise<Prepared> {
    const { deps } = this;
    const spec = validateSpec(parseSpec(request.specJson));
    if (!deps.allowCode && spec.steps.some((step) => 'map' in step)) {
      fail('invalidSpec', 'E_CODE_DENIED', 'this coordinator does not run user code (map steps)', {
        hint: 'start it with --allow-code if you trust all who can submit',
      });
    }
    const nowMs = deps.nowMs();
    const id = makeJobId(nowMs, randomBytes(3).toString('hex'));
    // DuckDB comes with it: a coordinator listens before that is loaded.
    const { planJob } = await import('./analyse/plan-job.js');
    const planned = await planJob({
      spec,
      files: this.filesOf(request.files),
      blobPath: (digest) => deps.blobs.path(digest),
      checkPath: deps.checkPath,
      devices: deps.devices,
      slots: deps.slots(),
      jobId: id,
      nowMs,
    });
    return { id, spec, specJson: request.specJson, planned };
  }

  private filesOf(files: Record<string, UploadedFile>): Record<string, UploadedFile> {
    const all = Object.values(files).flatMap((file) => [file, ...file.external]);
    const missing = this.deps.blobs.missing(all.map(({ digest }) => digest));
    if (missing.length > 0) {
      fail('invalidSpec', 'E_BLOB', `${missing.length} files of this job were not uploaded`, {
        hint: 'submit through the client or the CLI, which upload them first',
      });
    }
    return files;
  }

  private async byRequest(requestId: string): Promise<JobId | undefined> {
    for (const job of this.deps.state.jobs.values()) if (job.requestId === requestId) return job.id;
    const [archived] = await this.deps.journal.archived({ requestId, limit: 1 });
    return archived?.jobId;
  }

  /**
   * An unfinished job of this name: one that is committing is finished first, one that is the same
   * and alive *is* this run, any other is superseded and publishes nothing.
   */
  private async settleSameName({ id, planned, spec }: Prepared): Promise<JobId | undefined> {
    const { state, held, loop, nowMs } = this.deps;
    for (const job of [...state.jobs.values()]) {
      if (job.name !== spec.metadata.name || isEnded(job.phase)) continue;
      const suspended = held.has(job.id);
      const same = sameOutputs(job.plan, planned.plan);
      if (job.phase.kind === 'committing' && job.phase.manifests) {
        this.deps.wake(job);
        if (same) return job.id;
        await this.untilEnded(job);
      } else if (same && !suspended && job.phase.kind === 'running') {
        return job.id;
      } else {
        await loop().post({
          type: 'job.cancel',
          jobId: job.id,
          reason: 'superseded',
          by: id,
          nowMs: nowMs(),
        });
        await this.untilEnded(job);
      }
    }
    return undefined;
  }

  private async untilEnded(job: JobState): Promise<void> {
    const never = new AbortController().signal;
    for await (const notice of this.deps.catalogue.watch(job.id, 0, true, never, 100_000))
      void notice;
    await this.deps.loop().settled();
  }

  private async start(
    request: SubmitRequest,
    { id, spec, planned }: Prepared,
  ): Promise<SubmitResponse> {
    const { committer, loop, note, nowMs } = this.deps;
    const { plan } = planned;
    const look = (): Promise<boolean> =>
      committer.checkOutputs(id, spec.metadata.name, plan, request.redoDeadLetters);
    await look();
    await committer.claim(id, spec.metadata.name, plan);
    try {
      // Somebody may have published between the first look and the claim.
      const upToDate = await look();
      const chunks = new JobChunks(id, plan);
      const found = await committer.reuse(chunks, {
        redoDeadLetters: request.redoDeadLetters,
        upToDate,
      });
      const event: JobSubmitted = {
        type: 'job.submitted',
        jobId: id,
        requestId: request.requestId,
        name: spec.metadata.name,
        spec: JSON.stringify({ request }),
        plan,
        run: runSettings(spec),
        reused: found.reused,
        counts: { rowsTotal: planned.rowsTotal, rowsPruned: planned.rowsPruned, ...found.counts },
        nowMs: nowMs(),
      };
      await loop().post(event);
    } catch (error) {
      await committer.releasePlan(id, plan);
      throw error;
    }
    for (const { kind, step, text } of plan.notes)
      note(id, 'note', { kind, text, ...(step ? { step } : {}) });
    return { jobId: id, existing: false };
  }
}

function parseSpec(json: string): unknown {
  if (Buffer.byteLength(json) > limits.specBytes) {
    fail('invalidSpec', 'E_SPEC_TOO_LARGE', `the spec has over ${limits.specBytes} bytes`);
  }
  try {
    return JSON.parse(json) as unknown;
  } catch (error) {
    return fail(
      'invalidSpec',
      'E_SPEC_SYNTAX',
      `the spec is not JSON: ${(error as Error).message}`,
    );
  }
}

function runSettings(spec: JobSpec): RunSettings {
  const { priority, weight, attempts, timeout, taskTimeout } = spec.run;
  return {
    priority,
    weight,
    attempts,
    ...(timeout ? { timeoutMs: parseDurationMs(timeout) } : {}),
    ...(taskTimeout ? { taskTimeoutMs: parseDurationMs(taskTimeout) } : {}),
  };
}

function sameOutputs(a: JobPlan, b: JobPlan): boolean {
  const identities = (plan: JobPlan): string =>
    JSON.stringify(plan.outputs.map(({ path, identity, mode }) => [path, identity, mode]));
  return identities(a) === identities(b);
}

/** Pretends that the first file ends early: a chunk of its first rows is all there is. */
function firstRows(planned: PlannedJob, rows: number): PlannedJob {
  const wanted = Math.max(2048, rows);
  const stages = planned.plan.stages.map((stage) => {
    if (stage.input.kind !== 'source') return stage;
    const file = stage.input.files.find((each) => each.rowGroupRows.some((count) => count > 0));
    if (!file) return stage;
    const first = file.rowGroupRows.findIndex((count) => count > 0);
    const before = file.rowGroupRows.slice(0, first).map(() => 0);
    const cut = {
      ...file,
      rowGroupRows: [...before, Math.min(wanted, file.rowGroupRows[first]!)],
      prunedRowGroups: [],
    };
    return {
      ...stage,
      input: { ...stage.input, files: [cut] },
      taskStarts: [0],
      deterministic: false,
    };
  });
  // A sample says nothing about how many rows there are.
  const outputs = planned.plan.outputs.map((output) => ({ ...output, rowCounts: [] }));
  return { ...planned, plan: { ...planned.plan, stages, outputs } };
}
