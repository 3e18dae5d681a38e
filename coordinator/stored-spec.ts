/**
 * What a job is done again from: the request that it was submitted with, and what is known of jobs
 * that it did again itself. The journal keeps it as text.
 */
import { canonicalJson, fileIdentity } from '../shared/chunk-identity.js';
import { fail } from '../shared/failure.js';
import type { SubmitRequest } from '../shared/gen/windrow.js';
import type { JobSpec } from '../shared/job-spec.js';
import type { JobConstants, JobPlan } from '../shared/plan.js';
import { keepsOthers } from './commit/freeze.js';

/** What was uploaded for a job: functions' bundles and models, by the path in the spec. */
export type JobFiles = SubmitRequest['files'];

/** What a job takes over from the one that it does again. */
export interface Before {
  /** Files of before whose programs made what stays, or what has to go; the newest come first. */
  readonly earlier: readonly JobFiles[];
  /** Of the run that this is once more; absent: it is another one. */
  readonly constants?: JobConstants;
}

export interface StoredSpec extends Before {
  /** Absent of a job whose plan was handed in ready. */
  readonly request?: SubmitRequest;
  /** Those of its outputs, by name. */
  readonly identities: Readonly<Record<string, string>>;
  /** Those of its files, where an output keeps what a job does not replace. */
  readonly inputs: readonly string[];
}

export const nothingBefore: Before = { earlier: [] };

/** What the jobs of one run have put into outputs. */
export interface RunSoFar {
  /** Identities of outputs, by name. */
  readonly identities: Readonly<Record<string, readonly string[]>>;
  /** Whether any of them has succeeded. */
  readonly published: boolean;
  /** Identities of the files that their results were made of. */
  readonly inputs: readonly string[];
}

/** How a job is done again. */
export interface Again {
  readonly requestId: string;
  readonly onlyDeadLetters: boolean;
  /** Instead of those that the job came with; the others stay. */
  readonly files: JobFiles;
}

/** @param earlier files of before, as far as they are still of use */
export function storedSpec(
  request: SubmitRequest,
  plan: JobPlan,
  earlier: readonly JobFiles[],
): string {
  const { constants, outputs } = plan;
  const inputs = outputs.some(keepsOthers) ? inputsOf(plan) : [];
  const identities = Object.fromEntries(outputs.map(({ name, identity }) => [name, identity]));
  const stored: StoredSpec = { request, earlier, constants, identities, inputs };
  return JSON.stringify(stored);
}

/** Path of a step's model as the spec has it. */
export function modelOf({ request }: StoredSpec, step: string): string | undefined {
  if (!request) return undefined;
  const { steps = [] } = JSON.parse(request.specJson) as Partial<JobSpec>;
  const found = steps.find(({ id }) => id === step);
  return found && 'infer' in found ? found.infer.model : undefined;
}

/** That of jobs of earlier versions lacks what these did not know. */
export function readStored(text: string): StoredSpec {
  return {
    ...nothingBefore,
    identities: {},
    inputs: [],
    ...(JSON.parse(text) as Partial<StoredSpec>),
  };
}

/**
 * What a request takes over that does a job again which ended in this state: of files of before each
 * once. Where that succeeded and all is done again, it is another run, which asks for the time anew.
 */
export function againWith(stored: StoredSpec, request: SubmitRequest, state: string): Before {
  const known = [request.files];
  for (const each of [...(stored.request ? [stored.request.files] : []), ...stored.earlier]) {
    if (!known.some((other) => sameFiles(other, each))) known.push(each);
  }
  const isSameRun = state !== 'succeeded' || request.redoDeadLetters;
  const { constants } = stored;
  return { earlier: known.slice(1), ...(isSameRun && constants ? { constants } : {}) };
}

/** @param jobs of any runs, with the states in which they are */
export function runSoFar(
  { jobId }: JobConstants,
  jobs: readonly { readonly spec: string; readonly state: string }[],
): RunSoFar {
  const own = jobs
    .map(({ spec, state }) => ({ ...readStored(spec), state }))
    .filter(({ constants }) => constants?.jobId === jobId);
  const identities: Record<string, string[]> = {};
  for (const [name, identity] of own.flatMap((job) => Object.entries(job.identities))) {
    const known = (identities[name] ??= []);
    if (!known.includes(identity)) known.push(identity);
  }
  const succeeded = own.filter(({ state }) => state === 'succeeded');
  const inputs = [...new Set(succeeded.flatMap((job) => job.inputs))];
  return { identities, published: succeeded.length > 0, inputs };
}

/** Identities of all files that a plan reads, cut short: there may be many. */
export function inputsOf({ stages, sources = {} }: JobPlan): string[] {
  const read = stages.flatMap(({ input }) => (input.kind === 'source' ? input.files : []));
  const all = [...read, ...Object.values(sources).flat()];
  return [...new Set(all.map((file) => fileIdentity(file).slice(0, 16)))];
}

/**
 * The request of a job that is done again, and what that takes over.
 * @throws WindrowError E_RETRY_FILES
 */
export function doneAgain(
  stored: StoredSpec,
  { requestId, onlyDeadLetters, files }: Again,
  state: string,
): Before & { readonly request: SubmitRequest } {
  const { request } = stored;
  if (!request) fail('broken', 'E_INTERNAL', 'the job was submitted without a spec');
  const unknown = Object.keys(files).find((path) => !Object.hasOwn(request.files, path));
  if (unknown !== undefined) refuse(`the job came without '${unknown}'`);
  if (!onlyDeadLetters && Object.keys(files).length > 0) {
    refuse('what a job came with is only mended for its dead letters');
  }
  const now = { ...request.files, ...files };
  const again = { ...request, requestId, redoDeadLetters: onlyDeadLetters, files: now };
  return { request: again, ...againWith(stored, again, state) };
}

export function sameFiles(a: JobFiles, b: JobFiles): boolean {
  return canonicalJson(a) === canonicalJson(b);
}

function refuse(message: string): never {
  fail('invalidSpec', 'E_RETRY_FILES', message, {
    hint: 'give files that the job names, together with onlyDeadLetters',
  });
}
