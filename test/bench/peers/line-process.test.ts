import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, expect, test } from 'vitest';
import {
  LineProcess,
  ProcessLost,
  type LineProcessOptions,
} from '../../../bench/peers/line-process.js';

const folder = mkdtempSync(path.join(tmpdir(), 'line-process-'));
const log = path.join(folder, 'log.txt');
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const started: LineProcess[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map((each) => each.stop()));
});

function start(program: string, limits: Limits = {}): LineProcess {
  const made = new LineProcess({
    command: [process.execPath, '-e', program],
    folder,
    log,
    timeoutMs: 60_000,
    residentBytesMax: 2 ** 40,
    ...limits,
  });
  started.push(made);
  return made;
}

type Limits = Partial<Pick<LineProcessOptions, 'timeoutMs' | 'residentBytesMax'>>;

/** Says `ready`, then for each line what the expression makes of it. */
function answering(expression: string): LineProcess {
  return start(`
    console.log('ready');
    require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
      console.log(${expression});
    });`);
}

const silent = (limits: Limits): LineProcess => start('setInterval(() => {}, 1e6)', limits);

test('a line is answered by a line, in the folder that was given, and what it took is known', async () => {
  const living = answering(`line + ' ' + process.cwd() + ' ' + process.env.TMPDIR`);
  expect(await living.next()).toBe('ready');
  expect(await living.ask('one')).toBe(`one ${folder} ${folder}`);
  expect(await living.ask('two')).toBe(`two ${folder} ${folder}`);
  expect(living.peakBytes).toBeGreaterThan(2 ** 20);
  expect(living.cpuMs).toBeGreaterThan(0);
});

test('a process that ends says how, and standard error stands in the log', async () => {
  const living = answering(`process.exit(console.error('so be it') ?? 3)`);
  await living.next();
  await expect(living.ask('one')).rejects.toThrow(new ProcessLost('ended with 3'));
  expect(readFileSync(log, 'utf8')).toContain('so be it');
});

test('a program that is not there is a lost process, not a crash', async () => {
  const command = [path.join(folder, 'nothing-here')] as const;
  const living = new LineProcess({ command, folder, log, timeoutMs: 60_000, residentBytesMax: 1 });
  started.push(living);
  await expect(living.next()).rejects.toThrow(/ENOENT/);
});

test('an answer that does not come in time ends the process', async () => {
  const living = silent({ timeoutMs: 100 });
  await expect(living.next()).rejects.toThrow(new ProcessLost('no answer in 0.1 s'));
  expect(living.cpuMs).toBe(0);
  await expect(living.ask('one')).rejects.toThrow(new ProcessLost('no answer in 0.1 s'));
});

test('a process that takes more memory than it may is ended', async () => {
  const living = silent({ residentBytesMax: 2 ** 20 });
  await expect(living.next()).rejects.toThrow(new ProcessLost('out of memory'));
  expect(living.peakBytes).toBeGreaterThan(2 ** 20);
});

test('what a process has started is ended with it', async () => {
  const living = answering(
    `require('node:child_process').spawn(process.execPath, ['-e', 'setInterval(() => {}, 1e6)']).pid`,
  );
  await living.next();
  const child = Number(await living.ask('one'));
  expect(process.kill(child, 0)).toBe(true);
  await living.stop();
  await expect.poll(() => isGone(child)).toBe(true);
});

/** A process that nobody has waited for yet is a zombie, which is as gone. */
function isGone(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return true;
  }
}
