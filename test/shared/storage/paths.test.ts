import { mkdtempSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { describe, expect, it } from 'vitest';
import { jobId, stageId } from '../../../shared/ids.js';
import {
  attemptTag,
  chunkFilePath,
  deadLetterFilePath,
  hiveDirectory,
  identityOfPath,
  isInside,
  publishedName,
  temporaryPath,
  trashPath,
  visibleName,
  writerOfPath,
} from '../../../shared/storage/paths.js';

const identity = 'ab'.repeat(32);

describe('names of files', () => {
  it('tell which process wrote a chunk, whatever it is called', () => {
    const attempt = { jobId: jobId('j1'), stageId: stageId('s1_1'), task: 3, attempt: 2 };
    for (const incarnation of ['0f3a', 'of-w1', '6f1c0d1e-7c1b-4f7e-9d0a-2b1f']) {
      const tag = attemptTag(attempt, incarnation);
      expect(writerOfPath(chunkFilePath('/c', identity, tag))).toBe(incarnation);
      expect(writerOfPath(chunkFilePath('/c', identity, tag, 7))).toBe(incarnation);
      expect(writerOfPath(temporaryPath(chunkFilePath('/c', identity, tag), 'w'))).toBeUndefined();
      expect(writerOfPath(deadLetterFilePath('/c', identity, tag))).toBeUndefined();
    }
    expect(writerOfPath('/c/ab/anything.chunk')).toBeUndefined();
  });

  it('hide everything that is not published from a glob for Parquet', () => {
    const unpublished = [
      chunkFilePath('/c', identity, 't-1'),
      chunkFilePath('/c', identity, 't-1', 3),
      deadLetterFilePath('/c', identity, 't-1'),
      temporaryPath(chunkFilePath('/c', identity, 't-1'), 'x'),
      trashPath('/out', identity, publishedName(identity, []), identity),
      trashPath('/out', identity, 'foreign.parquet', undefined, 2),
    ];
    for (const path of unpublished) expect(path).not.toMatch(/\.parquet$/);
    expect(unpublished[0]).toBe(`/c/ab/${identity}.t-1.chunk`);
    expect(visibleName('/out', `/out/${publishedName(identity, [])}`)).toBe(
      `part-${identity.slice(0, 32)}.parquet`,
    );
    expect(visibleName('/out', '/out/_SUCCESS')).toBeUndefined();
    expect(visibleName('/out', '/outer/a.parquet')).toBeUndefined();
  });

  it('tell the chunk a file belongs to', () => {
    expect(identityOfPath(chunkFilePath('/c', identity, 't-1', 3))).toBe(identity);
    expect(identityOfPath(deadLetterFilePath('/c', identity, 't'))).toBe(identity);
    expect(identityOfPath(temporaryPath(chunkFilePath('/c', identity, 't'), 'x'))).toBe(identity);
    expect(identityOfPath(trashPath('/o', 'm'.repeat(64), 'k=v/p.parquet', identity, 1))).toBe(
      identity,
    );
    expect(identityOfPath(trashPath('/o', 'm', 'p.parquet', undefined))).toBeUndefined();
    expect(identityOfPath('/o/part-1.parquet')).toBeUndefined();
  });

  it('write hive folders as DuckDB writes them', async () => {
    const values = ['a/b', 'x y', null, '', 'é=%&', "A-Z_0.9~!*'()", '+:@,;?#"', '..'];
    const directory = join(mkdtempSync(join(tmpdir(), 'windrow-hive-')), 'out');
    const connection = await (await DuckDBInstance.create()).connect();
    const rows = values.map((value) =>
      value === null ? '(NULL)' : `('${value.replaceAll("'", "''")}')`,
    );
    await connection.run(
      `copy (select 1 as i, * from (values ${rows.join(', ')}) t("k y"))
       to '${directory}' (format parquet, partition_by ("k y"))`,
    );
    connection.closeSync();
    expect(readdirSync(directory).sort()).toEqual(
      values.map((value) => hiveDirectory('k y', value)).sort(),
    );
  });

  it('know inside from beside', () => {
    expect(isInside('/a', '/a')).toBe(true);
    expect(isInside('/a', '/a/b')).toBe(true);
    expect(isInside('/a', '/a/..b')).toBe(true);
    expect(isInside('/a', '/ab')).toBe(false);
    expect(isInside('/a/b', '/a')).toBe(false);
  });
});
