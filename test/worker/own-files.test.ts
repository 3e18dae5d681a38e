/** What a worker deletes when it is told to. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { OwnFiles } from '../../worker/own-files.js';
import { writeChunk } from './shuffle/machines.js';

let home: string;
let files: OwnFiles;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'windrow-own-'));
  files = new OwnFiles('i2', join(home, 'shuffle'));
  files.toldToWrite(join(home, 'chunks'));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

it('chunk files in its shuffle directory, whoever wrote them', async () => {
  const path = writeChunk(join(home, 'shuffle'), 10, 'j1-s0-0-1-i1');
  expect(await files.discard([path])).toEqual([]);
  expect(existsSync(path)).toBe(false);
});

it('no file there that is no chunk’s, and nothing beside it', async () => {
  const beside = writeChunk(join(home, 'shuffle-of-another'), 10, 'j1-s0-0-1-i1');
  const upwards = `${join(home, 'shuffle')}/../shuffle-of-another/${beside.slice(-90)}`;
  const notes = join(home, 'shuffle', 'notes.txt');
  expect(await files.discard([beside, upwards, notes])).toEqual([beside, upwards, notes]);
  expect(existsSync(beside)).toBe(true);
});

it('where it shares a directory with others, only what it wrote itself', async () => {
  const own = writeChunk(join(home, 'chunks'), 10, 'j1-s0-0-1-i2');
  const others = writeChunk(join(home, 'chunks'), 10, 'j1-s0-0-1-i1');
  expect(await files.discard([own, others])).toEqual([others]);
  expect([own, others].map(existsSync)).toEqual([false, true]);
});
