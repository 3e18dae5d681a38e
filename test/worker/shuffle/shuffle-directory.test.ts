import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { temporaryPath } from '../../../shared/storage/paths.js';
import {
  defaultShuffleDirectory,
  makeShuffleDirectory,
  removeOldShuffleFiles,
  shuffleKeepMs,
} from '../../../worker/shuffle/shuffle-directory.js';
import { writeChunk } from './machines.js';

let home: string;
let directory: string;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'windrow-shuffle-'));
  directory = join(home, 'spill-shuffle');
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const refused = (path: string) =>
  expect(makeShuffleDirectory(path)).rejects.toMatchObject({
    failure: { code: 'E_SHUFFLE_DIRECTORY', hint: expect.stringContaining('--shuffle-dir') },
  });

it('lies beside the spill directory, and is the same at the next start', () => {
  expect(defaultShuffleDirectory(join(home, 'spill'))).toBe(directory);
  const own = defaultShuffleDirectory(undefined);
  expect(own).toBe(defaultShuffleDirectory(undefined));
  expect(own.startsWith(tmpdir())).toBe(true);
});

it('is made for its user alone, and one that is there is taken', async () => {
  await makeShuffleDirectory(directory);
  expect(statSync(directory).mode & 0o777).toBe(0o700);
  const path = writeChunk(directory, 10);
  await makeShuffleDirectory(directory);
  expect(existsSync(path)).toBe(true);
});

it('is refused where it is a link, a file, or cannot be made', async () => {
  mkdirSync(join(home, 'elsewhere'));
  symlinkSync(join(home, 'elsewhere'), directory);
  await refused(directory);
  writeFileSync(join(home, 'file'), '');
  await refused(join(home, 'file'));
  await refused(join(home, 'file', 'below'));
});

it('is refused where it belongs to another user', async () => {
  const isRoot = process.getuid?.() === 0;
  mkdirSync(directory);
  if (isRoot) chownSync(directory, 1, 1);
  await refused(isRoot ? directory : '/');
});

it('loses chunk files that are old, finished or not, and nothing else', async () => {
  const nowMs = 30 * shuffleKeepMs;
  const age = (path: string, ms: number): void =>
    utimesSync(path, (nowMs - ms) / 1000, (nowMs - ms) / 1000);
  const tag = 'j1-s0-0-1-i1';
  const old = writeChunk(directory, 10, 'old');
  const young = writeChunk(directory, 10, 'young');
  const begun = temporaryPath(old.replace(/[^/]*$/, `${'a'.repeat(64)}.${tag}.chunk`), 'w');
  mkdirSync(begun);
  writeFileSync(join(begun, 'data_0.parquet'), 'rows');
  const foreign = join(old, '..', 'notes.txt');
  writeFileSync(foreign, 'of the user');
  const above = join(directory, 'notes.chunk');
  writeFileSync(above, 'of the user');
  for (const path of [old, begun, foreign, above]) age(path, shuffleKeepMs + 1000);
  age(young, shuffleKeepMs - 1000);
  await removeOldShuffleFiles(directory, nowMs);
  expect([old, begun].filter(existsSync)).toEqual([]);
  expect([young, foreign, above].every(existsSync)).toBe(true);
});
