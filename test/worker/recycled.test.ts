/** A worker process that has outgrown its `--memory`: it says so, ends, and nothing of its job is lost. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { connect } from '../../client/client.js';
import { loadJob } from '../../client/load.js';
import type { Client } from '../../client/types.js';
import { type RunningCoordinator, startCoordinator } from '../../coordinator/main.js';
import { scoringJob, Workplace } from '../e2e/workplace.js';

let place: Workplace;
let coordinator: RunningCoordinator;
let client: Client;

beforeEach(async () => {
  place = new Workplace();
  await place.numbers(1000);
  place.model();
  const started = await startCoordinator({
    stateDirectory: place.path('state'),
    embedded: false,
    allowRoots: [place.directory],
  });
  if ('busy' in started) throw new Error('the state directory is busy');
  coordinator = started;
  client = connect(coordinator.endpoint);
});

afterEach(async () => {
  client.close();
  await coordinator.stop();
  await place.close();
});

it('finishes what it runs, says why it ends, and ends', async () => {
  // Less than Node and DuckDB take before their first row.
  const args = ['--coordinator', coordinator.endpoint, '--slots', '1', '--memory', '64000000'];
  const env = { ...process.env, UV_THREADPOOL_SIZE: '12' };
  const main = resolve('dist/worker/main.js');
  const worker = spawn(process.execPath, [main, ...args, '--pool', 'cpu'], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env,
  });
  const exited = once(worker, 'exit');
  try {
    let printed = '';
    worker.stderr.on('data', (text: Buffer) => (printed += text.toString()));
    const { jobId } = await client.submit(
      await loadJob(place.write('job.yaml', scoringJob('large', { output: 'out' })), {}),
    );
    expect(await client.wait(jobId)).toMatchObject({ state: 'succeeded' });
    expect(await exited).toEqual([0, null]);
    const said =
      /this worker process takes \d+ MB, may take 64 \(--memory\), and ends after what it runs/;
    expect(printed).toMatch(said);
    const lines: string[] = [];
    for await (const { text } of client.logs(jobId)) lines.push(text);
    expect(lines.join('\n')).toMatch(said);
  } finally {
    worker.kill('SIGKILL');
  }
});
