/** A job with exchanges, a model and a sort: run in many ways, and what it needs is lost on the way; its rows stay the same. */
import { readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { killGroup } from './engine.js';
import {
  chunkFiles,
  files,
  makeWideInput,
  publishedWide,
  rowsPerFile,
  visibleLeftovers,
  writeScoredFirstSpec,
  writeWideSpec,
} from './wide-engine.js';
import { allStages, begins, stagesRun, WideUndisturbed, workers } from './wide-undisturbed.js';

const wide = new WideUndisturbed();

describe('an undisturbed run', () => {
  it('has two exchanges, and several chunks behind the larger one', () => {
    expect(stagesRun(wide.first).sort()).toEqual([...allStages].sort());
    const joined = wide.first.events.find(begins('s0'));
    expect(joined?.['chunks']).toBeGreaterThan(1);
    expect(wide.published.distinct).toBe(wide.published.rows);
    expect(wide.published.rows).toBeGreaterThan((files * rowsPerFile) / 2);
    expect(wide.first.result?.rowsInferred).toBe(wide.published.rows);
  });

  it.each(['1', '4'])('with %s workers publishes the same rows', async (count) => {
    await wide.expectWhole(
      await wide.run(writeWideSpec(wide.directory), ['--workers', count]).done,
    );
  });

  it('that is begun again is up to date, and one with another number of workers, too', async () => {
    await wide.expectWhole(await wide.run(writeWideSpec(wide.directory), workers).done);
    for (const count of ['1', '3']) {
      const again = await wide.run(writeWideSpec(wide.directory), ['--workers', count]).done;
      await wide.expectWhole(again);
      expect(again.result).toMatchObject({ upToDate: true, rowsInferred: 0 });
      expect(stagesRun(again)).toEqual([]);
    }
  });

  it('of one file more publishes what a run over all files does', async () => {
    await wide.expectWhole(await wide.run(writeWideSpec(wide.directory), workers).done);
    await makeWideInput(wide.directory, files, 1);
    expect((await wide.run(writeWideSpec(wide.directory), workers).done).code).toBe(0);
    const found = await publishedWide(wide.directory);
    expect(found.rows).toBeGreaterThan(wide.published.rows);
    expect(visibleLeftovers(wide.directory)).toEqual([]);

    const fresh = join(wide.home, 'one-more');
    await makeWideInput(fresh, 0, files + 1);
    expect((await wide.run(writeWideSpec(fresh), workers).done).code).toBe(0);
    expect(found).toEqual(await publishedWide(fresh));
  });

  it('of one file more infers only its rows, where the model comes before the exchange', async () => {
    const spec = (): string => writeScoredFirstSpec(wide.directory);
    const before = await wide.run(spec(), workers).done;
    expect(before.result?.rowsInferred).toBe(files * rowsPerFile);
    await makeWideInput(wide.directory, files, 1);
    const more = await wide.run(spec(), workers).done;
    expect(more.code).toBe(0);
    expect(more.result?.rowsInferred).toBe(rowsPerFile);
    expect(more.result?.rowsReused).toBe(files * rowsPerFile);
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
    const disturbed = wide.run(writeWideSpec(wide.directory), ['--workers', '1'], dying);
    await disturbed.until(begins('s0'));
    const producers = chunkFiles(wide.directory, 's0_2');
    expect(producers).toHaveLength(files);
    lose(producers[1]!);
    const result = await disturbed.done;
    await wide.expectWhole(result);
    const again = result.events.filter(begins('s0_2'));
    expect(again.map((event) => event['chunksDone'])).toEqual([0, files - 1]);
    expect(result.events.filter(begins('s0_1'))).toHaveLength(1);
  });

  it('between two runs: the next one makes it again, and nothing else of its stage', async () => {
    const disturbed = wide.run(writeWideSpec(wide.directory), workers);
    await disturbed.until(begins('s0'));
    killGroup(disturbed);
    await disturbed.done;
    flipByte(chunkFiles(wide.directory, 's0_2')[0]!);
    const next = await wide.run(writeWideSpec(wide.directory), workers).done;
    await wide.expectWhole(next);
    expect(next.result!.rowsReused).toBe((files - 1) * rowsPerFile + 1000);
  });
});

function flipByte(path: string): void {
  const bytes = readFileSync(path);
  const middle = bytes.length >> 1;
  bytes[middle] = bytes[middle]! ^ 0xff;
  writeFileSync(path, bytes);
}
