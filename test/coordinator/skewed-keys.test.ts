import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { columnNames, skewNotes } from '../../coordinator/skewed-keys.js';
import { stageId } from '../../shared/ids.js';
import type { ChunkRecord, Division, StagePlan } from '../../shared/plan.js';
import { stagePlan } from './core/fixtures.js';

let directory: string;
let record: ChunkRecord;

/** A divided file of two parts: keys 0 to 99, and a partition of which seven rows in ten have key 7. */
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'windrow-skew-'));
  const connection = await (await DuckDBInstance.create(':memory:', { threads: '1' })).connect();
  const path = join(directory, 'divided.chunk');
  await connection.run(`copy (
    select i % 100 as c1, 'x' as c2 from range(100) t(i)
    union all
    select case when i % 10 < 7 then 7 else i end as c1, 'x' as c2 from range(20000) t(i)
  ) to '${path}' (format parquet, compression uncompressed)`);
  connection.closeSync();
  const bytes = statSync(path).size;
  const parts = [
    { partition: 0, rows: 100 },
    { partition: 1, rows: 20_000 },
  ];
  const blocks = [{ offset: 0, bytes, rows: 20_100, crc32: 0 }];
  const divided = { parts, blocks };
  const file = { path, rows: 20_100, bytes, sha256: '', partition: [], divided };
  const counts = { rowsIn: 0, rowsOut: 20_100, filtered: 0, dead: 0, inferred: 0, warnings: {} };
  record = { identity: 'i', files: [file], counts };
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const divided = (divide: Division): StagePlan => {
  const plan = stagePlan({});
  return { ...plan, program: { ...plan.program, sink: { ...plan.program.sink, divide } } };
};
function reader(shared: number): StagePlan {
  const share = (from: number, to: number) => ({ input: 0, from, to });
  const range = { from: shared, to: shared + 1 };
  const ranges = [
    { ...range, share: share(0, 1) },
    { ...range, share: share(1, 2) },
  ];
  const inputs = [{ leaf: 'l', stages: [stageId('s0')] }];
  const input = {
    kind: 'exchange',
    driving: { kind: 'partitions', inputs, ranges },
    whole: [],
  } as const;
  return { ...stagePlan({ id: 's1' }), input };
}
const notesOf = (shared: number, keys: readonly string[], records = [record]) =>
  skewNotes(
    reader(shared),
    () => divided({ kind: 'hash', partitions: 2, keys }),
    () => records,
    (column) => columnNames('{"columns":[{"id":"c1","name":"user_id"}]}').get(column) ?? column,
  );

test('the key that makes a partition large is named once, with its share', async () => {
  expect(await notesOf(1, ['"c1"'])).toEqual([
    {
      kind: 'exchange',
      step: 's1',
      text: 'partition 1 of s0 is so large because of user_id = 7: 70 % of the rows looked at, of 20000',
    },
  ]);
});

test('several keys are named together', async () => {
  const [note] = await notesOf(1, ['"c1"', '"c2"']);
  expect(note?.text).toContain('because of user_id = 7, c2 = x: 70 %');
});

test('keys of which none is frequent are not named', async () => {
  expect(await notesOf(0, ['"c1"'])).toEqual([]);
});

test('keys that are no columns are not looked for', async () => {
  expect(await notesOf(1, ['"c1" + 1'])).toEqual([]);
});

test('a file that is gone tells nothing, and stops nothing', async () => {
  const [file] = record.files;
  const gone = { ...record, files: [{ ...file!, path: join(directory, 'gone.chunk') }] };
  expect(await notesOf(1, ['"c1"'], [gone])).toEqual([]);
});
