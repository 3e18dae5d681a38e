import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { WindrowError } from '../../../shared/failure.js';
import { ServedFiles } from '../../../worker/shuffle/served-files.js';
import { writeChunk } from './machines.js';

let directory: string;
let chunks: string;
let path: string;
let files: ServedFiles;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'windrow-served-'));
  chunks = join(directory, 'chunks');
  path = writeChunk(chunks, 100);
  files = new ServedFiles();
  files.toldToWrite(chunks);
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** `open`, or the code of why not. */
async function tried(name: string): Promise<string> {
  try {
    const file = await files.open(name);
    await file.close();
    return 'open';
  } catch (error) {
    return (error as WindrowError).failure.code;
  }
}

it('are those of chunks below a directory that attempts write to', async () => {
  expect(await tried(path)).toBe('open');
  const other = writeChunk(join(directory, 'other'), 100);
  expect(await tried(other)).toBe('E_URI_DENIED');
  files.toldToWrite(`${dirname(dirname(other))}/./`);
  expect(await tried(other)).toBe('open');
});

it('may lie in a directory that is itself reached by a link', async () => {
  symlinkSync(chunks, join(directory, 'link'));
  files.toldToWrite(join(directory, 'link'));
  expect(await tried(join(directory, 'link', path.slice(chunks.length)))).toBe('open');
});

it('are found only by names written plainly', async () => {
  const [folder, name] = [basename(dirname(path)), basename(path)];
  for (const sneaky of [
    join('chunks', folder, name),
    `${chunks}/../chunks/${folder}/${name}`,
    `${chunks}/${folder}/../${folder}/${name}`,
    `${chunks}//${folder}/${name}`,
    `${chunks}/./${folder}/${name}`,
    `${path}\0`,
    `${path}/`,
    '',
    '/',
    chunks,
  ]) {
    expect(await tried(sneaky), sneaky).toBe('E_URI_DENIED');
  }
});

it('are no other files that lie there', async () => {
  const folder = dirname(path);
  for (const name of ['secret', 'data.parquet', `${basename(path)}.w.tmp`, 'x.chunk']) {
    copyFileSync(path, join(folder, name));
    expect(await tried(join(folder, name)), name).toBe('E_URI_DENIED');
  }
  const dead = path.replace(/\.chunk$/, '.dead');
  copyFileSync(path, dead);
  expect(await tried(dead)).toBe('E_URI_DENIED');
});

it('are no links, and are not reached over links that lead elsewhere', async () => {
  const secret = join(directory, 'secret');
  writeFileSync(secret, 'secret');
  const linked = path.replace('.a.chunk', '.b.chunk');
  symlinkSync(secret, linked);
  expect(await tried(linked)).toBe('E_URI_DENIED');

  const away = join(directory, 'away');
  renameSync(dirname(path), away);
  symlinkSync(away, dirname(path));
  expect(await tried(path)).toBe('E_URI_DENIED');
});

it('are neither directories nor pipes, which would keep the worker waiting', async () => {
  const folder = path.replace('.a.chunk', '.folder.chunk');
  mkdirSync(folder);
  expect(await tried(folder)).toBe('E_URI_DENIED');
  const pipe = path.replace('.a.chunk', '.pipe.chunk');
  execFileSync('mkfifo', [pipe]);
  expect(await tried(pipe)).toBe('E_URI_DENIED');
});

it('are lost, not refused, when they are gone', async () => {
  rmSync(path);
  expect(await tried(path)).toBe('E_CHUNK_LOST');
  rmSync(chunks, { recursive: true });
  expect(await tried(path)).toBe('E_CHUNK_LOST');
});
