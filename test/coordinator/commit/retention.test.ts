import { describe, expect, it } from 'vitest';
import { sweep } from '../../../coordinator/commit/retention.js';
import { claimOutput } from '../../../coordinator/commit/claim-files.js';
import { jobId } from '../../../shared/ids.js';
import {
  attemptTag,
  chunkFilePath,
  deadLetterFilePath,
  publishedName,
  temporaryPath,
  trashPath,
} from '../../../shared/storage/paths.js';
import { MemoryStore } from '../../contract/memory-store.js';
import { MemoryIndex, claimOf, identityOf, plan, s0, stage } from './fixture.js';

const day = 86_400_000;
const of = plan('/r', []);
const self = claimOf('j1');
const attempt = { stageId: s0, task: 0, attempt: 2 };
const ours = attemptTag({ ...attempt, jobId: jobId('j1') }, 'i1');
const others = attemptTag({ ...attempt, jobId: jobId('j2') }, 'i1');

/** The memory store's files are all of the moment 0. */
async function world() {
  const store = new MemoryStore();
  const index = new MemoryIndex();
  const known = await stage(store, of.chunkLocation, { name: 'known', rows: 1, dead: 1 });
  const orphan = identityOf('orphan');
  await store.create(chunkFilePath(of.chunkLocation, orphan, ours), Buffer.from('orphan'));
  await store.create(deadLetterFilePath(of.chunkLocation, orphan, ours), Buffer.from('its dead'));
  index.put([known]);
  const late = chunkFilePath(of.chunkLocation, identityOf('known'), ours);
  await store.create(late, Buffer.from('a later attempt'));
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
    isOurs: async (job: string) => job === 'j1',
    self,
  };
  const rules = (nowMs: number) => ({ nowMs, graceMs: day });
  return { store, index, known, request, rules };
}

describe('cleaning up', () => {
  it('removes nothing that is younger than the grace', async () => {
    const { store, request, rules } = await world();
    const before = store.objects.size;
    expect(await sweep({ ...request, rules: rules(day - 1) })).toEqual({
      filesRemoved: 0,
      chunksForgotten: 0,
      left: [],
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

  it('removes no file that a job of another state directory wrote to the same place', async () => {
    const { store, request, rules } = await world();
    const theirs = chunkFilePath(of.chunkLocation, identityOf('theirs'), others);
    for (const path of [theirs, temporaryPath(theirs, 'w')]) {
      await store.create(path, Buffer.from('another index names it, or will'));
    }
    await sweep({ ...request, rules: rules(30 * day) });
    expect(store.objects.has(theirs)).toBe(true);
    expect(store.objects.has(temporaryPath(theirs, 'w'))).toBe(true);
  });

  it('leaves an output alone while another job holds its claim', async () => {
    const { store, request, rules } = await world();
    await claimOutput(store, '/r/out', { ...self, job: 'other' }, () => true);
    const { filesRemoved } = await sweep({ ...request, rules: rules(30 * day) });
    expect(filesRemoved).toBe(0);
  });

  it('forgets what is of no use any more, whatever its time, but not what a job counts on', async () => {
    const { store, index, known, request, rules } = await world();
    const elsewhere = { identity: identityOf('e') };
    const { counts } = known;
    const path = chunkFilePath('/a/worker/shuffle', elsewhere.identity, ours);
    index.put([{ identity: elsewhere.identity, counts, files: [{ ...known.files[0]!, path }] }]);
    index.expired = () => Promise.resolve([]);
    const spent = [known.identity, elsewhere.identity];
    const used = await sweep({ ...request, spent, rules: rules(day - 1) });
    expect(used.chunksForgotten).toBe(0);
    const inUse = (identity: string) => identity === known.identity;
    const one = await sweep({ ...request, spent, inUse, rules: rules(day - 1) });
    expect(one).toEqual({
      filesRemoved: 0,
      chunksForgotten: 1,
      left: [path],
    });
    expect(store.objects.has(known.files[0]?.path ?? '')).toBe(true);
    const rest = await sweep({ ...request, spent, inUse: () => false, rules: rules(day - 1) });
    expect(rest).toMatchObject({ chunksForgotten: 1, left: [] });
    expect(store.objects.has(known.files[0]?.path ?? '')).toBe(false);
    expect(index.records.size).toBe(0);
  });

  it('forgets chunks whose time is over, with their staged files, but keeps published ones', async () => {
    const { store, index, known, request, rules } = await world();
    const published = `/r/out/${publishedName(identityOf('p'), [])}`;
    index.put([
      {
        ...known,
        identity: identityOf('p'),
        files: [{ ...known.files[0]!, path: published }],
      },
    ]);
    const kept = await sweep({ ...request, rules: rules(day) });
    expect(kept.chunksForgotten).toBe(0);
    const inUse = (identity: string) => identity === 'nobody';
    const { chunksForgotten } = await sweep({ ...request, inUse, rules: rules(day) });
    expect(chunksForgotten).toBe(2);
    expect(index.records.size).toBe(0);
    expect(store.objects.has(known.files[0]?.path ?? '')).toBe(false);
    expect(store.objects.has(published)).toBe(true);
  });
});
