/** Real processes, real kills: whatever dies, the published rows are those of an undisturbed run. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  childrenOf,
  copyInput,
  filesBelow,
  killGroup,
  light,
  makeInput,
  published,
  type Published,
  rowGroupRows,
  type Run,
  type RunResult,
  sampleRows,
  startRun,
  writeSpec,
} from './engine.js';

/** An input, and what a run over it comes to that nothing disturbs. */
interface Undisturbed {
  readonly directory: string;
  readonly published: Published;
  readonly books: RunResult['result'];
}

let home: string;
let undisturbed: Undisturbed;
let directory: string;
let running: Run[] = [];

function run(...args: Parameters<typeof startRun>): Run {
  const started = startRun(...args);
  running.push(started);
  return started;
}

const workers = ['--workers', '2'];

async function runUndisturbed(...input: Parameters<typeof makeInput>): Promise<Undisturbed> {
  const [place] = input;
  await makeInput(...input);
  const { stderr, code, result } = await startRun(writeSpec(place), workers).done;
  expect(stderr).toBe('');
  expect(code).toBe(0);
  return { directory: place, published: await published(join(place, 'out')), books: result };
}

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'windrow-chaos-'));
  undisturbed = await runUndisturbed(join(home, 'undisturbed'));
}, 120_000);

afterAll(() => rmSync(home, { recursive: true, force: true }));

beforeEach(() => {
  directory = mkdtempSync(join(home, 'case-'));
  copyInput(undisturbed.directory, directory);
});

afterEach(async () => {
  for (const { child } of running) {
    if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid!, 'SIGKILL');
  }
  await Promise.all(running.map(({ done }) => done));
  running = [];
});

/** The last run succeeded, and what it published is what an undisturbed run publishes. */
async function expectWhole(result: RunResult): Promise<void> {
  expect(result.stderr).not.toMatch(/error E_/);
  expect(result.code).toBe(0);
  expect(result.result?.rows).toEqual(undisturbed.books?.rows);
  const { in: rowsIn, out, filtered, deadLettered } = result.result!.rows;
  expect(out + filtered + deadLettered).toBe(rowsIn);
  expect(await published(join(directory, 'out'))).toEqual(undisturbed.published);
  const dead = filesBelow(join(directory, 'out.dead')).filter((file) => file.endsWith('.parquet'));
  expect(dead.length).toBeGreaterThan(0);
}

function rowsDone(count: number) {
  return (event: { event: string; rowsDone?: unknown }): boolean =>
    event.event === 'progress' && Number(event.rowsDone) >= count;
}

describe('an undisturbed run', () => {
  it('accounts for every row it read', () => {
    const { published: found, books } = undisturbed;
    expect(books?.rows.in).toBe(sampleRows);
    expect(found.rows).toBe(books?.rows.out);
    expect(found.distinct).toBe(found.rows);
  });
});

describe('kill -9 of workers', () => {
  it.each([10_000, 80_000, 160_000])(
    'loses and doubles nothing when one dies after %i rows',
    async (rows) => {
      const first = run(writeSpec(directory), workers);
      await first.until(rowsDone(rows));
      const victim = childrenOf(first.child.pid!)[0];
      expect(victim).toBeDefined();
      process.kill(victim!, 'SIGKILL');
      await expectWhole(await first.done);
    },
  );

  it('loses and doubles nothing when all die twice', async () => {
    const first = run(writeSpec(directory), workers);
    for (const rows of [40_000, 120_000]) {
      await first.until(rowsDone(rows));
      for (const pid of childrenOf(first.child.pid!)) process.kill(pid, 'SIGKILL');
    }
    await expectWhole(await first.done);
  });
});

describe('kill -9 of the whole run', () => {
  it('goes on where it stopped, repeats at most a chunk a slot, and a third run infers nothing', async () => {
    const first = run(writeSpec(directory), workers);
    await first.until(rowsDone(sampleRows / 2));
    killGroup(first);
    await first.done;
    const second = await run(writeSpec(directory), workers).done;
    await expectWhole(second);
    const reused = second.result!.rowsReused;
    expect(reused).toBeGreaterThanOrEqual(sampleRows / 2 - 4 * rowGroupRows);
    expect(second.result!.rowsInferred).toBeLessThanOrEqual(sampleRows - reused);
    const third = await run(writeSpec(directory), workers).done;
    await expectWhole(third);
    expect(third.result!.rowsInferred).toBe(0);
  });

  it('scores only the rows of one added file', async () => {
    await expectWhole(await run(writeSpec(directory), workers).done);
    await makeInput(directory, 1, 2);
    const more = await run(writeSpec(directory), workers).done;
    expect(more.stderr).not.toMatch(/error E_/);
    expect(more.code).toBe(0);
    expect(more.result!.rowsInferred).toBeGreaterThan(0);
    expect(more.result!.rowsInferred).toBeLessThanOrEqual(sampleRows / 2);
    expect(more.result!.rowsReused).toBe(sampleRows);
    const all = await published(join(directory, 'out'));
    expect(all.rows).toBe(more.result!.rows.out);
    expect(all.distinct).toBe(all.rows);
  });
});

describe('kill -9 of workers at a write', () => {
  it.each(['sink.rename.before:6', 'sink.rename.after:6'])(
    '%s in every worker process: the run ends whole all the same',
    async (failpoint) => {
      await expectWhole(
        await run(writeSpec(directory), workers, { WINDROW_FAILPOINT: failpoint }).done,
      );
    },
  );
});

describe('kill -9 of the coordinator at a write', () => {
  beforeAll(async () => {
    // From here on: another input, and what it comes to.
    undisturbed = await runUndisturbed(join(home, 'light'), 2, 0, light);
  });

  const failpoints = ['before', 'after'].flatMap((side) => [
    ...[1, 2, 5, 12].map((hit) => `journal.commit.${side}:${hit}`),
    `claim.create.${side}`,
    `publish.rename.${side}:7`,
    `publish.relocate.${side}`,
    `publish.manifest.${side}`,
    `publish.success.${side}`,
    `claim.release.${side}`,
  ]);
  /** Where it publishes, workers have nothing left to do. */
  const one = ['--workers', '1'];

  it.each(failpoints)('%s: the next run ends as if nothing had happened', async (failpoint) => {
    const slots = failpoint.startsWith('journal.') ? workers : one;
    const first = run(writeSpec(directory), slots, { WINDROW_FAILPOINT: failpoint });
    expect((await first.done).signal).toBe('SIGKILL');
    await expectWhole(await run(writeSpec(directory), slots).done);
    expect(visibleLeftovers()).toEqual([]);
  });

  const overwriting = ['before', 'after'].flatMap((side) => [
    `publish.removeSuccess.${side}`,
    `publish.trash.${side}:3`,
    `publish.rename.${side}:3`,
    `publish.manifest.${side}`,
  ]);
  it.each(overwriting)(
    '%s while it replaces an older result: never a doubled row',
    async (failpoint) => {
      // Another filter: every chunk is another one, so every file is replaced.
      const older = run(writeSpec(directory, { minAmount: 50 }), one);
      expect((await older.done).code).toBe(0);
      const first = run(writeSpec(directory), one, { WINDROW_FAILPOINT: failpoint });
      expect((await first.done).signal).toBe('SIGKILL');
      await expectWhole(await run(writeSpec(directory), one).done);
      expect(visibleLeftovers()).toEqual([]);
    },
  );
});

/** Parquet files that a glob over the output would find and the manifest does not name. */
function visibleLeftovers(): string[] {
  const output = join(directory, 'out');
  const manifest = JSON.parse(readFileSync(join(output, '_windrow', 'manifest.json'), 'utf8')) as {
    files: { name: string }[];
  };
  const named = new Set(manifest.files.map(({ name }) => name));
  return filesBelow(output).filter((name) => name.endsWith('.parquet') && !named.has(name));
}
