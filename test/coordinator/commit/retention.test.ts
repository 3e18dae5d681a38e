import { describe, expect, it } from 'vitest';
import { sweep } from '../../../coordinator/commit/retention.js';
import { claimOutput } from '../../../coordinator/commit/claim-files.js';
import { chunkFilePath, publishedName, trashPath } from '../../../shared/storage/paths.js';
import { MemoryStore } from '../../contract/memory-store.js';
import { MemoryIndex, claimOf, identityOf, plan, stage } from './fixture.js';

const day = 86_400_000;
const of = plan('/r', []);
const self = claimOf('j1');

/** The memory store's files are all of the moment 0. */
async function world() {
  const store = new MemoryStore();
  const index = new MemoryIndex();
  const known = await stage(store, of.chunkLocation, { name: 'known', rows: 1, dead: 1 });
  await stage(store, of.chunkLocation, { name: 'orphan', rows: 1, dead: 1 });
  index.put([known]);
  const orphan = chunkFilePath(of.chunkLocation, identityOf('known'), 'late-2');
  await store.create(orphan, Buffer.from('a later attempt'));
  await store.create('/r/out/notes.chunk', Buffer.from('not in our folder'));
  await store.create(`/r/out/${publishedName(identityOf('p'), [])}`, Buffer.from('published'));
  await store.create(trashPath('/r/out', 'm', 'p.parquet', identityOf('p')), Buffer.from('old'));
  await store.create(`${of.chunkLocation}/readme.txt`, Buffer.from('somebody’s'));
  const request = {
    store,
    index,
    epoch: 1,
    outputs: ['/r/out'],
    chunkLocations: [of.chunkLocation],
    inUse: () => true,
    self,
  };
  const rules = (nowMs: number) => ({ nowMs, graceMs: day, keepMs: 7 * day });
  return { store, index, known, request, rules };
}

describe('cleaning up', () => {
  it('removes nothing that is younger than the grace', async () => {
    const { store, request, rules } = await world();
    const before = store.objects.size;
    expect(await sweep({ ...request, rules: rules(day - 1) })).toEqual({
      filesRemoved: 0,
      chunksForgotten: 0,
    });
    expect(store.objects.size).toBe(before);
  });

  it('removes orphans and old trash, and never what the index names or others put there', async () => {
    const { store, known, request, rules } = await world();
    const { filesRemoved } = await sweep({ ...request, rules: rules(day) });
    expect(filesRemoved).toBe(4);
    expect([...store.objects.keys()].sort()).toEqual(
      [
        known.files[0]?.path,
        known.deadLetters?.path,
        '/r/out/notes.chunk',
        `/r/out/${publishedName(identityOf('p'), [])}`,
        `${of.chunkLocation}/readme.txt`,
      ].sort(),
    );
  });

  it('leaves an output alone while another job holds its claim', async () => {
    const { store, request, rules } = await world();
    await claimOutput(store, '/r/out', { ...self, job: 'other' }, () => true);
    const { filesRemoved } = await sweep({ ...request, rules: rules(30 * day) });
    expect(filesRemoved).toBe(0);
  });

  it('forgets chunks unused for too long, with their staged files, but keeps published ones', async () => {
    const { store, index, known, request, rules } = await world();
    const published = `/r/out/${publishedName(identityOf('p'), [])}`;
    index.put([
      {
        ...known,
        identity: identityOf('p'),
        files: [{ ...known.files[0]!, path: published }],
      },
    ]);
    const kept = await sweep({ ...request, rules: rules(8 * day) });
    expect(kept.chunksForgotten).toBe(0);
    const inUse = (identity: string) => identity === 'nobody';
    const { chunksForgotten } = await sweep({ ...request, inUse, rules: rules(8 * day) });
    expect(chunksForgotten).toBe(2);
    expect(index.records.size).toBe(0);
    expect(store.objects.has(known.files[0]?.path ?? '')).toBe(false);
    expect(store.objects.has(published)).toBe(true);
  });
});
