/** Outputs as jobs leave them, read back as Arrow by the built command line's own parts. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RecordBatchReader, type Table, tableFromIPC } from 'apache-arrow';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ResultReader } from '../../coordinator/result-reader.js';
import type { WindrowError } from '../../shared/failure.js';
import type { Manifest } from '../../shared/manifest.js';
import { manifestPath } from '../../shared/storage/paths.js';
import { Workplace } from '../e2e/workplace.js';

let place: Workplace;
let scratch: string;

beforeAll(() => {
  place = new Workplace();
  scratch = mkdtempSync(join(tmpdir(), 'windrow-spill-'));
});
afterAll(async () => {
  await place.close();
  rmSync(scratch, { recursive: true, force: true });
});

/** Runs a job over 100 rows with partition keys of several types. */
async function output(name: string, folder: string, where: string): Promise<string> {
  await place.sql(`copy (
      select i, '00' || (i % 3) as code, (i % 2)::tinyint as half, date '2026-11-20' + (i % 2)::int as day
      from range(100) t(i)
    ) to '${place.write('data/rows.parquet', '')}' (format parquet)`);
  const spec = place.write(
    `${name}.yaml`,
    `apiVersion: windrow/v1
kind: Job
metadata: { name: ${name} }
sources: { rows: { parquet: data/rows.parquet } }
steps: [{ id: kept, filter: { from: rows, where: "${where}" } }]
outputs: [{ from: kept, parquet: "${folder}", partitionBy: [code, half, day], mode: overwrite }]
`,
  );
  const { code, stderr } = await place.windrow(['run', spec, '--workers', '1']);
  expect(code, stderr).toBe(0);
  return place.path(folder);
}

async function read(directory: string, maxRows?: number): Promise<Table> {
  const parts: Uint8Array[] = [];
  for await (const part of new ResultReader(scratch).output(directory, maxRows)) parts.push(part);
  return tableFromIPC(RecordBatchReader.from(Buffer.concat(parts)));
}

const failureOf = (directory: string) =>
  read(directory).then(
    () => undefined,
    (error: WindrowError) => error.failure,
  );

const columns = (table: Table) =>
  table.schema.fields.map(({ name, type }) => `${name} ${String(type)}`);

describe('a partitioned output', () => {
  it('comes back with the types and values that its partition keys had', async () => {
    const table = await read(await output('some', 'out [x] *', 'i < 10'));
    expect(columns(table)).toEqual(['i Int64', 'code Utf8', 'half Int8', 'day Date32<DAY>']);
    const rows = table.toArray().map((row) => row.toJSON() as Record<string, unknown>);
    rows.sort((a, b) => Number(a['i']) - Number(b['i']));
    expect(rows.map(({ i, code, half }) => [Number(i), code, half])).toEqual(
      Array.from({ length: 10 }, (_, i) => [i, `00${i % 3}`, i % 2]),
    );
  });

  it('comes back with text that only looks like something else', async () => {
    const texts = ['NULL', '', ' a/b=c%20ü+', 'code=x', null];
    const values = texts.map((text) => (text === null ? 'null' : `'${text}'`)).join(', ');
    await place.sql(
      `copy (select unnest([${values}]) as "x.Y", 1 as i) to '${place.write('data/texts.parquet', '')}' (format parquet)`,
    );
    const spec = place.write(
      'texts.yaml',
      `apiVersion: windrow/v1
kind: Job
metadata: { name: texts }
sources: { rows: { parquet: data/texts.parquet } }
outputs: [{ from: rows, parquet: "ü x.Y=NULL/out", partitionBy: ['x.Y'] }]
`,
    );
    const { code, stderr } = await place.windrow(['run', spec, '--workers', '1']);
    expect(code, stderr).toBe(0);
    const table = await read(place.path('ü x.Y=NULL/out'));
    const found = table.toArray().map((row) => (row.toJSON() as Record<string, unknown>)['x.Y']);
    expect(new Set(found)).toEqual(new Set(texts));
    expect(found).toHaveLength(texts.length);
  });

  it('without rows comes back as its columns alone', async () => {
    const table = await read(await output('none', 'out-none', 'i < 0'));
    expect(table.numRows).toBe(0);
    expect(columns(table)).toEqual(['i Int64', 'code Utf8', 'half Int8', 'day Date32<DAY>']);
  });

  it('gives no more rows than asked for', async () => {
    const directory = await output('few', 'out-few', 'i < 50');
    expect((await read(directory, 7)).numRows).toBe(7);
  });
});

describe('a manifest that somebody has changed', () => {
  async function changed(change: (manifest: Manifest) => unknown): Promise<string> {
    const directory = await output('spoiled', 'out-spoiled', 'i < 10');
    const path = manifestPath(directory);
    const manifest = JSON.parse(readFileSync(path, 'utf8')) as Manifest;
    writeFileSync(path, JSON.stringify(change(manifest)));
    return directory;
  }
  const naming = (file: string) =>
    changed((manifest) => ({ ...manifest, files: [{ ...manifest.files[0], name: file }] }));

  it.each(['../data/rows.parquet', 'code=001/../../data/rows.parquet'])(
    'may not name %s',
    async (file) => {
      expect(await failureOf(await naming(file))).toMatchObject({ code: 'E_MANIFEST' });
    },
  );

  it('may not name a file by its whole path', async () => {
    const failure = await failureOf(await naming(place.path('data/rows.parquet')));
    expect(failure).toMatchObject({ code: 'E_MANIFEST' });
  });

  it('is told as damaged when it is no manifest', async () => {
    const directory = await changed(() => ({ hello: 'you' }));
    expect(await failureOf(directory)).toMatchObject({ code: 'E_MANIFEST' });
  });

  it('reads no other file through the type of a column', async () => {
    const secret = place.path('data/rows.parquet');
    const type = `BIGINT, (select count(*) from '${secret}')`;
    const directory = await changed((manifest) => ({
      ...manifest,
      files: [],
      columns: [{ name: 'i', type }],
    }));
    await expect(read(directory)).rejects.toThrow(/Permission|disabled/);
  });
});

it('an output where nothing was published is E_NO_RESULT', async () => {
  expect(await failureOf(place.path('nowhere'))).toMatchObject({ code: 'E_NO_RESULT' });
});
