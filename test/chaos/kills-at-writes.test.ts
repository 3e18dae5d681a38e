/** Real processes, killed before and after each write of the coordinator: the next run ends as if nothing had happened. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { filesBelow, light, writeSpec } from './engine.js';
import { Undisturbed, workers } from './undisturbed.js';

const chaos = new Undisturbed(2, 0, light);

describe('kill -9 of the coordinator at a write', () => {
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
    const first = chaos.run(writeSpec(chaos.directory), slots, { WINDROW_FAILPOINT: failpoint });
    expect((await first.done).signal).toBe('SIGKILL');
    await chaos.expectWhole(await chaos.run(writeSpec(chaos.directory), slots).done);
    expect(visibleLeftovers()).toEqual([]);
  });

  /** A result of another filter: every chunk is another one, so every file is replaced. */
  let made: Promise<string> | undefined;
  const older = (): Promise<string> => (made ??= makeOlder());
  const makeOlder = async (): Promise<string> => {
    const place = chaos.copyOfInput('older');
    const run = chaos.run(writeSpec(place, { minAmount: 50 }), one);
    expect((await run.done).code).toBe(0);
    return place;
  };
  const overwriting = ['before', 'after'].flatMap((side) => [
    `publish.removeSuccess.${side}`,
    `publish.trash.${side}:3`,
    `publish.rename.${side}:3`,
    `publish.manifest.${side}`,
  ]);
  it.each(overwriting)(
    '%s while it replaces an older result: never a doubled row',
    async (failpoint) => {
      chaos.takeOver(await older());
      const first = chaos.run(writeSpec(chaos.directory), one, { WINDROW_FAILPOINT: failpoint });
      expect((await first.done).signal).toBe('SIGKILL');
      await chaos.expectWhole(await chaos.run(writeSpec(chaos.directory), one).done);
      expect(visibleLeftovers()).toEqual([]);
    },
  );
});

/** Parquet files that a glob over the output would find and the manifest does not name. */
function visibleLeftovers(): string[] {
  const output = join(chaos.directory, 'out');
  const manifest = JSON.parse(readFileSync(join(output, '_windrow', 'manifest.json'), 'utf8')) as {
    files: { name: string }[];
  };
  const named = new Set(manifest.files.map(({ name }) => name));
  return filesBelow(output).filter((name) => name.endsWith('.parquet') && !named.has(name));
}
