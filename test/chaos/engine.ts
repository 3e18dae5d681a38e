/**
 * Real data, a real model and real processes for the chaos tests: makes the inputs, runs the built
 * CLI, and compares what was published. Kills only processes it started.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { mlpModel } from '../../shared/onnx-model.js';

export const cli = resolve('dist/cli/main.js');

/** Rows of the sample data: two files of 12 row groups. */
export const sampleRows = 240_000;
export const rowGroupRows = 10_240;
/** One a row group. */
export const sampleChunks = 24;

export interface Sample {
  /** Of two files. */
  readonly rows: number;
  /** Of the model's hidden layers. */
  readonly width: number;
}
/** So much work that a kill by hand lands in the middle of it. */
const heavy: Sample = { rows: sampleRows, width: 256 };
/** For kills that wait for their moment: six chunks a file. */
export const light: Sample = { rows: 12 * rowGroupRows, width: 16 };

/** Statement runner on a fresh DuckDB. */
export async function duckdb<T>(sql: string): Promise<T[]> {
  const instance = await DuckDBInstance.create(':memory:', { threads: '2' });
  const connection = await instance.connect();
  try {
    const reader = await connection.runAndReadAll(sql);
    return reader.getRowObjectsJson() as T[];
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

export async function makeInput(
  directory: string,
  files = 2,
  first = 0,
  sample = heavy,
): Promise<void> {
  mkdirSync(join(directory, 'data'), { recursive: true });
  const rows = sample.rows / 2;
  for (let file = first; file < first + files; file += 1) {
    await duckdb(`
      copy (
        select i as id, 'user-' || (hash(i) % 5000) as name, (hash(i * 3) % 10000) / 100.0 as amount,
          case when hash(i * 7) % 50 = 0 then null else (hash(i * 11) % 90)::int end as age,
          (hash(i * 13) % 20)::int as visits,
          ${Array.from({ length: 12 }, (_, k) => `(hash(i * ${k + 17}) % 1000 / 1000.0)::float as f${k}`).join(', ')}
        from range(${file * rows}, ${(file + 1) * rows}) t(i)
      ) to '${join(directory, 'data', `part-${file}.parquet`)}' (format parquet, row_group_size ${rowGroupRows})`);
  }
  writeFileSync(join(directory, 'model.onnx'), sampleModel(sample.width));
}

/** The same input for another case. */
export function copyInput(from: string, to: string): void {
  cpSync(join(from, 'data'), join(to, 'data'), { recursive: true });
  cpSync(join(from, 'model.onnx'), join(to, 'model.onnx'));
}

/** 14 -> width -> width -> 1 with fixed weights. */
function sampleModel(width: number): Uint8Array {
  let seed = 7;
  const next = (): number => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return seed / 2 ** 32 - 0.5;
  };
  const layer = (inputs: number, outputs: number, activation: 'relu' | 'sigmoid') => ({
    weights: Float32Array.from({ length: inputs * outputs }, () => next() / Math.sqrt(inputs)),
    bias: Float32Array.from({ length: outputs }, next),
    activation,
  });
  const layers = [
    layer(14, width, 'relu'),
    layer(width, width, 'relu'),
    layer(width, 1, 'sigmoid'),
  ];
  return mlpModel(layers, { input: 'x', output: 'y' });
}

export function writeSpec(directory: string, changes: { minAmount?: number } = {}): string {
  const features = ['amount', 'visits', ...Array.from({ length: 12 }, (_, k) => `f${k}`)];
  const path = join(directory, 'job.yaml');
  writeFileSync(
    path,
    `apiVersion: windrow/v1
kind: Job
metadata: { name: chaos }
sources:
  orders: { parquet: data/*.parquet }
steps:
  - { id: paying, filter: { from: orders, where: "amount > ${changes.minAmount ?? 5}" } }
  - id: scored
    infer:
      from: paying
      model: model.onnx
      inputs: { x: [${features.join(', ')}] }
      outputs: { y: score }
  - id: checked
    expect:
      from: scored
      onFail: deadLetter
      checks: [{ name: has_age, notNull: age }]
outputs:
  - { name: scored, from: checked, parquet: out, mode: overwrite }
`,
  );
  return path;
}

export interface RunEvent {
  readonly event: string;
  readonly [field: string]: unknown;
}

export interface RunResult {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly events: RunEvent[];
  readonly result: (RunEvent & Result) | undefined;
  readonly stderr: string;
}

export interface Result {
  readonly state: string;
  readonly rows: { in: number; out: number; filtered: number; deadLettered: number };
  readonly rowsInferred: number;
  readonly rowsReused: number;
}

export interface Run {
  readonly child: ChildProcess;
  readonly done: Promise<RunResult>;
  /** Resolves when an event for which `found` is true has arrived. */
  until(found: (event: RunEvent) => boolean): Promise<RunEvent>;
}

/** Starts `windrow run` in a process group of its own. */
export function startRun(
  spec: string,
  args: readonly string[] = [],
  env: Record<string, string> = {},
): Run {
  const child = spawn(process.execPath, [cli, 'run', spec, ...args], {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  const events: RunEvent[] = [];
  const watchers = new Set<() => void>();
  let stderr = '';
  let rest = '';
  child.stdout!.on('data', (data: Buffer) => {
    const lines = (rest + data.toString()).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line.startsWith('{')) events.push(JSON.parse(line) as RunEvent);
    for (const watch of watchers) watch();
  });
  child.stderr!.on('data', (data: Buffer) => (stderr += data.toString()));
  const done = new Promise<RunResult>((resolveDone) => {
    child.on('close', (code, signal) => {
      for (const watch of watchers) watch();
      const result = events.find(({ event }) => event === 'result') as RunResult['result'];
      resolveDone({ code, signal, events, result, stderr });
    });
  });
  const until = (found: (event: RunEvent) => boolean): Promise<RunEvent> =>
    new Promise((resolveUntil, reject) => {
      const look = (): void => {
        const event = events.find(found);
        if (event) {
          watchers.delete(look);
          resolveUntil(event);
        } else if (child.exitCode !== null || child.signalCode !== null) {
          watchers.delete(look);
          reject(new Error(`the run ended first: ${stderr}\n${JSON.stringify(events.slice(-3))}`));
        }
      };
      watchers.add(look);
      look();
    });
  return { child, done, until };
}

/** Kills the run and all its workers at once, as a power cut would. */
export function killGroup(run: Run): void {
  process.kill(-run.child.pid!, 'SIGKILL');
}

/** Process ids of a process's children. */
export function childrenOf(pid: number): number[] {
  const path = `/proc/${pid}/task/${pid}/children`;
  if (!existsSync(path)) return [];
  return readFileSync(path, 'utf8').trim().split(/\s+/).filter(Boolean).map(Number);
}

export interface Published {
  readonly rows: number;
  readonly distinct: number;
  readonly digest: string;
}

/** Rows of an output as a multiset: count, distinct ids and an order-free digest of all values. */
export async function published(output: string): Promise<Published> {
  const [row] = await duckdb<{ n: string; d: string; h: string }>(`
    select count(*) as n, count(distinct id) as d,
      (sum(hash(t)::hugeint) || '/' || bit_xor(hash(t))) as h
    from read_parquet('${output}/**/*.parquet') t`);
  return { rows: Number(row!.n), distinct: Number(row!.d), digest: row!.h };
}

/** Every file below a directory, relative. */
export function filesBelow(directory: string): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1));
}
