/**
 * What a user waits for before anything happens: `windrow run` of ten rows from process start to exit,
 * and a coordinator that takes over a job with 100,000 finished tasks.
 * Usage: npm run bench:startup
 */
import { rmSync } from 'node:fs';
import path from 'node:path';
import { connect } from '../client/index.js';
import { inferenceSpec, makeTenRows } from './data.js';
import {
  emptyJob,
  emptyJobId,
  startBuiltCoordinator,
  startWorkers,
  stopWorkers,
  until,
} from './empty-job.js';
import { dataDirectory, median, runJob } from './engine.js';
import { report, seconds, table, thousands } from './report.js';

const repeats = 7;
const finished = 100_000;
const unfinished = 50_000;

async function tenRowsMs(): Promise<number[]> {
  const parquet = await makeTenRows();
  const times: number[] = [];
  for (let k = 0; k < repeats; k += 1) {
    const output = path.join(dataDirectory, 'ten-out');
    const state = path.join(dataDirectory, 'ten-state');
    for (const folder of [output, state]) rmSync(folder, { recursive: true, force: true });
    const spec = inferenceSpec({ parquet, features: 8, output });
    times.push((await runJob([spec, '--workers', '2', '--state', state])).wallMs);
  }
  return times;
}

/** Leaves a journal in which so many tasks of one job are done and others are not. */
async function halfDoneJob(state: string): Promise<void> {
  rmSync(state, { recursive: true, force: true });
  const coordinator = await startBuiltCoordinator(state, false);
  const client = connect(coordinator.endpoint);
  const workers = startWorkers(coordinator.endpoint, 2, 4);
  await coordinator.submitPlan(emptyJob(finished + unfinished));
  await until(async () => (await client.get(emptyJobId)).progress.chunksDone >= finished);
  await stopWorkers(workers);
  client.close();
  await coordinator.stop();
}

async function takeOver(state: string): Promise<{ ms: number; done: number }> {
  const started = performance.now();
  const coordinator = await startBuiltCoordinator(state, false);
  const client = connect(coordinator.endpoint);
  const view = await client.get(emptyJobId);
  const ms = performance.now() - started;
  client.close();
  await coordinator.stop();
  return { ms, done: view.progress.chunksDone };
}

const ten = await tenRowsMs();
const state = path.join(dataDirectory, 'takeover');
await halfDoneJob(state);
const taken = await takeOver(state);
if (taken.done < finished) throw new Error(`only ${taken.done} tasks were taken over`);
report('startup', [
  table([
    {
      what: 'windrow run of ten rows with a model, 2 workers, process start to exit',
      'median s': seconds(median(ten)),
      'worst s': seconds(Math.max(...ten)),
    },
    {
      what: `coordinator takes over a job with ${thousands(taken.done)} finished tasks, until it answers`,
      'median s': seconds(taken.ms),
      'worst s': seconds(taken.ms),
    },
  ]),
]);
