import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Kernel } from '../../../worker/kernel/duckdb.js';
import { quotePath } from '../../../worker/kernel/sql-text.js';

let root: string;
let kernel: Kernel;
beforeEach(async () => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'windrow-kernel-')));
  mkdirSync(join(root, 'data'));
  mkdirSync(join(root, 'data2'));
  writeFileSync(join(root, 'data2', 'secret.txt'), 'secret');
  kernel = await Kernel.open({
    directories: [join(root, 'data')],
    memoryLimitBytes: 1 << 28,
    spillDirectory: join(root, 'spill'),
  });
});
afterEach(() => {
  kernel.close();
  rmSync(root, { recursive: true, force: true });
});

describe('a locked kernel', () => {
  it.each([
    [
      'a directory whose name begins like an allowed one',
      () => `select * from read_text('${root}/data2/secret.txt')`,
    ],
    ['a path that climbs out', () => `select * from read_text('${root}/data/../data2/secret.txt')`],
    ['an attached database', () => `attach '${root}/data2/x.db'`],
    ['an extension', () => 'install httpfs'],
    ['a change of its settings', () => 'set threads = 8'],
  ])('refuses %s', async (_what, sql) => {
    await expect(kernel.run(sql())).rejects.toThrow(/Permission|Cannot|disabled|configuration/);
  });

  it('reads and writes where it may, whatever the file is called', async () => {
    const path = join(root, 'data', `it's [a] *? file.parquet`);
    await kernel.run(`copy (select 1 as a) to '${path.replaceAll("'", "''")}' (format parquet)`);
    expect(await kernel.rows(`select * from read_parquet(${quotePath(path)})`)).toEqual([{ a: 1 }]);
  });

  it('works in UTC', async () => {
    const sql = `select (timestamptz '2026-01-01 12:00:00+00')::varchar as t`;
    expect(await kernel.rows(sql)).toEqual([{ t: '2026-01-01 12:00:00+00' }]);
  });

  it('removes its spill directory when it closes, once', () => {
    kernel.close();
    kernel.close();
    expect(existsSync(join(root, 'spill'))).toBe(false);
  });
});
