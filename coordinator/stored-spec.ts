/**
 * What a job is done again from: the request that it was submitted with, and what the files were
 * before some of them were mended. The journal keeps it as text; that of jobs before has no `earlier`.
 */
import { canonicalJson } from '../shared/chunk-identity.js';
import { fail } from '../shared/failure.js';
import type { SubmitRequest } from '../shared/gen/windrow.js';

/** What was uploaded for a job: functions' bundles and models, by the path in the spec. */
export type JobFiles = SubmitRequest['files'];

export interface StoredSpec {
  /** Absent of a job whose plan was handed in ready. */
  readonly request?: SubmitRequest;
  /** Files of before whose programs made what stays, or what has to go; the newest come first. */
  readonly earlier: readonly JobFiles[];
}

/** How a job is done again. */
export interface Again {
  readonly requestId: string;
  readonly onlyDeadLetters: boolean;
  /** Instead of those that the job came with; the others stay. */
  readonly files: JobFiles;
}

export function storedSpec(request: SubmitRequest, earlier: readonly JobFiles[]): string {
  return JSON.stringify({ request, ...(earlier.length > 0 ? { earlier } : {}) });
}

export function readStored(text: string): StoredSpec {
  return { earlier: [], ...(JSON.parse(text) as Partial<StoredSpec>) };
}

/**
 * The request of a job that is done again, with what its files were before, each once.
 * @throws WindrowError E_RETRY_FILES
 */
export function doneAgain(
  { request, earlier }: StoredSpec,
  { requestId, onlyDeadLetters, files }: Again,
): Required<StoredSpec> {
  if (!request) fail('broken', 'E_INTERNAL', 'the job was submitted without a spec');
  const unknown = Object.keys(files).find((path) => !Object.hasOwn(request.files, path));
  if (unknown !== undefined) refuse(`the job came without '${unknown}'`);
  if (!onlyDeadLetters && Object.keys(files).length > 0) {
    refuse('what a job came with is only mended for its dead letters');
  }
  const now = { ...request.files, ...files };
  const known = [now];
  for (const each of [request.files, ...earlier]) {
    if (!known.some((other) => sameFiles(other, each))) known.push(each);
  }
  return {
    request: { ...request, requestId, redoDeadLetters: onlyDeadLetters, files: now },
    earlier: known.slice(1),
  };
}

export function sameFiles(a: JobFiles, b: JobFiles): boolean {
  return canonicalJson(a) === canonicalJson(b);
}

function refuse(message: string): never {
  fail('invalidSpec', 'E_RETRY_FILES', message, {
    hint: 'give files that the job names, together with onlyDeadLetters',
  });
}
