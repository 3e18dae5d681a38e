/** What a process says and does that is to be an engine: real processes, in the place of Node. */
import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, expect, test } from 'vitest';
import { openEngineProcess } from '../../client/engine-process.js';
import { failureOf } from './job-server.js';

const directory = mkdtempSync(join(tmpdir(), 'windrow-engine-'));
const { execPath } = process;
afterEach(() => void (process.execPath = execPath));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const start = () =>
  openEngineProcess({
    stateDirectory: join(directory, 'state'),
    workers: 1,
    signal: new AbortController().signal,
  });

test('what others print where the engine answers is not taken for its answer', async () => {
  process.execPath = join(directory, 'talks.sh');
  const said = ['(a warning)', '7', 'null', '{"level":"info"}', '{"endpoint":"unix:/nowhere"}'];
  const script = [...said.map((line) => `echo '${line}'`), 'exec cat'];
  writeFileSync(process.execPath, `#!/bin/sh\n${script.join('\n')}\n`, { mode: 0o755 });
  const engine = await start();
  expect(engine.endpoint).toBe('unix:/nowhere');
  await engine.suspend();
  expect(engine.lost.aborted).toBe(false);
});

test('an engine that cannot be started is lost, and nothing else is', async () => {
  const limit = (files: string) =>
    execFileSync('prlimit', ['--pid', String(process.pid), `--nofile=${files}`]);
  const [before] = execFileSync('prlimit', [
    '--nofile',
    '--output=SOFT',
    '--noheadings',
    '--pid',
    String(process.pid),
  ])
    .toString()
    .split('\n');
  const files: number[] = [];
  limit('256:');
  let started: Promise<unknown>;
  try {
    for (;;) files.push(openSync('/dev/null', 'r'));
  } catch {
    started = start();
  } finally {
    files.forEach((file) => closeSync(file));
  }
  limit(`${before!.trim()}:`);
  expect(await failureOf(started)).toMatchObject({ code: 'E_ENGINE_LOST' });
  process.execPath = join(directory, 'not-there');
  expect(await failureOf(start())).toMatchObject({
    code: 'E_ENGINE_LOST',
    message: expect.stringContaining('not-there') as string,
  });
});
