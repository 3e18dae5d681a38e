/** A coordinator that cannot go on: how its process ends, and that the next one goes on. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openJournal } from '../../coordinator/journal/sqlite-journal.js';
import { startCoordinator } from '../../coordinator/main.js';
import { makeInput, published, startRun, writeSpec } from '../chaos/engine.js';
import { submitted } from './core/fixtures.js';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'windrow-crash-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function crashFile(state: string): string {
  const [name] = readdirSync(state).filter((each) => /^crash-\d+\.json$/.test(each));
  return join(state, name!);
}

it('a broken invariant ends its process with exit code 1, its code and its state, and can be started again', async () => {
  const state = join(directory, 'state');
  const broken = submitted({ stages: [{ rows: 4, starts: [0, 9] }] });
  const script = `
    const { startCoordinator } = await import(${JSON.stringify(resolve('dist/coordinator/main.js'))});
    const coordinator = await startCoordinator({
      stateDirectory: ${JSON.stringify(state)}, embedded: false });
    await coordinator.submitPlan(${JSON.stringify(submitted({ id: 'jfine' }))});
    await coordinator.submitPlan(${JSON.stringify(broken)});`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script]);
  let stderr = '';
  child.stderr.on('data', (data: Buffer) => (stderr += data.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  expect(code, stderr).toBe(1);
  expect(stderr).toMatch(
    /^error E_ILLEGAL_TRANSITION: the coordinator stops: .*\n {2}hint: .*crash-/m,
  );
  const dump = JSON.parse(readFileSync(crashFile(state), 'utf8')) as Record<string, unknown[]>;
  expect(dump['error']).toContain('illegal');
  expect(dump['jobs']).toHaveLength(1);
  expect(statSync(crashFile(state)).mode & 0o777).toBe(0o600);

  const again = await startCoordinator({ stateDirectory: state, embedded: false });
  if ('busy' in again) throw new Error('the dead process still holds its state directory');
  await again.stop();
});

it('a run whose journal another process takes ends with exit code 1, and the next run goes on', async () => {
  await makeInput(directory);
  const spec = writeSpec(directory);
  const first = startRun(spec, ['--workers', '1']);
  await first.until(({ event, chunksDone }) => event === 'progress' && Number(chunksDone) > 0);
  const journal = openJournal(join(directory, '.windrow'));
  await journal.acquire();
  await journal.close();
  const { code, stderr } = await first.done;
  expect(code, stderr).toBe(1);
  expect(stderr).toContain('error E_FENCED: the coordinator stops: ');

  const { code: next, result } = await startRun(spec, ['--workers', '1']).done;
  expect(next).toBe(0);
  expect(result!.rowsReused).toBeGreaterThan(0);
  expect((await published(join(directory, 'out'))).rows).toBe(result!.rows.out);
});
