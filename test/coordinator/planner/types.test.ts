import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { landed, travelled } from '../../../coordinator/planner/types.js';

let directory: string;
let instance: DuckDBInstance;
let db: DuckDBConnection;

beforeAll(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'windrow-types-'));
  instance = await DuckDBInstance.create(':memory:', { threads: '1' });
  db = await instance.connect();
  await db.run(`set TimeZone = 'UTC'`);
});
afterAll(() => {
  db.closeSync();
  instance.closeSync();
  rmSync(directory, { recursive: true, force: true });
});

test.each([
  ['BOOLEAN', 'true'],
  ['UTINYINT', '255'],
  ['BIGINT', '-9223372036854775808'],
  ['UBIGINT', '18446744073709551615'],
  ['HUGEINT', '99999999999999999999999999999999999999'],
  ['UHUGEINT', '340282366920938463463374607431768211455'],
  ['DECIMAL(38,10)', '1234567890123456789012345678.0123456789'],
  ['FLOAT', "'-0'"],
  ['DOUBLE', "'nan'"],
  ['VARCHAR', "''"],
  ['BLOB', "'\\x00\\xFF'::blob"],
  ['BIT', "'10110'"],
  ['UUID', "'6f9619ff-8b86-d011-b42d-00cf4fc964ff'"],
  ['DATE', "'1500-02-28'"],
  ['TIME', "'23:59:59.999999'"],
  ['TIME WITH TIME ZONE', "'12:00:00.5+05:30'"],
  ['TIMESTAMP', "'1900-01-01 00:00:00.000001'"],
  ['TIMESTAMP_S', "'2026-11-22 01:02:03'"],
  ['TIMESTAMP_MS', "'2026-11-22 01:02:03.004'"],
  ['TIMESTAMP_NS', "'2026-11-22 01:02:03.000000005'"],
  ['TIMESTAMP WITH TIME ZONE', "'2026-11-22 01:02:03.000004+02'"],
  ['INTERVAL', "'14 months -3 days 01:02:03.000004'"],
  ["ENUM('a', 'it''s, HUGEINT')", "'it''s, HUGEINT'"],
  ['INTEGER[3]', '[1, null, 3]'],
  ['HUGEINT[]', '[1, null, 99999999999999999999999999]'],
  ['VARCHAR[][]', "[['a', null], [], null]"],
  [
    "STRUCT(\"HUGEINT\" HUGEINT, b INTERVAL, c ENUM('x', 'y'))",
    "{'HUGEINT': 7, 'b': interval 1 microsecond, 'c': 'y'}",
  ],
  ['MAP(VARCHAR, HUGEINT)', "map {'k': 12345678901234567890123}"],
])('a value of %s comes back from a file between two stages', async (type, value) => {
  const file = path.join(directory, 'x.parquet');
  const carrier = travelled({ name: 'x', type }).type;
  await db.run(
    `copy (select cast(cast(${value} as ${type}) as ${carrier}) as x, 1 as n union all select null, 2)
     to '${file}' (format parquet)`,
  );
  const rows = await db.runAndReadAll(
    `select cast(x as ${type}) is not distinct from cast(${value} as ${type}) as same,
       cast(x as ${type})::varchar = cast(${value} as ${type})::varchar as text, x is null as absent
     from read_parquet('${file}') order by n`,
  );
  expect(rows.getRowObjectsJS()).toEqual([
    { same: true, text: true, absent: false },
    { same: false, text: null, absent: true },
  ]);
});

test('types that a file keeps are not changed', () => {
  for (const type of ['DECIMAL(15,2)', 'VARCHAR', 'STRUCT("BIT" INTEGER)[]', 'TIMESTAMP_NS']) {
    expect(travelled({ name: 'x', type }).type).toBe(type);
  }
});

test('what a file would cut off is refused, however deep', () => {
  for (const type of ['INTERVAL', 'STRUCT(a INTERVAL[])', 'HUGEINT']) {
    expect(() => landed({ name: 'x', type })).toThrow(/cannot be kept in Parquet/);
  }
  for (const type of ['STRUCT("INTERVAL" INTEGER)', "ENUM('INTERVAL')"]) {
    expect(() => landed({ name: 'x', type })).not.toThrow();
  }
});

test('a union is refused with its column', () => {
  expect(() => travelled({ name: 'u', type: 'UNION(a INTEGER, b VARCHAR)' })).toThrow(
    /UNION.* cannot travel/,
  );
});
