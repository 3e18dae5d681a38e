/**
 * From a request to a plan: the spec checked, its files there, everything planned. Starts nothing and
 * changes nothing.
 */
import { randomBytes } from 'node:crypto';
import type { SubmitRequest, UploadedFile } from '../shared/gen/windrow.js';
import { fail } from '../shared/failure.js';
import { makeJobId, type JobId } from '../shared/ids.js';
import type { JobSpec } from '../shared/job-spec.js';
import { limits } from '../shared/limits.js';
import type { JobConstants } from '../shared/plan.js';
import { validateSpec } from '../shared/spec-file.js';
import { mapPaths } from '../shared/spec-paths.js';
import type { DeviceFacts } from './analyse/devices.js';
import type { CheckPath } from './analyse/globs.js';
import type { PlannedJob } from './analyse/plan-job.js';
import { type BlobStore, digestsOf } from './blob-store.js';

export interface PreparationDependencies {
  readonly blobs: BlobStore;
  /** Throws E_URI_DENIED for what lies outside the roots. */
  readonly checkPath: CheckPath;
  readonly allowCode: boolean;
  readonly devices: (pool: string) => Promise<DeviceFacts>;
  readonly slots: () => number;
  readonly nowMs: () => number;
}

export interface Prepared {
  readonly id: JobId;
  readonly spec: JobSpec;
  readonly specJson: string;
  readonly planned: PlannedJob;
}

export class Preparation {
  constructor(private readonly deps: PreparationDependencies) {}

  /**
   * @param checkPlace judges where the job would write; default: as `checkPath` does
   * @param constants of a job that this one does once more; default: its own
   * @throws WindrowError whatever is wrong with the spec, its data, functions and models
   */
  async prepare(
    request: SubmitRequest,
    {
      checkPlace = this.deps.checkPath,
      constants,
    }: { readonly checkPlace?: CheckPath; readonly constants?: JobConstants } = {},
  ): Promise<Prepared> {
    const { deps } = this;
    const spec = specOf(request);
    this.checkCode(spec);
    const nowMs = deps.nowMs();
    const id = makeJobId(nowMs, randomBytes(3).toString('hex'));
    // DuckDB comes with it: a coordinator listens before that is loaded.
    const { planJob } = await import('./analyse/plan-job.js');
    const planned = await planJob({
      spec,
      files: this.filesOf(request.files),
      blobPath: (digest) => deps.blobs.path(digest),
      checkPath: deps.checkPath,
      checkPlace,
      devices: () => deps.devices(spec.run.pool ?? 'cpu'),
      slots: deps.slots(),
      ...(constants ?? { jobId: id, nowMs }),
    });
    return { id, spec, specJson: request.specJson, planned };
  }

  /**
   * What can be said of a job long before it runs, without its data: whether this server lets it read
   * and write there, run its code, and has what was uploaded for it. A run is checked all the same.
   * @throws WindrowError E_CODE_DENIED | E_URI_DENIED | E_MODEL_MISSING | E_MAP_MODULE | E_BLOB
   */
  admit(spec: JobSpec, files: Record<string, UploadedFile>): void {
    this.checkCode(spec);
    mapPaths(spec, (path, role) => {
      if (role !== 'model' && role !== 'module') this.deps.checkPath(path);
      else if (!Object.hasOwn(files, path)) {
        const code = role === 'model' ? 'E_MODEL_MISSING' : 'E_MAP_MODULE';
        fail('invalidSpec', code, `'${path}' was not uploaded with the job`, {
          at: { file: path },
          hint: 'check the path; the client and the CLI upload it',
        });
      }
      return path;
    });
    this.filesOf(files);
  }

  private checkCode(spec: JobSpec): void {
    if (this.deps.allowCode || !spec.steps.some((step) => 'map' in step)) return;
    fail('invalidSpec', 'E_CODE_DENIED', 'this coordinator does not run user code (map steps)', {
      hint: 'start it with --allow-code if you trust all who can submit',
    });
  }

  private filesOf(files: Record<string, UploadedFile>): Record<string, UploadedFile> {
    const missing = this.deps.blobs.missing(digestsOf(files));
    if (missing.length > 0) {
      fail('invalidSpec', 'E_BLOB', `${missing.length} files of this job were not uploaded`, {
        hint: 'submit through the client or the CLI, which upload them first',
      });
    }
    return files;
  }
}

/** @throws WindrowError E_SPEC_TOO_LARGE | E_SPEC_SYNTAX, and what the spec's check finds */
export function specOf(request: SubmitRequest): JobSpec {
  return validateSpec(parseSpec(request.specJson));
}

export function parseSpec(json: string): unknown {
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
