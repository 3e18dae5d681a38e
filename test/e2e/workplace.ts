/**
 * A directory of its own with data, a model and jobs, and the built command line run in it as users
 * run it. Ends every process it started.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { mlpModel } from '../../shared/onnx-model.js';

const cli = resolve(import.meta.dirname, '../../dist/cli/main.js');

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Started {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  /** Resolves with the first match in what has been printed; rejects when the process ends first. */
  says(pattern: RegExp): Promise<RegExpExecArray>;
}

export class Workplace {
  readonly directory = mkdtempSync(join(tmpdir(), 'windrow-e2e-'));
  private readonly started = new Set<Started>();

  path(...parts: string[]): string {
    return join(this.directory, ...parts);
  }

  write(name: string, text: string | Uint8Array): string {
    const path = this.path(name);
    mkdirSync(resolve(path, '..'), { recursive: true });
    writeFileSync(path, text);
    return path;
  }

  /** Starts `windrow …` in the directory, in a process group of its own. */
  start(args: readonly string[], env: Readonly<Record<string, string>> = {}): Started {
    const child = spawn(process.execPath, [cli, ...args], {
      cwd: this.directory,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      // With the pool size set a worker stays one process, which its group's end takes along.
      env: { ...process.env, NO_COLOR: '1', UV_THREADPOOL_SIZE: '12', ...env },
    });
    let stdout = '';
    let stderr = '';
    const listeners = new Set<() => void>();
    const heard = (): void => listeners.forEach((listen) => listen());
    child.stdout.on('data', (data: Buffer) => {
      stdout += data.toString();
      heard();
    });
    child.stderr.on('data', (data: Buffer) => {
      stderr += data.toString();
      heard();
    });
    const ended = new Promise<Ended>((done) =>
      child.once('close', (code) => {
        this.started.delete(started);
        heard();
        done({ code, stdout, stderr });
      }),
    );
    const says = (pattern: RegExp): Promise<RegExpExecArray> =>
      new Promise((found, reject) => {
        const listen = (): void => {
          const match = pattern.exec(`${stdout}\n${stderr}`);
          if (!match && child.exitCode === null && child.signalCode === null) return;
          listeners.delete(listen);
          if (match) found(match);
          else reject(new Error(`${args.join(' ')} ended without ${String(pattern)}\n${stderr}`));
        };
        listeners.add(listen);
        listen();
      });
    const started: Started = { child, ended, says };
    this.started.add(started);
    return started;
  }

  /** Runs `windrow …` to its end. */
  windrow(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> {
    return this.start(args, env).ended;
  }

  /** The last line of JSON that a verb printed. */
  async json<T>(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<T> {
    const { stdout, stderr } = await this.windrow(args, env);
    const line = stdout.trim().startsWith('[') ? stdout : (stdout.trim().split('\n{').pop() ?? '');
    try {
      return JSON.parse(line.startsWith('[') || line.startsWith('{') ? line : `{${line}`) as T;
    } catch {
      throw new Error(`${args.join(' ')} printed no JSON:\n${stdout}\n${stderr}`);
    }
  }

  async sql<T>(statement: string): Promise<T[]> {
    const instance = await DuckDBInstance.create();
    const connection = await instance.connect();
    try {
      return (await connection.runAndReadAll(statement)).getRowObjectsJson() as T[];
    } finally {
      connection.closeSync();
      instance.closeSync();
    }
  }

  /** Numbers 0 to `rows` with two features, in row groups of 10 240 rows: one chunk each. */
  async numbers(rows: number, name = 'data/numbers.parquet'): Promise<string> {
    const path = this.write(name, '');
    await this.sql(`copy (
        select i, sin(i) as a, cos(i * 3) as b from range(${String(rows)}) t(i)
      ) to '${path}' (format parquet, row_group_size 10240)`);
    return path;
  }

  /** 2 → 16 → 1; with more `layers` of 256 it takes its time. */
  model(layers = 0): string {
    let seed = 5;
    const next = (): number => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647 - 0.5;
    const sizes = [2, ...Array.from({ length: layers }, () => 256), 16, 1];
    const dense = sizes.slice(1).map((outputs, k) => ({
      weights: Float32Array.from({ length: sizes[k]! * outputs }, next),
      bias: Float32Array.from({ length: outputs }, next),
      activation: k + 2 === sizes.length ? ('sigmoid' as const) : ('relu' as const),
    }));
    return this.write('model.onnx', mlpModel(dense, { input: 'x', output: 'y' }));
  }

  async close(): Promise<void> {
    for (const { child } of this.started) {
      try {
        process.kill(-child.pid!, 'SIGKILL');
      } catch {
        // It has ended meanwhile.
      }
    }
    await Promise.all([...this.started].map(({ ended }) => ended));
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** A job that scores the numbers; `change` replaces parts of its text. */
export function scoringJob(
  name: string,
  options: { device?: string; output?: string; where?: string } = {},
): string {
  const { device = 'cpu', output = 'out', where = 'i >= 0' } = options;
  return `apiVersion: windrow/v1
kind: Job
metadata: { name: ${name} }
sources:
  numbers: { parquet: data/*.parquet }
steps:
  - { id: kept, filter: { from: numbers, where: "${where}" } }
  - id: scored
    infer: { from: kept, model: model.onnx, inputs: { x: [a, b] }, outputs: { y: score }, device: ${device} }
outputs:
  - { from: scored, parquet: ${output}, mode: overwrite }
`;
}
