import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { globSync } from 'tinyglobby';
import { afterAll, describe, expect, it } from 'vitest';
import type { Failure } from '../../../shared/failure.js';
import { WindrowError } from '../../../shared/failure.js';
import { readFooter, readPageExtents } from '../../../shared/parquet-footer.js';
import { PageChecksums } from '../../../worker/attempt/page-checksums.js';
import type { SourceWork } from '../../../worker/attempt/protocol.js';

const fixtures = resolve(import.meta.dirname, '../../interop/fixtures');
const directory = mkdtempSync(join(tmpdir(), 'windrow-pages-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function work(path: string, rowGroup: number): SourceWork {
  const { size, mtimeMs } = statSync(path);
  return {
    path,
    bytes: size,
    mtimeMs,
    footerHash: '',
    rowGroup,
    rowStart: 0,
    rowEnd: 1,
    hive: {},
    missingColumns: [],
  };
}

async function verify(path: string, columns: readonly string[]): Promise<void> {
  const { rowGroupRows } = await readFooter(path);
  const pages = new PageChecksums(columns, () => undefined);
  for (const rowGroup of rowGroupRows.keys()) await pages.verify(work(path, rowGroup));
}

async function columnsOf(path: string): Promise<string[]> {
  return (await readFooter(path)).columns.map(({ name }) => name);
}

async function failureOf(promise: Promise<void>): Promise<Failure | undefined> {
  try {
    await promise;
    return undefined;
  } catch (error) {
    if (error instanceof WindrowError) return error.failure;
    throw error;
  }
}

describe('page checksums', () => {
  it.each(globSync('*.parquet', { cwd: fixtures }).sort())('hold in %s', async (name) => {
    const path = join(fixtures, name);
    await verify(path, await columnsOf(path));
  });

  const checked = ['pyarrow-page-checksum', 'pyarrow-page-checksum-v2'];

  it.each(checked)('tell a flipped bit anywhere in the pages of %s', async (name) => {
    const good = join(fixtures, `${name}.parquet`);
    const bytes = readFileSync(good);
    const columns = await columnsOf(good);
    let told = 0;
    let tried = 0;
    for (const { start, end, column } of await readPageExtents(good)) {
      for (let at = start; at < end; at += 37) {
        const path = join(directory, 'flipped.parquet');
        bytes[at]! ^= 0x10;
        writeFileSync(path, bytes);
        bytes[at]! ^= 0x10;
        const failure = await failureOf(verify(path, columns));
        tried += 1;
        if (!failure) continue;
        expect(failure).toMatchObject({
          kind: 'badData',
          code: 'E_PARQUET_CORRUPT',
          at: { file: path, rowGroup: 0, column },
        });
        told += 1;
      }
    }
    // What no checksum covers are the page headers themselves.
    expect(tried).toBeGreaterThan(40);
    expect(told / tried).toBeGreaterThan(0.8);
  });

  it('are not looked at in columns that are not read', async () => {
    const good = join(fixtures, `${checked[0]!}.parquet`);
    const [extent] = await readPageExtents(good);
    const bytes = readFileSync(good);
    bytes[extent!.end - 1]! ^= 1;
    const path = join(directory, 'other-column.parquet');
    writeFileSync(path, bytes);
    const others = (await columnsOf(path)).filter((name) => name !== extent!.column);
    expect(await failureOf(verify(path, others))).toBeUndefined();
    expect(await failureOf(verify(path, [extent!.column]))).toBeDefined();
    // Files of one source may write a name in another case.
    expect(await failureOf(verify(path, [extent!.column.toUpperCase()]))).toBeDefined();
  });
});
