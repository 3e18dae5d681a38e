import { mkdir, mkdtemp, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { LocalStore } from '../../shared/storage/local-store.js';
import { MemoryStore } from './memory-store.js';
import { objectStoreContract } from './object-store.js';

const emptyPlace = () => mkdtemp(join(tmpdir(), 'windrow-store-'));

objectStoreContract('the local store', async () => ({
  store: new LocalStore(),
  root: await emptyPlace(),
}));
objectStoreContract('the store in memory that tests crash', async () => ({
  store: new MemoryStore(),
  root: '/root',
}));

describe('the local store on a disk', () => {
  it('neither lists nor follows symlinks', async () => {
    const [root, outside] = [await emptyPlace(), await emptyPlace()];
    await writeFile(join(outside, 'secret'), 'x');
    await symlink(outside, join(root, 'folder'));
    await symlink(join(outside, 'secret'), join(root, 'file'));
    const store = new LocalStore();
    expect(await store.list(root)).toEqual([]);
    expect(await store.head(join(root, 'file'))).toBeUndefined();
  });

  it('cannot be probed where a file stands in the way', async () => {
    const root = await emptyPlace();
    await mkdir(join(root, 'd'));
    await writeFile(join(root, 'd', 'f'), '');
    await expect(new LocalStore().probe(join(root, 'd', 'f', 'g'))).rejects.toThrow(/ENOTDIR/);
  });
});
