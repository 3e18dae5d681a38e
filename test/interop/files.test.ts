/** Files that Windrow did not write: DuckDB reads each as its writer meant it, and a job passes it on unchanged. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { globSync } from 'tinyglobby';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readIndependently } from './independent-reader.js';
import { multiset, plainValue, roundDecimals, type ExpectedRows, type Plain } from './rows.js';

const root = path.resolve(import.meta.dirname, '../..');
const fixtures = path.join(import.meta.dirname, 'fixtures');
const names = globSync('*.parquet', { cwd: fixtures })
  .map((file) => file.replace(/\.parquet$/, ''))
  .sort();

function expectedOf(name: string): ExpectedRows {
  return JSON.parse(readFileSync(path.join(fixtures, `${name}.json`), 'utf8')) as ExpectedRows;
}

describe('fixtures', () => {
  let instance: DuckDBInstance;
  beforeAll(async () => {
    instance = await DuckDBInstance.create();
  });
  afterAll(() => instance.closeSync());

  test('are there from all four writers', () => {
    const writers = new Set(names.map((name) => name.split('-')[0]));
    expect([...writers].sort()).toEqual(['duckdb', 'hyparquet', 'parquetjs', 'pyarrow']);
  });

  test.each(names)('DuckDB reads %s as its writer meant it', async (name) => {
    const expected = expectedOf(name);
    const connection = await instance.connect();
    const reader = await connection.runAndReadAll(
      `select * from read_parquet('${path.join(fixtures, name)}.parquet')`,
    );
    const rows = reader.getRows().map((row) => row.map(plainValue));
    connection.closeSync();
    expect(reader.columnNames()).toEqual(expected.columns);
    expect(rows).toEqual(expected.rows);
  });
});

/** The last NDJSON line of `run`, which is its result. */
async function runJob(spec: string, state: string): Promise<Record<string, unknown>> {
  const args = ['dist/cli/main.js', 'run', spec, '--workers', '1', '--state', state];
  const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (data: Buffer) => (stdout += data.toString()));
  child.stderr.on('data', (data: Buffer) => (stderr += data.toString()));
  const code = await new Promise((resolve) => child.on('close', resolve));
  expect(code, stderr).toBe(0);
  const last = stdout.trimEnd().split('\n').at(-1) ?? '';
  return JSON.parse(last) as Record<string, unknown>;
}

describe('a job that changes nothing', () => {
  let scratch = '';
  let result: Record<string, unknown> = {};

  // One job with a source and an output for each fixture: the same engine path, one start-up.
  beforeAll(async () => {
    scratch = mkdtempSync(path.join(tmpdir(), 'windrow-interop-'));
    const id = (name: string): string => name.replaceAll('-', '_');
    const spec = {
      apiVersion: 'windrow/v1',
      kind: 'Job',
      metadata: { name: 'interop' },
      sources: Object.fromEntries(
        names.map((name) => [id(name), { parquet: path.join(fixtures, `${name}.parquet`) }]),
      ),
      outputs: names.map((name) => ({
        name: id(name),
        from: id(name),
        parquet: path.join(scratch, 'out', name),
      })),
    };
    const file = path.join(scratch, 'job.json');
    writeFileSync(file, JSON.stringify(spec));
    result = await runJob(file, path.join(scratch, 'state'));
  }, 180_000);
  afterAll(() => rmSync(scratch, { recursive: true, force: true }));

  test('counts every row of every file in and out', () => {
    const total = names.reduce((sum, name) => sum + expectedOf(name).rows.length, 0);
    expect(result).toMatchObject({
      event: 'result',
      state: 'succeeded',
      rows: { in: total, out: total, filtered: 0, deadLettered: 0 },
    });
  });

  test.each(names)('passes %s on to a reader that nobody here wrote', async (name) => {
    const expected = roundDecimals(expectedOf(name));
    const files = globSync('**/*.parquet', {
      cwd: path.join(scratch, 'out', name),
      absolute: true,
    });
    const rows: Plain[][] = [];
    for (const file of files) rows.push(...(await readIndependently(file, expected)));
    expect(multiset(rows)).toEqual(multiset(expected.rows));
  });
});
