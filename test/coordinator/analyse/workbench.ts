/** A temporary directory with real Parquet files, models and bundles, and jobs planned over them. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api';
import { analyse, type AnalyseOptions } from '../../../coordinator/analyse/analyse.js';
import { FooterCache } from '../../../coordinator/analyse/footer-cache.js';
import { planJob, type PlannedJob } from '../../../coordinator/analyse/plan-job.js';
import type { DeviceFacts } from '../../../coordinator/analyse/devices.js';
import type { Facts, JobFile } from '../../../coordinator/planner/facts.js';
import { sha256Hex } from '../../../shared/chunk-identity.js';
import { WindrowError, type Failure } from '../../../shared/failure.js';
import { jobId } from '../../../shared/ids.js';
import { jobSpecSchema, type JobSpec, type JobSpecInput } from '../../../shared/job-spec.js';

export const nowMs = Date.UTC(2026, 10, 22, 2, 0, 0, 123);
export const cpuOnly: DeviceFacts = { known: true, devices: ['cpu'], hardware: ['cpu'] };

export type WorkSpec = Omit<JobSpecInput, 'apiVersion' | 'kind' | 'metadata'>;

export interface WorkOptions {
  readonly devices?: DeviceFacts;
  readonly nowMs?: number;
  readonly checkPath?: (path: string) => void;
}

function wholeSpec(spec: WorkSpec): JobSpec {
  const head = { apiVersion: 'windrow/v1', kind: 'Job', metadata: { name: 'test' } };
  return jobSpecSchema.parse({ ...head, ...spec });
}

export class Workbench {
  readonly directory = mkdtempSync(join(tmpdir(), 'windrow-plan-'));
  private readonly files: Record<string, JobFile> = {};
  private readonly blobs = new Map<string, string>();

  private constructor(
    private readonly instance: DuckDBInstance,
    readonly connection: DuckDBConnection,
  ) {}

  static async open(): Promise<Workbench> {
    const instance = await DuckDBInstance.create(':memory:', { threads: '1' });
    return new Workbench(instance, await instance.connect());
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  /** Writes the query's rows as Parquet; options as COPY takes them. */
  async parquet(name: string, query: string, options = ''): Promise<string> {
    const path = this.path(name);
    mkdirSync(dirname(path), { recursive: true });
    await this.connection.run(`copy (${query}) to '${path}' (format parquet${options})`);
    return path;
  }

  /** Puts a file where the spec can name it as a model or module. */
  upload(name: string, bytes: Uint8Array | string, external: readonly JobFile[] = []): string {
    const path = this.path(name);
    writeFileSync(path, bytes);
    const digest = sha256Hex(bytes);
    this.files[path] = { digest, bytes: bytes.length, name, external };
    this.blobs.set(digest, path);
    return path;
  }

  async plan(spec: WorkSpec, options: WorkOptions = {}): Promise<PlannedJob> {
    const analysed = this.options(options);
    return planJob({ ...analysed, spec: wholeSpec(spec), slots: 2, jobId: jobId('jtest') });
  }

  /** What analysis finds out, before anything is planned. */
  async facts(spec: WorkSpec, options: WorkOptions = {}): Promise<Facts> {
    return analyse(wholeSpec(spec), this.options(options));
  }

  private options(options: WorkOptions): AnalyseOptions {
    return {
      files: this.files,
      blobPath: (digest) => this.blobs.get(digest)!,
      checkPath: options.checkPath ?? (() => undefined),
      devices: () => Promise.resolve(options.devices ?? cpuOnly),
      nowMs: options.nowMs ?? nowMs,
      footers: new FooterCache(),
    };
  }

  /** The failure that planning ends in. */
  async refusal(...arguments_: Parameters<Workbench['plan']>): Promise<Failure> {
    try {
      await this.plan(...arguments_);
    } catch (error) {
      if (error instanceof WindrowError) return error.failure;
      throw error;
    }
    throw new Error('the job was accepted');
  }

  close(): void {
    this.connection.closeSync();
    this.instance.closeSync();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
