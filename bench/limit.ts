/** What the hardware allows: DuckDB doing the relational work alone, plus the bare model on two threads. */
import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { DuckDBInstance } from '@duckdb/node-api';
import { columns, featureExpressions, featureNames, makeModel, visitsGlob } from './data.js';
import { dataDirectory } from './engine.js';

const threads = 2;
export const modelBatches = [256, 512, 1024, 2048, 8192] as const;

/** Of the same work: from begin to end, and by all threads together. */
export interface Cost {
  readonly wallMs: number;
  readonly cpuMs: number;
}

async function costOf(work: () => Promise<unknown>): Promise<Cost> {
  const cpu = process.cpuUsage();
  const started = performance.now();
  await work();
  const wallMs = performance.now() - started;
  const { user, system } = process.cpuUsage(cpu);
  return { wallMs, cpuMs: (user + system) / 1000 };
}

/**
 * Reads all columns, computes every feature, writes the columns and one more of the score's type:
 * the job's files without the model. Two threads, each with a file of its own.
 */
export async function relationalCost(features: 8 | 64, glob = visitsGlob): Promise<Cost> {
  const output = path.join(dataDirectory, 'limit');
  rmSync(output, { recursive: true, force: true });
  mkdirSync(output, { recursive: true });
  const computed = Object.entries(featureExpressions(features)).map(
    ([name, expression]) => `${expression} as "${name}"`,
  );
  // DuckDB drops what nothing reads. Packing references the vectors and copies none, and the CASE
  // keeps the optimizer from taking one member out of the pack and forgetting the others. Divided by
  // a row's number it is a value of its own in each row, as a score is, and takes as many bytes.
  const packed = featureNames(features).map((name) => `c_${name} := "${name}"`);
  const one = `(case when amount is not null then struct_pack(${packed.join(', ')}) end)`;
  const last = `${one}.c_${featureNames(features).at(-1) ?? ''}`;
  const score = `(${last} / (1 + visit_id))::float`;
  const instance = await DuckDBInstance.create(':memory:', { threads: String(threads) });
  const connection = await instance.connect();
  await connection.run('set preserve_insertion_order = false');
  const cost = await costOf(() =>
    connection.run(
      `copy (select ${columns.map((column) => `"${column}"`).join(', ')}, ${score} as score
             from (select *, ${computed.join(', ')} from read_parquet('${glob}')))
       to '${output}' (format parquet, compression snappy, per_thread_output)`,
    ),
  );
  connection.closeSync();
  instance.closeSync();
  rmSync(output, { recursive: true });
  return cost;
}

/** The model alone over so many rows at one batch size, sessions already made. */
export async function modelCost(features: 8 | 64, rows: number, batch: number): Promise<Cost> {
  const workers = Array.from(
    { length: threads },
    () =>
      new Worker(new URL('./raw-model-thread.mjs', import.meta.url), {
        workerData: { model: makeModel(features), inputs: features, batch, rows: rows / threads },
      }),
  );
  const all = (): Promise<unknown> =>
    Promise.all(
      workers.map(
        (worker) =>
          new Promise((resolve, reject) => {
            worker.once('message', resolve);
            worker.once('error', reject);
          }),
      ),
    );
  await all();
  const cost = await costOf(() => {
    const done = all();
    for (const worker of workers) worker.postMessage('go');
    return done;
  });
  await Promise.all(workers.map((worker) => worker.terminate()));
  return cost;
}
