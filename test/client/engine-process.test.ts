/** What a process says and does that is to be an engine: real processes, in the place of Node. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
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
  // In a process of its own: this one would have no files left for anything else either.
  const module = new URL('../../dist/client/engine-process.js', import.meta.url).href;
  const script = `
    import { openSync } from 'node:fs';
    import { openEngineProcess } from ${JSON.stringify(module)};
    try {
      for (;;) openSync('/dev/null', 'r');
    } catch {}
    const stateDirectory = ${JSON.stringify(join(directory, 'state'))};
    const { signal } = new AbortController();
    await openEngineProcess({ stateDirectory, workers: 1, signal }).catch(({ failure }) => {
      console.log(JSON.stringify(failure));
    });`;
  const args = ['--nofile=256:', execPath, '--input-type=module', '--eval', script];
  const failure = JSON.parse(execFileSync('prlimit', args, { encoding: 'utf8' })) as unknown;
  expect(failure).toMatchObject({ code: 'E_ENGINE_LOST' });
  process.execPath = join(directory, 'not-there');
  expect(await failureOf(start())).toMatchObject({
    code: 'E_ENGINE_LOST',
    message: expect.stringContaining('not-there') as string,
  });
});
