/**
 * Tasks per second through the whole loop: 100,000 empty tasks, one journaled attempt each, over two
 * worker processes; and what a task costs the coordinator's memory.
 * Usage: npm run bench:dispatch
 */
import { rmSync } from 'node:fs';
import path from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { connect } from '../client/index.js';
import {
  emptyJob,
  emptyJobId,
  startBuiltCoordinator,
  startWorkers,
  stopWorkers,
  until,
} from './empty-job.js';
import { dataDirectory, peakResidentBytes } from './engine.js';
import { report, seconds, table, thousands } from './report.js';

const tasks = 100_000;
const workerCount = 2;
const slots = 4;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;
const heapBytes = (): number => {
  collectGarbage();
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  return heapUsed + external + arrayBuffers;
};

const state = path.join(dataDirectory, 'dispatch');
rmSync(state, { recursive: true, force: true });
const coordinator = await startBuiltCoordinator(state, true);
const workers = startWorkers(coordinator.endpoint, workerCount, slots);
const client = connect(coordinator.endpoint);
try {
  await until(async () => (await client.workers()).length === workerCount);
  const job = emptyJob(tasks);
  const before = heapBytes();
  const residentBefore = process.memoryUsage.rss();
  let heapPeak = before;
  const started = performance.now();
  await coordinator.submitPlan(job);
  let halfway = false;
  await until(async () => {
    const view = await client.get(emptyJobId);
    if (!halfway && view.progress.chunksDone > tasks / 2) {
      halfway = true;
      heapPeak = heapBytes();
    }
    if (view.state === 'failed') throw new Error(JSON.stringify(view.failure));
    return view.state === 'succeeded';
  });
  const elapsed = performance.now() - started;
  const residentPeak = peakResidentBytes(process.pid);
  report('dispatch', [
    `${thousands(tasks)} empty tasks, ${workerCount} worker processes of ${slots} slots, journal on disk.`,
    table([
      { what: 'seconds', value: seconds(elapsed) },
      { what: 'tasks/s', value: thousands(tasks / (elapsed / 1000)) },
      {
        what: 'heap of the coordinator a task, half-way, bytes',
        value: Math.round((heapPeak - before) / tasks),
      },
      {
        what: 'resident set of the coordinator at its largest a task, bytes',
        value: Math.round((residentPeak - residentBefore) / tasks),
      },
    ]),
  ]);
} finally {
  client.close();
  await stopWorkers(workers);
  await coordinator.stop();
}
