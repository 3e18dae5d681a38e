/** `windrow backfill create` of very many runs, at a terminal and elsewhere, on a real coordinator. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connect } from '../../client/client.js';
import { loadSchedule } from '../../client/load-schedule.js';
import type { Client } from '../../client/types.js';
import { type RunningCoordinator, startCoordinator } from '../../coordinator/main.js';

const cli = resolve(import.meta.dirname, '../../dist/cli/main.js');
const directory = mkdtempSync(join(tmpdir(), 'windrow-backfills-'));
let coordinator: RunningCoordinator;
let client: Client;

beforeAll(async () => {
  const started = await startCoordinator({
    stateDirectory: join(directory, 'state'),
    embedded: false,
    allowRoots: [directory],
  });
  if ('busy' in started) throw new Error('the state directory is new');
  coordinator = started;
  client = connect(started.endpoint);
  writeFileSync(
    join(directory, 'job.yaml'),
    `apiVersion: windrow/v1
kind: Job
metadata: { name: never }
sources: { rows: { parquet: rows.parquet } }
outputs: [{ from: rows, parquet: out }]
`,
  );
  const spec = join(directory, 'often.yaml');
  writeFileSync(
    spec,
    `apiVersion: windrow/v1
kind: Schedule
metadata: { name: often }
job: job.yaml
trigger: { delta: PT1H, startDate: '2999-01-01' }
paused: true
`,
  );
  await client.schedules.create(await loadSchedule(spec));
});
afterAll(async () => {
  client.close();
  await coordinator.stop();
  rmSync(directory, { recursive: true, force: true });
});

/** What was printed and the exit code, the answer given once a question was asked. */
function create(answer: string | undefined): Promise<{ code: number | null; told: string }> {
  const flags = ['--from', '2020-01-01', '--to', '2021-01-01', '--connect', coordinator.endpoint];
  const args = [cli, 'backfill', 'create', 'often', ...flags];
  // `script` gives what it runs a terminal.
  const child =
    answer === undefined
      ? spawn(process.execPath, args)
      : spawn('script', ['-qec', [process.execPath, ...args].join(' '), '/dev/null']);
  return new Promise((done, failed) => {
    let told = '';
    let asked = false;
    const hear = (part: Buffer): void => {
      told += part.toString();
      if (answer === undefined || asked || !told.includes('[y/N]')) return;
      asked = true;
      child.stdin.write(`${answer}\n`);
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    child.once('error', failed);
    child.once('close', (code) => done({ code, told }));
  });
}

test('without a terminal nobody is asked: it is refused, and says what to give', async () => {
  const { code, told } = await create(undefined);
  expect([code, told]).toEqual([2, expect.stringMatching(/E_BACKFILL_LARGE[^]*--yes/)]);
});

test('at a terminal it is asked about, started after a yes, and not after anything else', async () => {
  const refused = await create('no');
  expect(refused.told).toContain('This is 8785 runs of often. Go ahead?');
  expect([refused.code, refused.told]).toEqual([2, expect.stringContaining('nothing was started')]);
  expect(await client.schedules.backfills()).toEqual([]);
  const started = await create('y');
  expect(started.code, started.told).toBe(0);
  expect(await client.schedules.backfills()).toMatchObject([{ runs: { total: 8785 } }]);
});
