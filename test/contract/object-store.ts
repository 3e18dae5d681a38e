/** What every object store must do; the commit protocol stands on these sentences. */
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { ObjectStore } from '../../shared/storage/object-store.js';

export interface StoreFixture {
  readonly store: ObjectStore;
  /** An empty place. */
  readonly root: string;
}

const bytes = (text: string) => Buffer.from(text, 'utf8');

export function objectStoreContract(name: string, open: () => Promise<StoreFixture>): void {
  describe(name, () => {
    it('creates an object once, and leaves what is there alone', async () => {
      const { store, root } = await open();
      expect(await store.create(`${root}/a/b`, bytes('one'))).toBe(true);
      expect(await store.create(`${root}/a/b`, bytes('two'))).toBe(false);
      expect((await store.get(`${root}/a/b`))?.toString()).toBe('one');
    });

    it('lets exactly one of many concurrent creators win', async () => {
      const { store, root } = await open();
      const wins = await Promise.all(
        Array.from({ length: 20 }, (_, n) => store.create(`${root}/c`, bytes(String(n)))),
      );
      expect(wins.filter(Boolean)).toHaveLength(1);
      expect((await store.get(`${root}/c`))?.toString()).toBe(String(wins.indexOf(true)));
    });

    it('replaces what is there and what is not', async () => {
      const { store, root } = await open();
      await store.replace(`${root}/r`, bytes('one'));
      await store.replace(`${root}/r`, bytes('three'));
      expect((await store.get(`${root}/r`))?.toString()).toBe('three');
      expect((await store.head(`${root}/r`))?.bytes).toBe(5);
    });

    it('says that nothing is there where nothing is', async () => {
      const { store, root } = await open();
      expect(await store.get(`${root}/no`)).toBeUndefined();
      expect(await store.head(`${root}/no`)).toBeUndefined();
      expect(await store.digest(`${root}/no`)).toBeUndefined();
      expect(await store.delete(`${root}/no`)).toBe(false);
      expect(await store.list(`${root}/no`)).toEqual([]);
    });

    it('digests content as SHA-256', async () => {
      const { store, root } = await open();
      const content = Buffer.alloc(3 * 1024 * 1024 + 1, 7);
      await store.create(`${root}/d`, content);
      expect(await store.digest(`${root}/d`)).toBe(
        createHash('sha256').update(content).digest('hex'),
      );
    });

    it('moves by consuming the source', async () => {
      const { store, root } = await open();
      await store.create(`${root}/from`, bytes('x'));
      expect(await store.move(`${root}/from`, `${root}/new/to`)).toBe('done');
      expect(await store.head(`${root}/from`)).toBeUndefined();
      expect((await store.get(`${root}/new/to`))?.toString()).toBe('x');
      expect(await store.move(`${root}/from`, `${root}/other`)).toBe('missing');
    });

    it('never replaces by moving or copying', async () => {
      const { store, root } = await open();
      await store.create(`${root}/from`, bytes('x'));
      await store.create(`${root}/to`, bytes('y'));
      expect(await store.move(`${root}/from`, `${root}/to`)).toBe('exists');
      expect(await store.copy(`${root}/from`, `${root}/to`)).toBe('exists');
      expect((await store.get(`${root}/from`))?.toString()).toBe('x');
      expect((await store.get(`${root}/to`))?.toString()).toBe('y');
    });

    it('copies and keeps the source', async () => {
      const { store, root } = await open();
      await store.create(`${root}/from`, bytes('x'));
      expect(await store.copy(`${root}/from`, `${root}/deep/to`)).toBe('done');
      expect(await store.copy(`${root}/none`, `${root}/deep/no`)).toBe('missing');
      expect((await store.list(root)).map(({ path }) => path)).toEqual([
        `${root}/deep/to`,
        `${root}/from`,
      ]);
    });

    it('lists no more than it is asked for', async () => {
      const { store, root } = await open();
      for (const name of ['a/1', 'a/2', 'b/3']) await store.create(`${root}/m/${name}`, bytes('1'));
      expect(await store.list(`${root}/m`, 2)).toHaveLength(2);
      expect(await store.list(`${root}/m`, 4)).toHaveLength(3);
    });

    it('lists everything below a directory with sizes, and leaves no temporary names', async () => {
      const { store, root } = await open();
      await store.create(`${root}/l/b`, bytes('22'));
      await store.create(`${root}/l/a/c`, bytes('1'));
      await store.replace(`${root}/l/.hidden`, bytes('333'));
      await store.create(`${root}/l/b`, bytes('again'));
      await store.probe(`${root}/l`);
      expect((await store.list(`${root}/l`)).map(({ path, bytes: size }) => [path, size])).toEqual([
        [`${root}/l/.hidden`, 3],
        [`${root}/l/a/c`, 1],
        [`${root}/l/b`, 2],
      ]);
    });

    it('lists in order of path, across directories whose names begin alike', async () => {
      const { store, root } = await open();
      const paths = ['a-b', 'a.c/1', 'a/2', 'a/b/3', 'a/b.4', 'a0', 'é'].map(
        (each) => `${root}/o/${each}`,
      );
      for (const path of paths) await store.create(path, bytes('1'));
      expect((await store.list(`${root}/o`)).map(({ path }) => path)).toEqual([...paths].sort());
    });

    it('finds nothing below a file', async () => {
      const { store, root } = await open();
      await store.create(`${root}/file`, bytes('1'));
      expect(await store.list(`${root}/file`)).toEqual([]);
      expect(await store.list(`${root}/file/below`)).toEqual([]);
      expect(await store.head(`${root}/file/below/x`)).toBeUndefined();
      expect(await store.get(`${root}/file/below/x`)).toBeUndefined();
    });

    it('finishes many moves into one directory at once', async () => {
      const { store, root } = await open();
      const names = Array.from({ length: 50 }, (_, n) => `f${String(n).padStart(2, '0')}`);
      await Promise.all(names.map((file) => store.create(`${root}/s/${file}`, bytes(file))));
      const results = await Promise.all(
        names.map((file) => store.move(`${root}/s/${file}`, `${root}/t/${file}`)),
      );
      expect(new Set(results)).toEqual(new Set(['done']));
      expect((await store.list(root)).map(({ path }) => path)).toEqual(
        names.map((file) => `${root}/t/${file}`),
      );
    });
  });
}
