/**
 * The first rows of a step: a cut-down job runs over them into a scratch directory, which is read
 * back and removed. Never: writes where the job itself would.
 */
import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import type { SubmitRequest, SubmitResponse } from '../shared/gen/windrow.js';
import { fail, WindrowError } from '../shared/failure.js';
import type { JobSpec } from '../shared/job-spec.js';
import { limits } from '../shared/limits.js';
import type { InputFile, StagePlan } from '../shared/plan.js';
import { nameHint } from '../shared/spec-problems.js';
import { mapPaths } from '../shared/spec-paths.js';
import type { PlannedJob } from './analyse/plan-job.js';
import type { Catalogue } from './catalogue.js';
import { previewRequest } from './journal/journal.js';
import { parseSpec, type Preparation, specOf } from './preparation.js';
import type { Submission } from './submission.js';

export interface PreviewsDependencies {
  readonly preparation: Preparation;
  readonly submission: Submission;
  readonly catalogue: Catalogue;
  /** Throws E_URI_DENIED for what lies outside the roots. */
  readonly checkPath: (path: string) => void;
  /** Directory for what previews write. */
  readonly scratch: string;
  readonly readArrow: (directory: string, maxRows: number | undefined) => AsyncIterable<Uint8Array>;
}

export class Previews {
  constructor(private readonly deps: PreviewsDependencies) {}

  /** Runs a cut-down job over the first rows into a scratch directory, then reads that back. */
  async *rows(
    request: { job?: SubmitRequest | undefined; step: string; rows: number },
    aborted: AbortSignal,
  ): AsyncGenerator<{ data: Uint8Array }> {
    const rows = Math.min(Math.max(1, request.rows || 20), 10_000);
    const directory = `${this.deps.scratch}/${randomBytes(6).toString('hex')}`;
    try {
      yield* this.firstRows(request, rows, directory, aborted);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  }

  private async *firstRows(
    request: { job?: SubmitRequest | undefined; step: string },
    rows: number,
    directory: string,
    aborted: AbortSignal,
  ): AsyncGenerator<{ data: Uint8Array }> {
    const { jobId: id } = await this.submit(request, rows, directory, aborted);
    for await (const notice of this.deps.catalogue.watch(id, 0, true, aborted, 1000)) void notice;
    if (aborted.aborted) return void (await this.deps.submission.cancel(id));
    const view = await this.deps.catalogue.get(id);
    if (view.failure) throw new WindrowError(view.failure);
    for await (const data of this.deps.readArrow(`${directory}/out`, rows)) yield { data };
  }

  private async submit(
    { job, step }: { job?: SubmitRequest | undefined; step: string },
    rows: number,
    directory: string,
    aborted: AbortSignal,
  ): Promise<SubmitResponse> {
    if (!job) fail('invalidSpec', 'E_SPEC_INVALID', 'a preview needs a job');
    const spec = specOf(job);
    const from = shownStep(step, spec);
    const cut = {
      ...(parseSpec(job.specJson) as JobSpec),
      metadata: { name: `${spec.metadata.name}-preview` },
      outputs: [{ from, parquet: `${directory}/out` }],
      checkpoints: {},
      shuffle: {},
      deadLetters: { path: `${directory}/dead` },
    };
    const whole = {
      ...job,
      requestId: previewRequest + randomBytes(12).toString('hex'),
      specJson: JSON.stringify(cut),
      redoDeadLetters: false,
    };
    // What it would write is refused as the job itself would be; what it does write is ours.
    mapPaths(spec, (path, role) => {
      if (role !== 'source' && role !== 'model' && role !== 'module') this.deps.checkPath(path);
      return path;
    });
    const prepared = await this.deps.preparation.prepare(whole, { checkPlace: () => undefined });
    const first = { ...prepared, planned: cutToFirst(prepared.planned, rows) };
    return this.deps.submission.start(whole, first, aborted);
  }
}

/** @throws WindrowError E_UNKNOWN_STEP: the spec has no such step, source or output */
function shownStep(name: string, { sources, steps, outputs }: JobSpec): string {
  if (name === '') return outputs[0]!.from;
  const known = [...Object.keys(sources), ...steps.map(({ id }) => id)];
  if (known.includes(name)) return name;
  const output = outputs.find((each) => each.name === name);
  if (output) return output.from;
  const named = outputs.flatMap((each) => each.name ?? []);
  return fail(
    'invalidSpec',
    'E_UNKNOWN_STEP',
    `the job has no step, source or output '${name}' to preview`,
    { hint: nameHint(name, [...known, ...named]) ?? 'name a step, a source or an output' },
  );
}

/** Pretends that each source ends early: its first rows are all there is. */
function cutToFirst(planned: PlannedJob, rows: number): PlannedJob {
  const { plan } = planned;
  const wanted = Math.max(limits.previewRows, rows);
  const stages = plan.stages.map((stage): StagePlan => {
    const { input } = stage;
    if (input.kind !== 'source') return { ...stage, deterministic: false };
    const files = firstRows(input.files, wanted);
    if (files.length === 0) return stage;
    return { ...stage, input: { ...input, files }, taskStarts: [0], deterministic: false };
  });
  const sources = Object.entries(plan.sources ?? {}).map(([name, files]) => {
    const first = firstRows(files, wanted);
    return [name, first.length === 0 ? files : first] as const;
  });
  // A sample says nothing about how many rows there are.
  const outputs = plan.outputs.map((output) => ({ ...output, rowCounts: [] }));
  const cut = plan.sources ? { sources: Object.fromEntries(sources) } : {};
  return { ...planned, plan: { ...plan, ...cut, stages, outputs } };
}

/**
 * The first files with rows that may pass, the last of them as if it ended early; none where none has
 * any. Row groups that are ruled out stay where they are, as rows are counted from the file's begin.
 */
function firstRows(files: readonly InputFile[], wanted: number): InputFile[] {
  const first: InputFile[] = [];
  let left = wanted;
  for (const file of files) {
    if (left === 0) break;
    const pruned = new Set(file.prunedRowGroups);
    const before = left;
    const rowGroupRows: number[] = [];
    for (const [group, count] of file.rowGroupRows.entries()) {
      if (left === 0) break;
      const taken = pruned.has(group) ? 0 : Math.min(left, count);
      rowGroupRows.push(pruned.has(group) ? count : taken);
      left -= taken;
    }
    if (left === before) continue;
    const kept = file.prunedRowGroups.filter((group) => group < rowGroupRows.length);
    first.push({ ...file, rowGroupRows, prunedRowGroups: kept });
  }
  return first;
}
