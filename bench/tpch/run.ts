/**
 * TPC-H from SQL text on two worker processes of one slot, against DuckDB alone with two threads on the same files;
 * both in turn, query by query, and every answer compared.
 * Usage: npm run bench:tpch [-- --scale 10] [--rounds 1] [--queries 1,6] [--keep]
 */
import { rmSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api';
import { connect, job, type JobBuilder, parquet } from '../../client/index.js';
import { startBuiltCoordinator, startWorkers, stopWorkers, until } from '../empty-job.js';
import { cpuMs, dataDirectory } from '../engine.js';
import { report, seconds, table } from '../report.js';
import { answerOf, differenceOf } from './answer.js';
import { generateTpch, tableGlob, tpchFolder } from './generate.js';
import { createViews } from './oracle.js';
import { queryName, queryNumbers, queryText } from './queries.js';
import { tables } from './tables.js';

const { values } = parseArgs({
  options: {
    scale: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '1' },
    queries: { type: 'string' },
    keep: { type: 'boolean', default: false },
  },
});
const scale = Number(values.scale);
const rounds = Number(values.rounds);
const numbers = values.queries?.split(',').map(Number) ?? queryNumbers;
const workerCount = 2;

interface Measured {
  readonly ms: number;
  readonly duckdbMs: number;
  /** Of all threads: of the workers, of the coordinator, of DuckDB. */
  readonly workerCpuMs: number;
  readonly coordinatorCpuMs: number;
  readonly duckdbCpuMs: number;
  /** Stages, and whether the whole query ran as one. */
  readonly stages: number;
  readonly difference?: string;
}

const folder = tpchFolder(scale);
await generateTpch({ scale });
const place = path.join(dataDirectory, 'tpch-run');
rmSync(place, { recursive: true, force: true });
const coordinator = await startBuiltCoordinator(path.join(place, 'state'), true);
const workers = startWorkers(coordinator.endpoint, workerCount, 1);
const client = connect(coordinator.endpoint);
const instance = await DuckDBInstance.create(':memory:', { threads: '2' });
const duckdb = await instance.connect();

try {
  await createViews(duckdb, folder);
  await until(async () => (await client.workers()).length === workerCount);
  const best = new Map<number, Measured>();
  for (let round = 0; round < rounds; round += 1) {
    for (const number of numbers) {
      const measured = await measure(number, duckdb, round);
      const before = best.get(number);
      best.set(number, {
        ...measured,
        ms: Math.min(measured.ms, before?.ms ?? measured.ms),
        duckdbMs: Math.min(measured.duckdbMs, before?.duckdbMs ?? measured.duckdbMs),
      });
      console.log(queryName(number), seconds(measured.ms), seconds(measured.duckdbMs));
    }
  }
  tell(best);
} finally {
  client.close();
  await stopWorkers(workers);
  await coordinator.stop();
  if (!values.keep) rmSync(place, { recursive: true, force: true });
}

async function measure(number: number, oracle: DuckDBConnection, round: number): Promise<Measured> {
  const text = queryText(number, scale);
  const name = `${queryName(number)}-${round}`;
  const output = path.join(place, name);
  const spec = tables.reduce<JobBuilder<string>>(
    (built, each) => built.source(each, parquet(tableGlob(folder, each))),
    job(`tpch-${name}`),
  );
  const loaded = await spec.sql('answer', text).output({ from: 'answer', parquet: output }).load();
  const workersBefore = workersCpuMs();
  const cpuBefore = ownCpuMs();
  const started = performance.now();
  const { jobId } = await client.submit(loaded);
  const view = await client.wait(jobId);
  const ms = performance.now() - started;
  const workerCpuMs = workersCpuMs() - workersBefore;
  const duckdbCpuBefore = ownCpuMs();
  const coordinatorCpuMs = duckdbCpuBefore - cpuBefore;
  if (view.state !== 'succeeded') throw new Error(`${name}: ${JSON.stringify(view.failure)}`);
  const duckdbStarted = performance.now();
  const expected = await oracle.runAndReadAll(text);
  const duckdbMs = performance.now() - duckdbStarted;
  const duckdbCpuMs = ownCpuMs() - duckdbCpuBefore;
  const found = await oracle.runAndReadAll(`from read_parquet('${output}/*.parquet')`);
  const difference = differenceOf(answerOf(expected), answerOf(found));
  rmSync(output, { recursive: true, force: true });
  const stages = view.stages.length;
  const cpu = { workerCpuMs, coordinatorCpuMs, duckdbCpuMs };
  return { ms, duckdbMs, ...cpu, stages, ...(difference === undefined ? {} : { difference }) };
}

function ownCpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

function workersCpuMs(): number {
  return workers.reduce((sum, { pid }) => sum + (pid === undefined ? 0 : cpuMs(pid)), 0);
}

function tell(best: ReadonlyMap<number, Measured>): void {
  const rows = [...best].map(([number, each]) => ({
    query: queryName(number),
    windrow: seconds(each.ms),
    duckdb: seconds(each.duckdbMs),
    ratio: (each.duckdbMs / each.ms).toFixed(2),
    'cpu of workers': seconds(each.workerCpuMs),
    'of coordinator': seconds(each.coordinatorCpuMs),
    'of duckdb': seconds(each.duckdbCpuMs),
    stages: each.stages,
    answer: each.difference ?? 'equal',
  }));
  const sum = (of: (each: Measured) => number): number =>
    [...best.values()].reduce((total, each) => total + of(each), 0);
  const ours = sum(({ ms }) => ms);
  const theirs = sum(({ duckdbMs }) => duckdbMs);
  const text =
    `Scale factor ${scale}, ${best.size} queries from SQL text to published files, ${workerCount} workers of one slot; ` +
    `DuckDB alone with two threads on the same files, in turn. Best of ${rounds}.`;
  const cpu = `CPU: workers ${seconds(sum(({ workerCpuMs }) => workerCpuMs))} s, coordinator ${seconds(sum(({ coordinatorCpuMs }) => coordinatorCpuMs))} s, DuckDB ${seconds(sum(({ duckdbCpuMs }) => duckdbCpuMs))} s.`;
  const total = `Sum: ${seconds(ours)} s, DuckDB ${seconds(theirs)} s, **ratio ${(theirs / ours).toFixed(2)}**.`;
  report(`tpch sf${scale}`, [text, table(rows), total, cpu]);
  if (rows.some(({ answer }) => answer !== 'equal')) process.exitCode = 1;
}
