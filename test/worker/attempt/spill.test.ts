/**
 * Wide steps over eight times what the kernel may hold in memory, through real attempts: they spill,
 * finish with the right rows, and leave nothing on the disk.
 */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { StageProgram } from '../../../shared/plan.js';
import type { SourceWork } from '../../../worker/attempt/protocol.js';
import { leaf, Place, queryProgram, read, work } from './fixture.js';

const memoryLimitBytes = 128 << 20;
/** Rows of 512 bytes where the query has made them wide. */
const rows = (8 * memoryLimitBytes) / 512;
/** Prime to `rows`: a permutation of its numbers. */
const step = 7919;
const timeoutMs = 300_000;

let place: Place;
let sources: SourceWork[];
beforeAll(async () => {
  place = new Place();
  const path = await place.parquet(
    'rows.parquet',
    `select i, (i * ${step}) % ${rows} as k from range(${rows}) t(i)`,
  );
  sources = (await place.worksOf(path)).map(({ source }) => source!);
}, timeoutMs);
afterAll(() => place.close());

const wideOf = (column: string) => `${column} || repeat('x', 490)`;
const wide = `(select i, k, ${wideOf('i')} as p from "rows")`;
const spillDirectory = () => join(place.root, 'spill');

function bytesBelow(directory: string): number {
  if (!existsSync(directory)) return 0;
  const files = readdirSync(directory, { recursive: true, withFileTypes: true });
  return files
    .filter((entry) => entry.isFile() && entry.name.startsWith('duckdb_temp'))
    .map((entry) => statSync(join(entry.parentPath, entry.name), { throwIfNoEntry: false })?.size)
    .reduce<number>((sum, size) => sum + (size ?? 0), 0);
}

/** Runs it, and looks now and then how much has been spilled. */
async function spilling(program: StageProgram) {
  let spilledBytes = 0;
  const watch = setInterval(() => {
    spilledBytes = Math.max(spilledBytes, bytesBelow(spillDirectory()));
  }, 20);
  const { failure, records } = await place.run(program, [work(0, read('rows', { sources }))], {
    memoryLimitBytes,
  });
  clearInterval(watch);
  expect(failure).toBeUndefined();
  expect(spilledBytes).toBeGreaterThan(0);
  expect(bytesBelow(spillDirectory())).toBe(0);
  return place.rowsOf(
    records,
    `count(*) as rows, count(*) filter (not ok) as wrong, count(distinct k) as keys`,
  );
}

const result = { k: 'BIGINT', ok: 'BOOLEAN' };
const programOf = (sql: string) =>
  queryProgram(sql, [leaf('rows', { i: 'BIGINT', k: 'BIGINT' })], result);
const all = [{ rows: BigInt(rows), wrong: 0n, keys: BigInt(rows) }];

describe('more rows than memory', () => {
  it(
    'are joined',
    async () => {
      const program = programOf(
        `select a.k, a.p = ${wideOf('a.i')} and b.p = ${wideOf('b.i')} as ok from ${wide} a join ${wide} b on a.i = b.k`,
      );
      expect(await spilling(program)).toEqual(all);
    },
    timeoutMs,
  );

  it(
    'are gathered into as many groups',
    async () => {
      const program = programOf(
        `select k, n = 1 and p = ${wideOf('i')} as ok
        from (select k, count(*) as n, min(i) as i, min(p) as p from ${wide} group by k)`,
      );
      expect(await spilling(program)).toEqual(all);
    },
    timeoutMs,
  );

  it(
    'are sorted',
    async () => {
      const sorted = `select k, p, i from ${wide} order by k desc`;
      // Not a window over all, which would sort again: the row before it is told by its number.
      const program = programOf(
        `select k, p = ${wideOf('i')}
          and k = ${rows} - row_number() over () as ok from (${sorted})`,
      );
      expect(await spilling(program)).toEqual(all);
    },
    timeoutMs,
  );

  it(
    'are numbered by a window',
    async () => {
      const program = programOf(
        `select k, number = k + 1 and p = ${wideOf('i')} as ok
        from (select *, row_number() over (order by k) as number from ${wide})`,
      );
      expect(await spilling(program)).toEqual(all);
    },
    timeoutMs,
  );
});
