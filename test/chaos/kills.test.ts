/** Real processes, real kills: whatever dies, the published rows are those of an undisturbed run. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  childrenOf,
  killGroup,
  makeInput,
  published,
  rowGroupRows,
  sampleChunks,
  sampleRows,
  writeSpec,
} from './engine.js';
import { Undisturbed, workers } from './undisturbed.js';

const chaos = new Undisturbed();

describe('an undisturbed run', () => {
  it('accounts for every row it read', () => {
    const { published: found, books } = chaos;
    expect(books?.rows.in).toBe(sampleRows);
    expect(found.rows).toBe(books?.rows.out);
    expect(found.distinct).toBe(found.rows);
  });
});

describe('kill -9 of workers', () => {
  it.each([1, 8, 16])('loses and doubles nothing when one dies after %i chunks', async (chunks) => {
    const first = chaos.run(writeSpec(chaos.directory), workers);
    await chaos.untilWritten(chunks, first);
    const victim = childrenOf(first.child.pid!)[0];
    expect(victim).toBeDefined();
    process.kill(victim!, 'SIGKILL');
    await chaos.expectWhole(await first.done);
  });

  it('loses and doubles nothing when all die twice', async () => {
    const first = chaos.run(writeSpec(chaos.directory), workers);
    for (const chunks of [4, 12]) {
      await chaos.untilWritten(chunks, first);
      for (const pid of childrenOf(first.child.pid!)) process.kill(pid, 'SIGKILL');
    }
    await chaos.expectWhole(await first.done);
  });
});

describe('kill -9 of the whole run', () => {
  it('goes on where it stopped, repeats at most a chunk a slot, and a third run infers nothing', async () => {
    const first = chaos.run(writeSpec(chaos.directory), workers);
    await chaos.untilWritten(sampleChunks / 2, first);
    killGroup(first);
    expect((await first.done).signal).toBe('SIGKILL');
    const second = await chaos.run(writeSpec(chaos.directory), workers).done;
    await chaos.expectWhole(second);
    const reused = second.result!.rowsReused;
    expect(reused).toBeGreaterThanOrEqual(sampleRows / 2 - 4 * rowGroupRows);
    expect(second.result!.rowsInferred).toBeLessThanOrEqual(sampleRows - reused);
    const third = await chaos.run(writeSpec(chaos.directory), workers).done;
    await chaos.expectWhole(third);
    expect(third.result!.rowsInferred).toBe(0);
  });

  it('scores only the rows of one added file', async () => {
    await chaos.expectWhole(await chaos.run(writeSpec(chaos.directory), workers).done);
    await makeInput(chaos.directory, 1, 2);
    const more = await chaos.run(writeSpec(chaos.directory), workers).done;
    expect(more.stderr).not.toMatch(/error E_/);
    expect(more.code).toBe(0);
    expect(more.result!.rowsInferred).toBeGreaterThan(0);
    expect(more.result!.rowsInferred).toBeLessThanOrEqual(sampleRows / 2);
    expect(more.result!.rowsReused).toBe(sampleRows);
    const all = await published(join(chaos.directory, 'out'));
    expect(all.rows).toBe(more.result!.rows.out);
    expect(all.distinct).toBe(all.rows);
  });
});

describe('kill -9 of workers at a write', () => {
  it.each(['sink.rename.before:6', 'sink.rename.after:6'])(
    '%s in every worker process: the run ends whole all the same',
    async (failpoint) => {
      await chaos.expectWhole(
        await chaos.run(writeSpec(chaos.directory), workers, { WINDROW_FAILPOINT: failpoint }).done,
      );
    },
  );
});
