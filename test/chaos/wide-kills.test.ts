/** A job with exchanges, a model and a sort: whatever dies or is lost on the way, its rows are those of an undisturbed run. */
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  childrenOf,
  killGroup,
  type Run,
  type RunEvent,
  type RunResult,
  startRun,
} from './engine.js';
import {
  chunkFiles,
  copyWideInput,
  files,
  makeWideInput,
  publishedWide,
  rowsPerFile,
  visibleLeftovers,
  type WidePublished,
  writeScoredFirstSpec,
  writeWideSpec,
} from './wide-engine.js';

let home: string;
let undisturbed: WidePublished;
let first: RunResult;
let directory: string;
let running: Run[] = [];

function run(...args: Parameters<typeof startRun>): Run {
  const started = startRun(...args);
  running.push(started);
  return started;
}

const workers = ['--workers', '2'];

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'windrow-wide-'));
  const place = join(home, 'undisturbed');
  await makeWideInput(place);
  first = await startRun(writeWideSpec(place), workers).done;
  expect(first.stderr).toBe('');
  undisturbed = await publishedWide(place);
}, 120_000);

afterAll(() => rmSync(home, { recursive: true, force: true }));

beforeEach(() => {
  directory = mkdtempSync(join(home, 'case-'));
  copyWideInput(join(home, 'undisturbed'), directory);
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
  expect(result.result?.rows).toEqual(first.result?.rows);
  expect(await publishedWide(directory)).toEqual(undisturbed);
  expect(visibleLeftovers(directory)).toEqual([]);
}

const begins =
  (stage: string) =>
  (event: RunEvent): boolean =>
    event.event === 'stage' && event['stage'] === stage && event['state'] === 'running';

/** Stages in which something was done, in the order in which they began. */
function stagesRun({ events }: RunResult): string[] {
  const begun = events.filter(({ event, state }) => event === 'stage' && state === 'running');
  return begun.map(({ stage }) => String(stage));
}

/** Stage by stage as an undisturbed run does them; what is between two of one number is divided. */
const allStages = ['s0_1', 's0_2', 's0', 's1', 's2', 's3_1', 's3_2', 's3'];

describe('an undisturbed run', () => {
  it('has two exchanges, and several chunks behind the larger one', () => {
    expect(stagesRun(first).sort()).toEqual([...allStages].sort());
    const joined = first.events.find(begins('s0'));
    expect(joined?.['chunks']).toBeGreaterThan(1);
    expect(undisturbed.distinct).toBe(undisturbed.rows);
    expect(undisturbed.rows).toBeGreaterThan((files * rowsPerFile) / 2);
    expect(first.result?.rowsInferred).toBe(undisturbed.rows);
  });

  it.each(['1', '4'])('with %s workers publishes the same rows', async (count) => {
    await expectWhole(await run(writeWideSpec(directory), ['--workers', count]).done);
  });

  it('that is begun again is up to date, and one with another number of workers, too', async () => {
    await expectWhole(await run(writeWideSpec(directory), workers).done);
    for (const count of ['1', '3']) {
      const again = await run(writeWideSpec(directory), ['--workers', count]).done;
      await expectWhole(again);
      expect(again.result).toMatchObject({ upToDate: true, rowsInferred: 0 });
      expect(stagesRun(again)).toEqual([]);
    }
  });

  it('of one file more publishes what a run over all files does', async () => {
    await expectWhole(await run(writeWideSpec(directory), workers).done);
    await makeWideInput(directory, files, 1);
    expect((await run(writeWideSpec(directory), workers).done).code).toBe(0);
    const found = await publishedWide(directory);
    expect(found.rows).toBeGreaterThan(undisturbed.rows);
    expect(visibleLeftovers(directory)).toEqual([]);

    const fresh = join(home, 'one-more');
    await makeWideInput(fresh, 0, files + 1);
    expect((await run(writeWideSpec(fresh), workers).done).code).toBe(0);
    expect(found).toEqual(await publishedWide(fresh));
  });

  it('of one file more infers only its rows, where the model comes before the exchange', async () => {
    const spec = (): string => writeScoredFirstSpec(directory);
    const before = await run(spec(), workers).done;
    expect(before.result?.rowsInferred).toBe(files * rowsPerFile);
    await makeWideInput(directory, files, 1);
    const more = await run(spec(), workers).done;
    expect(more.code).toBe(0);
    expect(more.result?.rowsInferred).toBe(rowsPerFile);
    expect(more.result?.rowsReused).toBe(files * rowsPerFile);
  });
});

describe('kill -9 of workers', () => {
  it.each(['s0_2', 's3_1'])('all of them as stage %s begins: the run ends whole', async (stage) => {
    const disturbed = run(writeWideSpec(directory), workers);
    await disturbed.until(begins(stage));
    for (const pid of childrenOf(disturbed.child.pid!)) process.kill(pid, 'SIGKILL');
    await expectWhole(await disturbed.done);
  });

  it.each(['sink.rename.after:4'])(
    '%s in each of them, over and over: the run ends whole',
    async (failpoint) => {
      const env = { WINDROW_FAILPOINT: failpoint };
      await expectWhole(await run(writeWideSpec(directory), workers, env).done);
    },
  );
});

describe('kill -9 of the whole run', () => {
  it.each(['s1', 's3'])(
    'as stage %s begins: the next run does no stage before it again',
    async (stage) => {
      const disturbed = run(writeWideSpec(directory), workers);
      await disturbed.until(begins(stage));
      killGroup(disturbed);
      await disturbed.done;
      const next = await run(writeWideSpec(directory), workers).done;
      await expectWhole(next);
      const before = allStages.slice(0, allStages.indexOf(stage)).filter((id) => id !== 's2');
      const again = stagesRun(next);
      for (const done of before) expect(again).not.toContain(done);
      if (before.includes('s1')) expect(next.result!.rowsInferred).toBe(0);
      if (before.includes('s0_2')) expect(next.result!.rowsReused).toBe(files * rowsPerFile + 1000);
    },
  );
});

describe('kill -9 of the whole run in the middle of a stage', () => {
  it.each<[string, string, string[]]>([
    ['s0_2', '.windrow/shuffle', []],
    ['s0', 'chunks', ['s0_1', 's0_2']],
  ])(
    'as chunks of %s are done: the next run does at most one a slot again',
    async (stage, place, before) => {
      const written = (): number => chunkFiles(join(directory, place), stage).length;
      const disturbed = run(writeWideSpec(directory), workers);
      await disturbed.until(begins(stage));
      while (written() < 3) await setTimeout(1);
      killGroup(disturbed);
      expect((await disturbed.done).signal).toBe('SIGKILL');
      const done = written();
      const next = await run(writeWideSpec(directory), workers).done;
      await expectWhole(next);
      for (const id of before) expect(stagesRun(next)).not.toContain(id);
      const { chunksDone } = next.events.find(begins(stage)) ?? { chunksDone: Infinity };
      expect(chunksDone).toBeGreaterThanOrEqual(done - 2);
    },
  );
});

describe('kill -9 of the coordinator at a write', () => {
  const failpoints = [
    ...[7, 24].map((hit) => `journal.commit.before:${hit}`),
    ...[2, 14].map((hit) => `journal.commit.after:${hit}`),
    'publish.manifest.after:2',
  ];
  it.each(failpoints)('%s: the next run ends as if nothing had happened', async (failpoint) => {
    const disturbed = run(writeWideSpec(directory), workers, { WINDROW_FAILPOINT: failpoint });
    expect((await disturbed.done).signal).toBe('SIGKILL');
    await expectWhole(await run(writeWideSpec(directory), workers).done);
  });

  it('at every thirtieth one, run after run, until one comes through', async () => {
    const env = { WINDROW_FAILPOINT: 'journal.commit.after:30' };
    for (let runs = 1; ; runs += 1) {
      expect(runs, 'runs that were needed').toBeLessThan(10);
      const result = await run(writeWideSpec(directory), workers, env).done;
      if (result.signal === null) {
        await expectWhole(result);
        expect(runs).toBeGreaterThan(1);
        // Where the first was killed is a matter of time: it had done some of them.
        expect(stagesRun(result).length).toBeLessThan(allStages.length);
        return;
      }
    }
  });

  it('while it replaces an older result: never a doubled row', async () => {
    expect((await run(writeWideSpec(directory, 4000), workers).done).code).toBe(0);
    const env = { WINDROW_FAILPOINT: 'publish.rename.after:2' };
    expect((await run(writeWideSpec(directory), workers, env).done).signal).toBe('SIGKILL');
    await expectWhole(await run(writeWideSpec(directory), workers).done);
  });
});

describe('a part that is lost while it is read', () => {
  /** The producers have written five files; then each worker dies before its sixth. */
  const dying = { WINDROW_FAILPOINT: 'sink.rename.before:6' };

  it.each<[string, (path: string) => void]>([
    ['removed', (path) => rmSync(path)],
    ['cut short', (path) => truncateSync(path, 4096)],
    ['altered', flipByte],
  ])('%s: its producer alone runs again', async (_what, lose) => {
    const disturbed = run(writeWideSpec(directory), ['--workers', '1'], dying);
    await disturbed.until(begins('s0'));
    const producers = chunkFiles(directory, 's0_2');
    expect(producers).toHaveLength(files);
    lose(producers[1]!);
    const result = await disturbed.done;
    await expectWhole(result);
    const again = result.events.filter(begins('s0_2'));
    expect(again.map((event) => event['chunksDone'])).toEqual([0, files - 1]);
    expect(result.events.filter(begins('s0_1'))).toHaveLength(1);
  });

  it('between two runs: the next one makes it again, and nothing else of its stage', async () => {
    const disturbed = run(writeWideSpec(directory), workers);
    await disturbed.until(begins('s0'));
    killGroup(disturbed);
    await disturbed.done;
    flipByte(chunkFiles(directory, 's0_2')[0]!);
    const next = await run(writeWideSpec(directory), workers).done;
    await expectWhole(next);
    expect(next.result!.rowsReused).toBe((files - 1) * rowsPerFile + 1000);
  });
});

function flipByte(path: string): void {
  const bytes = readFileSync(path);
  const middle = bytes.length >> 1;
  bytes[middle] = bytes[middle]! ^ 0xff;
  writeFileSync(path, bytes);
}
