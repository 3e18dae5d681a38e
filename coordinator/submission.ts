/**
 * From a prepared request to an accepted job: settle with jobs of its name, look at the outputs, find
 * chunks that can be reused, and only then journal it. Whatever is wrong is found before any work.
 */
import { randomBytes } from 'node:crypto';
import { dirname, join, resolve } from 'node:path';
import type { ExplainResponse, SubmitRequest, SubmitResponse } from '../shared/gen/windrow.js';
import { parseDurationMs } from '../shared/duration.js';
import { fail, WindrowError } from '../shared/failure.js';
import type { JobId } from '../shared/ids.js';
import type { JobSpec } from '../shared/job-spec.js';
import type { JobPlan } from '../shared/plan.js';
import type { JobView } from '../shared/views.js';
import type { Catalogue } from './catalogue.js';
import { keepsOthers } from './commit/freeze.js';
import { Turns } from './commit/turns.js';
import type { Committer, OutputsFound } from './committer.js';
import type { JobSubmitted, RunSettings } from './core/events.js';
import { isEnded, type JobState, type State } from './core/state.js';
import { stateName } from './core/views.js';
import type { EarlierChunks } from './earlier-chunks.js';
import { JobChunks } from './job-chunks.js';
import type { Journal } from './journal/journal.js';
import type { Loop } from './loop.js';
import { type Preparation, type Prepared, specOf } from './preparation.js';
import {
  type Again,
  againWith,
  type Before,
  doneAgain,
  type JobFiles,
  nothingBefore,
  readStored,
  runSoFar,
  storedSpec,
} from './stored-spec.js';

export interface SubmissionDependencies {
  readonly state: State;
  readonly journal: Journal;
  readonly loop: () => Loop;
  readonly preparation: Preparation;
  readonly earlier: EarlierChunks;
  readonly catalogue: Catalogue;
  readonly committer: Committer;
  readonly held: ReadonlySet<JobId>;
  /** Lets a suspended job go on. */
  readonly wake: (job: JobState) => void;
  readonly note: (job: JobId, kind: string, data: Record<string, unknown>) => void;
  /** Called whenever a submission has ended, one way or another. */
  readonly ended: () => void;
  readonly nowMs: () => number;
}

interface JobOfName {
  readonly id: JobId;
  readonly spec: string;
  readonly state: string;
  readonly upToDate: boolean;
}

/** Of a name, so many of the newest are looked at. */
const jobsOfName = 1000;

export class Submission {
  /** Two of one name, one output or one request must see each other; all others go ahead. */
  private readonly turns = new Turns();
  private readonly closing = new AbortController();
  private readonly starting = new Set<Promise<unknown>>();
  private count = 0;

  constructor(private readonly deps: SubmissionDependencies) {}

  /** Whether a request waits for its answer. */
  get underWay(): boolean {
    return this.count > 0;
  }

  /**
   * @param aborted nobody waits for the answer any more: nothing is started
   * @param before what is taken over from the job that this does again
   */
  async submit(
    request: SubmitRequest,
    aborted: AbortSignal,
    before: Before = nothingBefore,
  ): Promise<SubmitResponse> {
    this.count += 1;
    try {
      const spec = specOf(request);
      if (request.requestId === '') request.requestId = randomBytes(12).toString('hex');
      const keys = [
        `request ${request.requestId}`,
        `name ${spec.metadata.name}`,
        ...spec.outputs.map(({ parquet }) => `output ${resolve(parquet)}`),
      ];
      const signal = this.untilClosed(aborted);
      return await this.turns.run(() => this.accept(request, before, signal), keys);
    } finally {
      this.count -= 1;
      this.deps.ended();
    }
  }

  /** From here on nothing is started; resolves when nothing is just about to be. */
  async close(): Promise<void> {
    this.closing.abort(closed());
    await Promise.allSettled([...this.starting]);
  }

  async explain(request: SubmitRequest): Promise<ExplainResponse> {
    const { plan } = (await this.deps.preparation.prepare(request)).planned;
    const { explainJson, explainText } = await import('./planner/explain.js');
    return { planJson: JSON.stringify(explainJson(plan)), text: explainText(plan) };
  }

  /** A new job from the stored spec of an ended one. @throws WindrowError E_RETRY_FILES, E_RETRY_OUTPUT */
  async retry(idOrName: string, how: Again, aborted: AbortSignal): Promise<SubmitResponse> {
    // Asked again, the name is that of the job which the first time has made.
    const known = how.requestId === '' ? undefined : await this.byRequest(how.requestId);
    if (known) return { jobId: known, existing: true };
    const live = this.deps.catalogue.live(idOrName);
    if (live && !isEnded(live.phase) && !this.deps.held.has(live.id)) {
      fail('invalidSpec', 'E_NOT_FINISHED', `job ${live.id} has not ended`, {
        hint: `wait for it, or cancel it with: windrow cancel ${live.id}`,
      });
    }
    const job = live ?? (await this.deps.catalogue.archivedJob(idOrName));
    const state = 'phase' in job ? stateName(job) : job.state;
    const { request, ...before } = doneAgain(readStored(job.spec), how, state);
    if (state !== 'succeeded') await this.checkNotDoneSince(job, request, before);
    return this.submit(request, aborted, before);
  }

  /** A try of a schedule's run, whose earlier ones had its name: the same run once more. */
  async tryAgain(request: SubmitRequest, aborted: AbortSignal): Promise<SubmitResponse> {
    const [last] = await this.jobsOf(specOf(request).metadata.name);
    if (!last) return this.submit(request, aborted);
    const before = againWith(readStored(last.spec), request, last.state);
    // Without dead letters to be done again, all is done by what the schedule has now.
    const earlier = request.redoDeadLetters ? before.earlier : [];
    return this.submit(request, aborted, { ...before, earlier });
  }

  /** What another run has done since, under the same name, would be there twice. */
  private async checkNotDoneSince(
    job: Pick<JobState, 'name'> & ({ readonly id: JobId } | { readonly jobId: JobId }),
    request: SubmitRequest,
    own: Before,
  ): Promise<void> {
    if (!specOf(request).outputs.some(keepsOthers)) return;
    const submitted = 'id' in job ? job.id : job.jobId;
    const since = (await this.jobsOf(job.name)).find(({ id, spec, state, upToDate }) => {
      // Ids sort by their time. What was up to date has done nothing.
      if (state !== 'succeeded' || upToDate || id <= submitted) return false;
      const { request: other, constants } = readStored(spec);
      const another = constants !== undefined && constants.jobId !== own.constants?.jobId;
      return another && other?.specJson === request.specJson;
    });
    if (!since) return;
    fail('invalidSpec', 'E_RETRY_OUTPUT', `job ${since.id} has done what this one was to do`, {
      hint: `look at it with: windrow describe ${since.id}`,
    });
  }

  /** Jobs of a name, living and ended. */
  private async jobsOf(name: string): Promise<JobOfName[]> {
    const { state, journal } = this.deps;
    const living = [...state.jobs.values()].filter((job) => job.name === name);
    const ended = await journal.archived({ name, limit: jobsOfName });
    return [
      ...living.map((job) => ({
        id: job.id,
        spec: job.spec,
        state: stateName(job),
        upToDate: job.before?.upToDate === true,
      })),
      ...ended.map(({ jobId: id, spec, state: then, view }) => {
        const { upToDate } = JSON.parse(view) as JobView;
        return { id, spec, state: then, upToDate };
      }),
    ];
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

  private async accept(
    request: SubmitRequest,
    before: Before,
    signal: AbortSignal,
  ): Promise<SubmitResponse> {
    signal.throwIfAborted();
    const known = await this.byRequest(request.requestId);
    if (known) return { jobId: known, existing: true };
    const { name } = specOf(request).metadata;
    for (;;) {
      // What is being published may be just this: then it is of the same time.
      const frozen = this.frozenOf(name);
      const asThen = frozen && !before.constants ? { constants: frozen.plan.constants } : {};
      const own = { ...before, ...asThen };
      const planned = await this.deps.preparation.prepare(request, own);
      const { constants } = own;
      const soFar = constants && runSoFar(constants, await this.jobsOf(name));
      const kept = await this.deps.earlier.keep(request, planned, before.earlier, soFar, signal);
      const { prepared, earlier } = kept;
      const same = await this.settleSameName(prepared, signal);
      if (same) return { jobId: same, existing: true };
      // Now that it is finished, outputs are others, and so is the time.
      if (!frozen) return this.start(request, prepared, signal, earlier);
    }
  }

  private frozenOf(name: string): JobState | undefined {
    return [...this.deps.state.jobs.values()].find(
      (job) => job.name === name && job.phase.kind === 'committing' && job.phase.manifests,
    );
  }

  private async byRequest(requestId: string): Promise<JobId | undefined> {
    for (const job of this.deps.state.jobs.values()) {
      if (job.requestId !== requestId) continue;
      // The coordinator it was accepted by ended before it did: who asks again wants it to go on.
      if (!isEnded(job.phase)) this.deps.wake(job);
      return job.id;
    }
    const [archived] = await this.deps.journal.archived({ requestId, limit: 1 });
    return archived?.jobId;
  }

  /**
   * An unfinished job of this name: one that is committing is finished first, one that is the same
   * and alive *is* this run, any other is superseded and publishes nothing.
   */
  private async settleSameName(
    { id, planned, spec }: Prepared,
    signal: AbortSignal,
  ): Promise<JobId | undefined> {
    const { state, held, loop, nowMs } = this.deps;
    for (const job of [...state.jobs.values()]) {
      signal.throwIfAborted();
      if (job.name !== spec.metadata.name || isEnded(job.phase)) continue;
      const suspended = held.has(job.id);
      const same = sameOutputs(job.plan, planned.plan);
      if (job.phase.kind === 'committing' && job.phase.manifests) {
        this.deps.wake(job);
        if (same) return job.id;
        await this.untilEnded(job, signal);
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
        await this.untilEnded(job, signal);
      }
    }
    return undefined;
  }

  private async untilEnded(job: JobState, signal: AbortSignal): Promise<void> {
    for await (const notice of this.deps.catalogue.watch(job.id, 0, true, signal, 100_000))
      void notice;
    signal.throwIfAborted();
    await this.deps.loop().settled();
  }

  /**
   * Claims the outputs and journals the job; for what shares name or outputs with nothing else, such
   * as a preview.
   */
  start(
    request: SubmitRequest,
    prepared: Prepared,
    aborted: AbortSignal,
    earlier: readonly JobFiles[] = [],
  ): Promise<SubmitResponse> {
    const stored = storedSpec(request, prepared.planned.plan, earlier);
    const started = this.claimAndStart(request, stored, prepared, this.untilClosed(aborted));
    const tracked = started.finally(() => this.starting.delete(tracked)).catch(() => undefined);
    this.starting.add(tracked);
    return started;
  }

  private untilClosed(aborted: AbortSignal): AbortSignal {
    return AbortSignal.any([aborted, this.closing.signal]);
  }

  private async claimAndStart(
    request: SubmitRequest,
    stored: string,
    { id, spec, planned }: Prepared,
    signal: AbortSignal,
  ): Promise<SubmitResponse> {
    signal.throwIfAborted();
    const { committer, loop, note, nowMs } = this.deps;
    const { plan } = planned;
    const look = (): Promise<OutputsFound> =>
      committer.checkOutputs(spec.metadata.name, plan, request.redoDeadLetters);
    await look();
    await committer.claim(id, spec.metadata.name, plan);
    let unmeant: readonly string[];
    try {
      // Somebody may have published between the first look and the claim.
      const { before, warnings } = await look();
      unmeant = warnings;
      const chunks = new JobChunks(id, { plan });
      const found = await committer.reuse(chunks, {
        redoDeadLetters: request.redoDeadLetters,
        upToDate: before.upToDate,
        signal,
      });
      const event: JobSubmitted = {
        type: 'job.submitted',
        jobId: id,
        requestId: request.requestId,
        name: spec.metadata.name,
        spec: stored,
        plan,
        run: runSettings(spec),
        reused: found.reused,
        counts: { rowsTotal: planned.rowsTotal, rowsPruned: planned.rowsPruned, ...found.counts },
        before,
        nowMs: nowMs(),
      };
      signal.throwIfAborted();
      await loop().post(event);
    } catch (error) {
      await committer.releasePlan(id, plan);
      throw error;
    }
    const files = filesBrought(spec, request.files);
    if (files) note(id, 'files', files);
    for (const { kind, step, text } of plan.notes)
      note(id, 'note', { kind, text, ...(step ? { step } : {}) });
    for (const text of unmeant) note(id, 'warning', { text });
    return { jobId: id, existing: false };
  }
}

function closed(): WindrowError {
  return new WindrowError({
    kind: 'io',
    code: 'E_UNREACHABLE',
    message: 'the coordinator is just ending',
    hint: 'ask again once another one runs',
  });
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

/**
 * Digests of models (their external data, too) and of functions' bundles, by path, and to which
 * model external data belongs.
 */
function filesBrought(
  spec: JobSpec,
  files: JobFiles,
): Record<'models' | 'functions' | 'external', Record<string, string>> | undefined {
  const models: Record<string, string> = {};
  const functions: Record<string, string> = {};
  const external: Record<string, string> = {};
  for (const step of spec.steps) {
    const path = 'map' in step ? step.map.module : 'infer' in step ? step.infer.model : undefined;
    const file = path === undefined ? undefined : files[path];
    if (path === undefined || file === undefined) continue;
    ('map' in step ? functions : models)[path] = file.digest;
    for (const part of file.external) {
      const place = join(dirname(path), part.name);
      models[place] = part.digest;
      external[place] = path;
    }
  }
  const none = Object.keys(models).length + Object.keys(functions).length === 0;
  return none ? undefined : { models, functions, external };
}

function sameOutputs(a: JobPlan, b: JobPlan): boolean {
  const identities = (plan: JobPlan): string =>
    JSON.stringify(plan.outputs.map(({ path, identity, mode }) => [path, identity, mode]));
  return identities(a) === identities(b);
}
