/** A job with exchanges, a model and a sort: whatever is killed on the way, its rows are those of an undisturbed run. */
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { childrenOf, killGroup } from './engine.js';
import { chunkFiles, files, rowsPerFile, writeWideSpec } from './wide-engine.js';
import {
  allStages,
  begins,
  oneWorker,
  stagesRun,
  WideUndisturbed,
  workers,
} from './wide-undisturbed.js';

const wide = new WideUndisturbed();

describe('kill -9 of workers', () => {
  it.each(['s0_2', 's3_1'])('all of them as stage %s begins: the run ends whole', async (stage) => {
    const disturbed = wide.run(writeWideSpec(wide.directory), workers);
    await disturbed.until(begins(stage));
    for (const pid of childrenOf(disturbed.child.pid!)) process.kill(pid, 'SIGKILL');
    await wide.expectWhole(await disturbed.done);
  });

  it.each(['sink.rename.after:4'])(
    '%s in each of them, over and over: the run ends whole',
    async (failpoint) => {
      const env = { WINDROW_FAILPOINT: failpoint };
      await wide.expectWhole(await wide.run(writeWideSpec(wide.directory), workers, env).done);
    },
  );
});

describe('kill -9 of the whole run', () => {
  it.each(['s1', 's3'])(
    'as stage %s begins: the next run does no stage before it again',
    async (stage) => {
      const disturbed = wide.run(writeWideSpec(wide.directory), workers);
      await disturbed.until(begins(stage));
      killGroup(disturbed);
      await disturbed.done;
      const next = await wide.run(writeWideSpec(wide.directory), workers).done;
      await wide.expectWhole(next);
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
      const written = (): number => chunkFiles(join(wide.directory, place), stage).length;
      const disturbed = wide.run(writeWideSpec(wide.directory), workers);
      await disturbed.until(begins(stage));
      while (written() < 3) await setTimeout(1);
      killGroup(disturbed);
      expect((await disturbed.done).signal).toBe('SIGKILL');
      const done = written();
      const next = await wide.run(writeWideSpec(wide.directory), workers).done;
      await wide.expectWhole(next);
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
    const disturbed = wide.run(writeWideSpec(wide.directory), oneWorker, {
      WINDROW_FAILPOINT: failpoint,
    });
    expect((await disturbed.done).signal).toBe('SIGKILL');
    await wide.expectWhole(await wide.run(writeWideSpec(wide.directory), oneWorker).done);
  });

  it('at every thirtieth one, run after run, until one comes through', async () => {
    const env = { WINDROW_FAILPOINT: 'journal.commit.after:30' };
    for (let runs = 1; ; runs += 1) {
      expect(runs, 'runs that were needed').toBeLessThan(10);
      const begunAt = new Date().toISOString();
      const result = await wide.run(writeWideSpec(wide.directory), oneWorker, env).done;
      if (result.signal === null) {
        await wide.expectWhole(result);
        expect(runs).toBeGreaterThan(1);
        // One that goes on with a job tells all of its events, those of before too.
        const own = result.events.filter(({ time }) => String(time) >= begunAt);
        expect(stagesRun({ ...result, events: own }).length).toBeLessThan(allStages.length);
        return;
      }
    }
  });

  it('while it replaces an older result: never a doubled row', async () => {
    expect((await wide.run(writeWideSpec(wide.directory, 4000), oneWorker).done).code).toBe(0);
    const env = { WINDROW_FAILPOINT: 'publish.rename.after:2' };
    expect((await wide.run(writeWideSpec(wide.directory), oneWorker, env).done).signal).toBe(
      'SIGKILL',
    );
    await wide.expectWhole(await wide.run(writeWideSpec(wide.directory), oneWorker).done);
  });
});
