/**
 * A place for jobs that must fail: good data, a good model and a spec to spoil, and the built CLI
 * as a child process. At most two commands run at once. Never: ends a process it did not start.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { expect } from 'vitest';
import type { Failure } from '../../shared/failure.js';
import type { JobSpecInput } from '../../shared/job-spec.js';
import { mlpModel } from '../../shared/onnx-model.js';
import { type Ended, verbHere } from '../verb-here.js';

const cli = resolve(import.meta.dirname, '../../dist/cli/main.js');

/** Rows of `data.parquet`: 50 000 in five row groups. */
export const rows = 50_000;

export type Change = Partial<JobSpecInput>;

export class Place {
  private readonly folders = new Set<string>();

  private constructor(readonly directory: string) {}

  static async open(): Promise<Place> {
    const place = new Place(realpathSync(mkdtempSync(join(tmpdir(), 'windrow-bad-'))));
    await duckdb(`
      copy (
        select i as id, (hash(i) % 1000) / 10.0 as amount, (i % 90)::int as age,
          'user-' || (i % 77) as name, case when i = 31234 then null else i % 7 end as visits
        from range(${rows}) t(i)
      ) to '${place.path('data.parquet')}' (format parquet, row_group_size 10240)`);
    const layer = { weights: new Float32Array(2), bias: new Float32Array(1), activation: 'none' };
    place.write('model.onnx', mlpModel([layer as never], { input: 'x', output: 'y' }));
    return place;
  }

  path(...parts: string[]): string {
    return join(this.directory, ...parts);
  }

  write(name: string, content: string | Uint8Array): string {
    const path = this.path(name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    return path;
  }

  /** A spec of its own directory, so that nothing of another case lies there. */
  spec(name: string, change: Change): string {
    const whole: JobSpecInput = {
      apiVersion: 'windrow/v1',
      kind: 'Job',
      metadata: { name: slug(name) },
      sources: { orders: { parquet: this.path('data.parquet') } },
      outputs: [{ name: 'result', from: change.steps?.at(-1)?.id ?? 'orders', parquet: 'out' }],
      ...change,
    };
    // Cases run at the same time, and different ones may have the same letters and digits.
    const folder = this.folders.has(slug(name)) ? `${slug(name)}-${this.folders.size}` : slug(name);
    this.folders.add(folder);
    return this.write(`${folder}/job.json`, JSON.stringify(whole));
  }

  /** What stands in a spec's output, staging included, and what stands in its dead letters. */
  published(spec: string): string[] {
    return [
      ...filesBelow(join(dirname(spec), 'out')),
      ...filesBelow(join(dirname(spec), 'out.dead')),
    ];
  }

  close(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export function slug(name: string): string {
  return name
    .replace(/[^A-Za-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')
    .slice(0, 60);
}

export async function duckdb(sql: string): Promise<Record<string, unknown>[]> {
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' });
  const connection = await instance.connect();
  try {
    return (await connection.runAndReadAll(sql)).getRowObjectsJson();
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

export function filesBelow(directory: string): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1));
}

const patienceMs = 100_000;

let running = 0;
const queue: (() => void)[] = [];

/** Runs the built CLI to its end, as soon as fewer than two others run. */
export async function windrow(args: readonly string[], cwd?: string): Promise<Ended> {
  if (running >= 2) await new Promise<void>((go) => queue.push(go));
  running += 1;
  try {
    return await ended(start(args, cwd));
  } finally {
    running -= 1;
    queue.shift()?.();
  }
}

export function start(args: readonly string[], cwd?: string): ChildProcess {
  return spawn(process.execPath, [cli, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(cwd === undefined ? {} : { cwd }),
  });
}

export function ended(child: ChildProcess): Promise<Ended> {
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (data: Buffer) => (stdout += data.toString()));
  child.stderr?.on('data', (data: Buffer) => (stderr += data.toString()));
  // A command that hangs fails its own test, and does not hold up the others.
  const late = setTimeout(() => child.kill('SIGKILL'), patienceMs);
  return new Promise((done) =>
    child.on('close', (code) => {
      clearTimeout(late);
      done({ code, stdout, stderr });
    }),
  );
}

/** Resolves with the first line of stderr that matches; rejects when the process ends before. */
export function lineOf(child: ChildProcess, wanted: RegExp): Promise<RegExpExecArray> {
  return new Promise((done, failed) => {
    let text = '';
    child.stderr?.on('data', (data: Buffer) => {
      text += data.toString();
      const found = wanted.exec(text);
      if (found) done(found);
    });
    child.on('close', (code) => failed(new Error(`ended with ${code}: ${text}`)));
  });
}

/** What is said of a spec that is refused. */
export interface Refusal {
  readonly code: string;
  /** Each must stand in what is said on stderr. */
  readonly says: readonly (string | RegExp)[];
}

/** `run` must refuse the spec: exit 2, these words, and no trace. */
export async function expectRefused(
  place: Place,
  spec: string,
  refusal: Refusal,
  args: readonly string[] = [],
): Promise<void> {
  const before = place.published(spec);
  checkRefusal(await windrow(['run', spec, '--workers', '1', ...args]), refusal);
  expect(place.published(spec)).toEqual(before);
}

/**
 * As `expectRefused` with `validate`, which plans on the same path without starting workers, and so
 * needs no process of its own.
 */
export async function expectInvalid(
  place: Place,
  spec: string,
  refusal: Refusal,
  ask: typeof verbHere = verbHere,
): Promise<void> {
  checkRefusal(await ask(['validate', spec]), refusal);
  expect(place.published(spec)).toEqual([]);
}

function checkRefusal({ code, stdout, stderr }: Ended, refusal: Refusal): void {
  expect(stderr).toContain(`error ${refusal.code}: `);
  for (const words of refusal.says) expect(stderr).toMatch(words);
  expect(stderr).not.toMatch(/\n\s+at .*\(|node:internal/);
  expect(code, stderr).toBe(2);
  expect(stdout).not.toContain('"submitted"');
}

export interface FailedJob {
  readonly failure: Failure;
  readonly ended: Ended;
}

/** Runs a job that is accepted and must fail: exit 1, the failure told, nothing published. */
export async function expectFailed(
  place: Place,
  spec: string,
  code: string,
  args: readonly string[] = [],
): Promise<FailedJob> {
  const run = await windrow(['run', spec, '--workers', '1', ...args]);
  expect(run.stderr).toContain(`error ${code}: `);
  expect(run.code, run.stderr).toBe(1);
  const lines = run.stdout.trim().split('\n');
  const result = JSON.parse(lines.at(-1)!) as { event: string; state: string; failure: Failure };
  expect(result).toMatchObject({ event: 'result', state: 'failed' });
  expect(place.published(spec).filter((name) => !name.startsWith('_windrow/chunks/'))).toEqual([]);
  return { failure: result.failure, ended: run };
}
