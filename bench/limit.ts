/** What the hardware allows: DuckDB doing the relational work alone, plus the bare model on two threads. */
import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { DuckDBInstance } from '@duckdb/node-api';
import { columns, featureExpressions, featureNames, makeModel, visitsGlob } from './data.js';
import { dataDirectory } from './engine.js';

const threads = 2;

/** Reads all columns, computes every feature (their sum stands for the score), writes; milliseconds. */
export async function relationalMs(features: 8 | 64): Promise<number> {
  const output = path.join(dataDirectory, 'limit');
  rmSync(output, { recursive: true, force: true });
  mkdirSync(output, { recursive: true });
  const computed = Object.entries(featureExpressions(features)).map(
    ([name, expression]) => `${expression} as "${name}"`,
  );
  const sum = featureNames(features)
    .map((name) => `"${name}"`)
    .join(' + ');
  const instance = await DuckDBInstance.create(':memory:', { threads: String(threads) });
  const connection = await instance.connect();
  await connection.run('set preserve_insertion_order = false');
  const started = performance.now();
  await connection.run(
    `copy (select ${columns.map((column) => `"${column}"`).join(', ')}, (${sum})::float as score
           from (select *, ${computed.join(', ')} from read_parquet('${visitsGlob}')))
     to '${output}' (format parquet, compression snappy, per_thread_output)`,
  );
  const elapsed = performance.now() - started;
  connection.closeSync();
  instance.closeSync();
  rmSync(output, { recursive: true });
  return elapsed;
}

/** The model alone over so many rows, sessions already made; the best batch size counts. */
export async function modelMs(features: 8 | 64, rows: number): Promise<number> {
  const times: number[] = [];
  for (const batch of [2048, 8192]) {
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
    const done = all();
    const started = performance.now();
    for (const worker of workers) worker.postMessage('go');
    await done;
    times.push(performance.now() - started);
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
  return Math.min(...times);
}
