import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeDirectory, makeDirectorySync } from '../../../shared/storage/directories.js';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'windrow-directories-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const makers = {
  makeDirectory,
  makeDirectorySync: async (path: string, mode?: number) => makeDirectorySync(path, mode),
};

describe.each(Object.entries(makers))('%s', (_, make) => {
  it('makes a directory with all that it lies in', async () => {
    await make(join(root, 'a', 'b', 'c'), 0o700);
    expect(statSync(join(root, 'a', 'b', 'c')).isDirectory()).toBe(true);
    expect(statSync(join(root, 'a')).mode & 0o777).toBe(0o700);
  });

  it('leaves one that is there as it is', async () => {
    await make(root);
    await Promise.all([make(join(root, 'x', 'y')), make(join(root, 'x', 'y'))]);
    expect(statSync(join(root, 'x', 'y')).isDirectory()).toBe(true);
  });

  it('fails below a file, and where a file has the name', async () => {
    writeFileSync(join(root, 'file'), '');
    await expect(make(join(root, 'file', 'below'))).rejects.toThrow(/ENOTDIR/);
    await expect(make(join(root, 'file'))).rejects.toThrow(/EEXIST/);
  });

  it('fails where the file system knows no such place, however deep', async () => {
    await expect(make('/proc/windrow/deep/er')).rejects.toThrow(/ENOENT|EACCES|EPERM/);
  });
});
