import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { publishJob, type CommitTools } from '../../../coordinator/commit/publish.js';
import { checkBefore } from '../../../coordinator/commit/before.js';
import type { Manifest } from '../../../shared/manifest.js';
import type { ChunkRecord, JobPlan, OutputMode } from '../../../shared/plan.js';
import { Crash, MemoryStore } from '../../contract/memory-store.js';
import {
  MemoryIndex,
  claimOf,
  contentOf,
  frozen,
  identityOf,
  outputOf,
  plan,
  stage,
  type ChunkSpec,
} from './fixture.js';

class World {
  readonly index = new MemoryIndex();
  readonly tools: CommitTools;

  constructor(
    readonly store = new MemoryStore(),
    self = claimOf('j1'),
  ) {
    this.tools = { store, index: this.index, epoch: 1, self, isLive: () => false };
  }

  /** Stages what the index does not know and publishes, as a whole run would. */
  async run(of: JobPlan, chunks: readonly ChunkSpec[]) {
    return publishJob(this.tools, of, await this.prepare(of, chunks));
  }

  async prepare(of: JobPlan, chunks: readonly ChunkSpec[]) {
    const records: ChunkRecord[] = [];
    for (const chunk of chunks) {
      const known = this.index.records.get(identityOf(chunk.name));
      const record = known ?? (await stage(this.store, of.chunkLocation, chunk));
      this.index.put([record]);
      records.push(record);
    }
    return frozen(of, records, this.manifest(of));
  }

  manifest(of: JobPlan): Manifest | undefined {
    const bytes = this.store.objects.get(`${outputOf(of).path}/_windrow/manifest.json`);
    return bytes && (JSON.parse(bytes.toString('utf8')) as Manifest);
  }

  /** What a glob over the output and the dead letters reads. */
  visible(root = '/r'): string[] {
    return [...this.store.objects]
      .filter(([path]) => path.startsWith(root) && path.endsWith('.parquet'))
      .map(([, bytes]) => bytes.toString('utf8'))
      .sort();
  }

  success(of: JobPlan): boolean {
    return this.store.objects.has(`${outputOf(of).path}/_SUCCESS`);
  }
}

const texts = (...names: string[]) => names.map((name) => contentOf(name).toString('utf8')).sort();
const a = { name: 'a', rows: 10, dead: 2 };
const b = { name: 'b', rows: 5 };
const c = { name: 'c', rows: 1 };

describe('publishing an output', () => {
  it('consumes the staged files, writes the manifest and says where the chunks are now', async () => {
    const world = new World();
    const of = plan('/r', [a, b], 'error');
    const { summary, moves } = await world.run(of, [a, b]);
    expect(world.visible()).toEqual(texts('a', 'b', 'dead of a'));
    expect(summary.rows).toEqual({ in: 24, out: 15, filtered: 7, deadLettered: 2 });
    expect(summary.outputs).toMatchObject([{ name: 'o', rows: 15, files: 2 }]);
    expect(world.success(of)).toBe(true);
    expect([...world.store.objects.keys()].filter((path) => /chunk$|dead$/.test(path))).toEqual([]);
    expect(moves.map(({ identity }) => identity).sort()).toEqual(
      [identityOf('a'), identityOf('b')].sort(),
    );
    for (const { record } of moves) {
      for (const file of [...record.files, ...(record.deadLetters ? [record.deadLetters] : [])]) {
        expect(world.store.objects.has(file.path)).toBe(true);
      }
    }
  });

  it('changes nothing when it is run again', async () => {
    const world = new World();
    const of = plan('/r', [a, b], 'error');
    const manifests = await world.prepare(of, [a, b]);
    await publishJob(world.tools, of, manifests);
    const before = new Map(world.store.objects);
    world.store.writesLeft = 0;
    expect((await publishJob(world.tools, of, manifests)).moves).toEqual([]);
    expect(world.store.objects).toEqual(before);
  });

  it('moves what the new result lacks to trash, foreign files too, and says so', async () => {
    const world = new World();
    await world.run(plan('/r', [a, b]), [a, b]);
    await world.store.create('/r/out/theirs.parquet', Buffer.from('theirs'));
    await world.store.create('/r/out/notes.txt', Buffer.from('notes'));
    const of = plan('/r', [b, c]);
    const { foreignTrashed } = await world.run(of, [b, c]);
    expect(foreignTrashed).toEqual(['theirs.parquet']);
    expect(world.visible()).toEqual(texts('b', 'c'));
    expect(world.store.objects.has('/r/out/notes.txt')).toBe(true);
    const trashed = world.index.records.get(identityOf('a'));
    expect(trashed?.files[0]?.path).toContain('/_windrow/trash/');
    expect(world.store.objects.has(trashed?.files[0]?.path ?? '')).toBe(true);
  });

  it('brings a trashed chunk back by copying when a later run wants it', async () => {
    const world = new World();
    await world.run(plan('/r', [a, b]), [a, b]);
    await world.run(plan('/r', [b]), [b]);
    await world.run(plan('/r', [a]), [a]);
    expect(world.visible()).toEqual(texts('a', 'dead of a'));
  });

  it('adds to what is there under append, and counts no chunk twice', async () => {
    const world = new World();
    await world.run(plan('/r', [a], 'append'), [a]);
    await world.store.create('/r/out/theirs.parquet', Buffer.from('theirs'));
    const of = plan('/r', [a, b], 'append');
    const { summary } = await world.run(of, [a, b]);
    expect(world.visible()).toEqual([...texts('a', 'b', 'dead of a'), 'theirs'].sort());
    expect(summary.outputs[0]?.rows).toBe(15);
    expect(world.manifest(of)?.files).toHaveLength(2);
  });

  it('replaces only the partitions it writes under overwritePartitions', async () => {
    const world = new World();
    const x = { name: 'x', rows: 1, partition: 'one' };
    const y = { name: 'y', rows: 1, partition: 'two/2' };
    const z = { name: 'z', rows: 1, partition: 'two/2' };
    await world.run(plan('/r', [x, y]), [x, y]);
    await world.store.create('/r/out/k=two%2F2/theirs.parquet', Buffer.from('theirs'));
    await world.store.create('/r/out/k=one/theirs.parquet', Buffer.from('kept'));
    await world.run(plan('/r', [z], 'overwritePartitions'), [z]);
    expect(world.visible()).toEqual([...texts('x', 'z'), 'kept'].sort());
  });

  it('replaces foreign files in a partition that it writes as it was, too', async () => {
    const world = new World();
    const x = { name: 'x', rows: 1, partition: 'one' };
    const y = { name: 'y', rows: 1, partition: 'two' };
    const z = { name: 'z', rows: 1, partition: 'three' };
    await world.run(plan('/r', [x]), [x]);
    const of = plan('/r', [y, z], 'overwritePartitions');
    await world.run(of, [y, z]);
    expect(await checkBefore(world.store, outputOf(of))).toMatchObject({ kind: 'upToDate' });
    await world.store.create('/r/out/k=two/theirs.parquet', Buffer.from('theirs'));
    await world.store.create('/r/out/k=one/theirs.parquet', Buffer.from('kept'));
    await world.store.create('/r/out/k=four/theirs.parquet', Buffer.from('beside'));
    expect(await checkBefore(world.store, outputOf(of))).toMatchObject({ kind: 'go' });
    const { foreignTrashed } = await world.run(of, [y, z]);
    expect(foreignTrashed).toEqual(['k=two/theirs.parquet']);
    expect(world.visible()).toEqual([...texts('x', 'y', 'z'), 'kept', 'beside'].sort());
  });

  it('copies a chunk that another output published and keeps', async () => {
    const world = new World();
    await world.run(plan('/r', [a]), [a]);
    const of = plan('/q', [a, b]);
    await world.run(of, [a, b]);
    expect(world.visible('/r')).toEqual(texts('a', 'dead of a'));
    expect(world.visible('/q')).toEqual(texts('a', 'b', 'dead of a'));
    expect(world.index.records.get(identityOf('a'))?.files[0]?.path).toMatch(/^\/r\//);
  });

  it('publishes again what was done again after a fix, under the same names', async () => {
    const world = new World();
    const of = plan('/r', [a, b], 'error');
    await world.run(of, [a, b]);
    const redone = await stage(world.store, of.chunkLocation, { name: 'a', rows: 12 });
    const file = `${of.chunkLocation}/redone.chunk`;
    await world.store.create(file, Buffer.from('all twelve'));
    const fixed = {
      ...redone,
      files: redone.files.map((each) => ({
        ...each,
        path: file,
        bytes: 10,
        sha256: '',
      })),
    };
    fixed.files[0]!.sha256 = (await world.store.digest(file)) ?? '';
    world.index.put([fixed]);
    const records = [fixed, world.index.records.get(identityOf('b')) as ChunkRecord];
    await publishJob(world.tools, of, frozen(of, records, world.manifest(of)));
    expect(world.visible()).toEqual([...texts('b'), 'all twelve'].sort());
  });

  it('stops where somebody newer took what was staged', async () => {
    const world = new World();
    const of = plan('/r', [a, b]);
    const manifests = await world.prepare(of, [a, b]);
    world.store.objects.delete(world.index.records.get(identityOf('b'))?.files[0]?.path ?? '');
    await expect(publishJob(world.tools, of, manifests)).rejects.toMatchObject({
      failure: { code: 'E_SUPERSEDED_COMMIT' },
    });
    expect(world.visible()).toEqual([]);
  });

  const modes = ['error', 'append', 'overwrite', 'overwritePartitions'] as const;

  it.each(modes)('touches nothing under %s where somebody newer published', async (mode) => {
    const d = { name: 'd', rows: 3 };
    for (const first of [[], [d]]) {
      for (const writes of [0, 1, 2, 3]) {
        const world = new World();
        if (first.length > 0) await world.run(plan('/r', first, 'append'), first);
        const late = plan('/r', [b, d], mode);
        const manifests = await world.prepare(late, [b, d]);
        world.store.writesLeft = writes;
        await expect(publishJob(world.tools, late, manifests)).rejects.toThrow(Crash);
        world.store.writesLeft = Infinity;

        const newer = new World(world.store, claimOf('j2', '/other'));
        await world.store.delete('/r/out/_windrow/claim.json');
        const winner = plan('/r', [c], 'overwrite');
        await newer.run(winner, [c]);
        await world.store.delete('/r/out/_windrow/claim.json');

        const before = new Map(world.store.objects);
        await expect(publishJob(world.tools, late, manifests)).rejects.toMatchObject({
          failure: { code: 'E_SUPERSEDED_COMMIT', at: { file: '/r/out' } },
        });
        await world.store.delete('/r/out/_windrow/claim.json');
        expect(world.store.objects).toEqual(before);
        expect(world.visible()).toEqual(texts('c'));

        // Run again, it comes after what lies there, as any other job would.
        if (mode === 'error') continue;
        world.index.records.clear();
        await world.run(late, [b, d]);
        expect(world.visible()).toEqual(mode === 'append' ? texts('b', 'c', 'd') : texts('b', 'd'));
      }
    }
  });

  it('touches no output where somebody newer published in one of them', async () => {
    const world = new World();
    const one = plan('/r', [a]);
    const other = { ...outputOf(plan('/q', [a])), name: 'p' };
    const both = { ...one, outputs: [outputOf(one), other] };
    const [first] = await world.prepare(one, [a]);
    const manifests = [first!, { ...first!, output: 'p' }];
    await world.store.create('/q/out/_windrow/manifest.json', Buffer.from('newer'));
    await expect(publishJob(world.tools, both, manifests)).rejects.toMatchObject({
      failure: { code: 'E_SUPERSEDED_COMMIT', at: { file: '/q/out' } },
    });
    expect(world.visible('/')).toEqual([]);
    await world.store.delete('/q/out/_windrow/manifest.json');
    await publishJob(world.tools, both, manifests);
    expect(world.visible('/q')).toEqual(world.visible('/r'));
  });

  it('leaves alone under error what came into the output while the job ran', async () => {
    const world = new World();
    const of = plan('/r', [a, b], 'error');
    const manifests = await world.prepare(of, [a, b]);
    await world.store.create('/r/out/theirs.parquet', Buffer.from('theirs'));
    await expect(publishJob(world.tools, of, manifests)).rejects.toMatchObject({
      failure: { code: 'E_OUTPUT_EXISTS', at: { file: '/r/out/theirs.parquet' } },
    });
    expect(world.visible()).toEqual(['theirs']);
  });

  it('never replaces a foreign file of the same name unless it may overwrite', async () => {
    for (const mode of ['append', 'overwritePartitions'] as const) {
      const world = new World();
      const of = plan('/r', [b], mode);
      const manifests = await world.prepare(of, [b]);
      const name = (JSON.parse(manifests[0]?.manifest ?? '') as Manifest).files[0]?.name;
      await world.store.create(`/r/out/${name}`, Buffer.from('theirs'));
      await expect(publishJob(world.tools, of, manifests)).rejects.toMatchObject({
        failure: { code: 'E_OUTPUT_EXISTS' },
      });
      expect(world.visible()).toEqual(['theirs']);
    }
  });

  it('stops when another job holds the output', async () => {
    const world = new World();
    const of = plan('/r', [a]);
    await world.run(of, [a]);
    const tools = { ...world.tools, self: claimOf('j2'), isLive: () => true };
    await expect(publishJob(tools, of, frozen(of, []))).rejects.toMatchObject({
      failure: { code: 'E_OUTPUT_BUSY' },
    });
  });

  it('lets two commits of one process that share chunks follow one another', async () => {
    const world = new World();
    const [one, two] = [plan('/r', [a, b]), { ...plan('/q', [a, c]) }];
    const shared = { ...two, chunkLocation: one.chunkLocation };
    const first = await world.prepare(one, [a, b]);
    const second = await world.prepare(shared, [a, c]);
    await Promise.all([
      publishJob(world.tools, one, first),
      publishJob(world.tools, shared, second),
    ]);
    expect(world.visible('/r')).toEqual(texts('a', 'b', 'dead of a'));
    expect(world.visible('/q')).toEqual(texts('a', 'c', 'dead of a'));
  });
});

describe('a commit that is killed', () => {
  const names = ['a', 'b', 'c', 'd', 'e'];
  const chunks = fc
    .uniqueArray(fc.constantFrom(...names), { minLength: 1 })
    .map((chosen) => chosen.map((name, n) => ({ name, rows: n + 1, dead: name < 'c' ? 1 : 0 })));

  it('ends in the same bytes wherever and however often it crashes, and shows no row twice', async () => {
    await fc.assert(
      fc.asyncProperty(
        chunks,
        chunks,
        fc.constantFrom<OutputMode>('overwrite', 'append', 'overwritePartitions'),
        fc.boolean(),
        fc.array(fc.nat(12), { maxLength: 12 }),
        async (before, after, mode, foreign, crashes) => {
          const run = async (interrupt: readonly number[]) => {
            const world = new World();
            await world.run(plan('/r', before, mode), before);
            if (foreign) await world.store.create('/r/out/f.parquet', Buffer.from('foreign'));
            const of = plan('/r', after, mode);
            const manifests = await world.prepare(of, after);
            world.store.onWrite = () => {
              const seen = world.visible();
              expect(new Set(seen).size).toBe(seen.length);
              if (world.success(of)) expect(isWhole(world, of)).toBe(true);
            };
            for (const writes of interrupt) {
              world.store.writesLeft = writes;
              world.index.beforeUpdate = () => {
                if (writes % 3 === 0) throw new Crash('before the index');
              };
              await publishJob(world.tools, of, manifests).catch((error: unknown) => {
                if (!(error instanceof Crash)) throw error;
              });
            }
            world.store.writesLeft = Infinity;
            world.index.beforeUpdate = () => undefined;
            const { summary } = await publishJob(world.tools, of, manifests);
            expect(isWhole(world, of)).toBe(true);
            for (const { name } of after) expectIndexed(world, name);
            return { summary, shown: shown(world), visible: world.visible() };
          };
          expect(await run(crashes)).toEqual(await run([]));
        },
      ),
      { numRuns: 300 },
    );
  });
});

/** Names and contents outside the folder of our own work. */
function shown(world: World): [string, string][] {
  return [...world.store.objects]
    .filter(([path]) => !/_windrow\/(trash|chunks)\//.test(path))
    .map(([path, bytes]): [string, string] => [path, bytes.toString('utf8')])
    .sort(([one], [two]) => (one < two ? -1 : 1));
}

function isWhole(world: World, of: JobPlan): boolean {
  return (world.manifest(of)?.files ?? []).every(({ name, bytes }) => {
    return world.store.objects.get(`/r/out/${name}`)?.length === bytes;
  });
}

function expectIndexed(world: World, name: string): void {
  for (const { path, bytes } of world.index.records.get(identityOf(name))?.files ?? []) {
    expect(world.store.objects.get(path)?.length).toBe(bytes);
  }
}

describe('an output before any work', () => {
  const code = (promise: Promise<unknown>) =>
    promise.then(
      (value) => (value as { kind: string }).kind,
      (error: unknown) => (error as { failure: { code: string } }).failure.code,
    );

  it('is free when empty, up to date when its manifest is equal, and taken otherwise', async () => {
    const world = new World();
    const of = plan('/r', [a, b], 'error');
    const check = (of: JobPlan, options = {}) =>
      code(checkBefore(world.store, outputOf(of), options));
    expect(await check(of)).toBe('go');
    await world.run(of, [a, b]);
    expect(await check(of)).toBe('upToDate');
    expect(await check(plan('/r', [a, b], 'overwrite'))).toBe('upToDate');
    expect(await check(plan('/r', [a], 'error'))).toBe('E_OUTPUT_EXISTS');
    expect(await check(plan('/r', [a], 'overwrite'))).toBe('go');
    expect(await check(of, { republish: { job: 'n' } })).toBe('go');
    expect(await check(plan('/r', [a], 'error'), { republish: { job: 'other' } })).toBe(
      'E_OUTPUT_EXISTS',
    );
  });

  it('is not up to date when a file of it is gone, cut, or a foreign one would double rows', async () => {
    const world = new World();
    const of = plan('/r', [b], 'overwrite');
    await world.run(of, [b]);
    const path = `/r/out/${world.manifest(of)?.files[0]?.name}`;
    await world.store.create('/r/out/f.parquet', Buffer.from('foreign'));
    expect(await code(checkBefore(world.store, outputOf(of)))).toBe('go');
    await world.store.delete('/r/out/f.parquet');
    await world.store.replace(path, Buffer.from('cut'));
    expect(await code(checkBefore(world.store, outputOf(of)))).toBe('go');
    await world.store.delete(path);
    expect(await code(checkBefore(world.store, outputOf(of)))).toBe('go');
  });

  it('is up to date with dead letters in a place below it', async () => {
    for (const mode of ['error', 'overwrite'] as const) {
      const world = new World();
      const whole = plan('/r', [a, b], mode);
      const inside = { ...outputOf(whole), deadLetterPath: '/r/out/dead' };
      const of = { ...whole, outputs: [inside] };
      await world.run(of, [a, b]);
      expect(world.visible('/r/out/dead')).toEqual(texts('dead of a'));
      expect(await code(checkBefore(world.store, inside))).toBe('upToDate');
    }
  });

  it('is refused when only foreign files or an unreadable manifest lie there', async () => {
    for (const [path, content] of [
      ['/r/out/k=1/f.parquet', 'x'],
      ['/r/out/_windrow/manifest.json', '{'],
    ] as const) {
      const world = new World();
      await world.store.create(path, Buffer.from(content));
      expect(await code(checkBefore(world.store, outputOf(plan('/r', [b], 'error'))))).toBe(
        'E_OUTPUT_EXISTS',
      );
      expect(await code(checkBefore(world.store, outputOf(plan('/r', [b], 'append'))))).toBe('go');
    }
  });
});
