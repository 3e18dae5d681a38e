/** Finished chunks that vanish while their job runs: they are made again, and nothing else is. */
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  watch,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import Database from 'libsql';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  copyInput,
  filesBelow,
  makeInput,
  published,
  type Published,
  rowGroupRows,
  type Run,
  type RunResult,
  startRun,
  writeSpec,
} from './engine.js';

let home: string;
let directory: string;
let undisturbed: Published;
let books: RunResult['result'];
/** Where the undisturbed run was. */
let original: string;
let running: Run[] = [];

/** One worker of one slot takes the chunks in order, so that the last ones wait for long. */
const worker = ['--workers', '1'];

/** Every chunk is rewritten into a file of its own by a second stage. */
function rewritingSpec(): string {
  const path = writeSpec(directory);
  const text = readFileSync(path, 'utf8').replace(
    'mode: overwrite',
    'mode: overwrite, targetFileSize: 10KB',
  );
  writeFileSync(path, text);
  return path;
}

function run(spec: string): Run {
  const started = startRun(spec, worker);
  running.push(started);
  return started;
}

function caseDirectory(): string {
  return (directory = mkdtempSync(join(home, 'case-')));
}

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'windrow-lost-'));
  original = caseDirectory();
  await makeInput(original);
  const result = await run(rewritingSpec()).done;
  expect(result.stderr).toBe('');
  books = result.result;
  undisturbed = await published(join(directory, 'out'));
}, 120_000);

afterAll(() => rmSync(home, { recursive: true, force: true }));

beforeEach(() => copyInput(original, caseDirectory()));

afterEach(async () => {
  for (const { child } of running) {
    if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid!, 'SIGKILL');
  }
  await Promise.all(running.map(({ done }) => done));
  running = [];
});

/** Finished chunk files of the first stage by the number of their task, the highest last. */
function chunkFiles(): string[] {
  const chunks = join(directory, 'out', '_windrow', 'chunks');
  const task = (path: string): number => Number(/-s0-(\d+)-/.exec(path)?.[1]);
  return filesBelow(chunks)
    .filter((path) => /-s0-\d+-.*\.chunk$/.test(path))
    .sort((a, b) => task(a) - task(b))
    .map((path) => join(chunks, path));
}

function flipByte(path: string): void {
  const bytes = readFileSync(path);
  const middle = bytes.length >> 1;
  bytes[middle] = bytes[middle]! ^ 0xff;
  writeFileSync(path, bytes);
}

function forgetRecord(path: string): void {
  const db = new Database(join(directory, '.windrow', 'journal.db'));
  db.pragma('busy_timeout = 5000');
  const identity = basename(path).slice(0, 64);
  const { changes } = db.prepare('delete from chunks where identity = ?').run(identity);
  db.close();
  expect(changes).toBe(1);
}

/** The result is that of an undisturbed run, for which so many chunks were scored once more. */
async function expectWhole(result: RunResult, chunksAgain: number): Promise<void> {
  expect(result.stderr).not.toMatch(/error E_/);
  expect(result.code).toBe(0);
  expect(result.result?.rows).toEqual(books?.rows);
  expect(await published(join(directory, 'out'))).toEqual(undisturbed);
  const again = result.result!.rowsInferred - books!.rowsInferred;
  expect(again).toBeGreaterThan((chunksAgain - 1) * rowGroupRows);
  expect(again).toBeLessThanOrEqual(chunksAgain * rowGroupRows);
}

const rewriting = (event: { event: string; [field: string]: unknown }): boolean =>
  event.event === 'stage' && event['stage'] === 's1' && event['state'] === 'running';

describe('between two stages', () => {
  it.each([
    ['whose file was removed', (path: string) => rmSync(path)],
    ['whose file was cut short', (path: string) => truncateSync(path, 1000)],
    ['with a wrong byte', flipByte],
    ['that the index does not know any more', forgetRecord],
  ])('a chunk %s is made again, and its reader goes on', async (_, lose) => {
    const first = run(rewritingSpec());
    await first.until(rewriting);
    lose(chunkFiles().at(-1)!);
    await expectWhole(await first.done, 1);
  });

  it('several that are lost at once are made again, and no other', async () => {
    const first = run(rewritingSpec());
    await first.until(rewriting);
    const [cut, wrong, gone] = chunkFiles().slice(-3);
    rmSync(gone!);
    truncateSync(cut!, 0);
    flipByte(wrong!);
    await expectWhole(await first.done, 3);
  });

  it('a chunk that vanishes each time it is made fails the job, and says so', async () => {
    const first = run(rewritingSpec());
    await first.until(rewriting);
    const victim = chunkFiles().at(-1)!;
    const folder = join(victim, '..');
    const identity = basename(victim).slice(0, 64);
    const remove = (): void => {
      for (const name of readdirSync(folder)) {
        if (name.startsWith(identity) && name.endsWith('.chunk'))
          rmSync(join(folder, name), { force: true });
      }
    };
    const watcher = watch(folder, remove);
    remove();
    const result = await first.done;
    watcher.close();
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/error E_CHUNK_LOST.*removed or changed/);
    expect(filesBelow(join(directory, 'out')).filter((name) => name.endsWith('.parquet'))).toEqual(
      [],
    );
  });
});

describe('before the commit', () => {
  it('a chunk that nobody reads any more is made again where it would be published', async () => {
    const first = run(writeSpec(directory));
    await first.until(({ event, rowsDone }) => event === 'progress' && Number(rowsDone) > 60_000);
    rmSync(chunkFiles()[0]!);
    // A file has its name a moment before the index knows of it.
    await vi.waitFor(() => forgetRecord(chunkFiles()[0]!), { timeout: 10_000 });
    await expectWhole(await first.done, 2);
  });
});
