/**
 * Rows of 128 bytes in memory, their order shuffled by arithmetic, so that what comes of them can be said without
 * joining or sorting them. Equal on every machine.
 */
import { existsSync, mkdirSync, renameSync, statfsSync } from 'node:fs';
import path from 'node:path';
import type { DuckDBConnection } from '@duckdb/node-api';
import { withDuckdb } from './duckdb.js';

/** As DuckDB holds a row: `i` and `k` of 8 bytes, and `p`, a string of 96 behind a header of 16. */
export const rowBytes = 128;
/** A prime: `i -> i * step % rows` is a permutation unless it divides `rows`. */
export const step = 7919;

/** Rows that come to about so many bytes in memory; a multiple of `groupRows`, and never of `step`. */
export function rowsFor(bytes: number): number {
  const rows = Math.max(1, Math.round(bytes / rowBytes / groupRows)) * groupRows;
  return rows % step === 0 ? rows + groupRows : rows;
}

/** Rows of a group, where rows are gathered by `k // groupRows`. */
export const groupRows = 4;

/** `i` of the row whose `k` this is, as SQL: the permutation read backwards. */
export function rowOf(k: string, rows: number): string {
  return `((${k}) * ${inverse(step, rows)} % ${rows})`;
}

/** What `p` is in row `i`, as SQL. A third of it is random. */
export function payloadOf(i: string): string {
  return `repeat(md5((${i})::varchar), 3)`;
}

/** All rows from `from` to before `to`, as SQL. */
export function rowsSql(rows: number, from = 0, to = rows): string {
  return `select i, i * ${step} % ${rows} as k, ${payloadOf('i')} as p from range(${from}, ${to}) t(i)`;
}

/** The number whose product with `a` leaves 1 when divided by `m`; `a` and `m` have no common divisor. */
export function inverse(a: number, m: number): number {
  let [remainder, next] = [m, a % m];
  let [factor, following] = [0, 1];
  while (next !== 0) {
    const quotient = Math.floor(remainder / next);
    [remainder, next] = [next, remainder - quotient * next];
    [factor, following] = [following, factor - quotient * following];
  }
  if (remainder !== 1) throw new Error(`${a} and ${m} have the common divisor ${remainder}`);
  return factor < 0 ? factor + m : factor;
}

/** Of their bytes in memory: the files, what lies between stages, what is spilled, and the result. */
const diskFactor = 4;

/**
 * Writes the rows in so many files of equal length, two at a time; files that are there are kept.
 * @throws when the disk has no room for what is done with them
 */
export async function makeRows(folder: string, rows: number, files = 8): Promise<string> {
  mkdirSync(folder, { recursive: true });
  const { bavail, bsize } = statfsSync(folder);
  const wanted = diskFactor * rows * rowBytes;
  if (bavail * bsize < wanted) {
    throw new Error(`${folder} has ${bavail * bsize} bytes left and ${wanted} are needed`);
  }
  const missing = Array.from({ length: files }, (_, k) => ({
    path: path.join(folder, `part-${k}.parquet`),
    sql: rowsSql(rows, Math.floor((rows * k) / files), Math.floor((rows * (k + 1)) / files)),
  })).filter((file) => !existsSync(file.path));
  const lane = async (connection: DuckDBConnection): Promise<void> => {
    for (let file = missing.shift(); file !== undefined; file = missing.shift()) {
      await connection.run(`copy (${file.sql}) to '${file.path}.tmp' (format parquet)`);
      renameSync(`${file.path}.tmp`, file.path);
      console.log(`made ${path.basename(file.path)}, ${missing.length} files to begin`);
    }
  };
  await withDuckdb({ threads: 2 }, async (first, connect) => {
    await Promise.all([lane(first), lane(await connect())]);
  });
  return path.join(folder, '*.parquet');
}
