/** What a job published, told in a few numbers that another way to the same rows must give, too. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { DuckDBConnection } from '@duckdb/node-api';
import type { Manifest } from '../shared/manifest.js';

/** Files of an output in the order of its manifest. */
export function publishedFiles(output: string): string[] {
  const text = readFileSync(path.join(output, '_windrow', 'manifest.json'), 'utf8');
  return (JSON.parse(text) as Manifest).files.map(({ name }) => path.join(output, name));
}

export function tableOf(files: readonly string[]): string {
  return `read_parquet([${files.map((file) => `'${file}'`).join(', ')}])`;
}

/** Equal for the same rows in any order; `rows` is SQL. */
export async function digestOf(
  connection: DuckDBConnection,
  columns: readonly string[],
  rows: string,
): Promise<string> {
  const hash = `hash(${columns.join(', ')})`;
  const [row = []] = (
    await connection.runAndReadAll(
      `select count(*), bit_xor(${hash}), sum(${hash})::varchar from (${rows})`,
    )
  ).getRows();
  return row.map(String).join(' ');
}

/** Whether `column` never falls, within each file and from one to the next; what is wrong, else undefined. */
export async function disorderOf(
  connection: DuckDBConnection,
  files: readonly string[],
  column: string,
): Promise<string | undefined> {
  let before: bigint | undefined;
  for (const file of files) {
    // Without ORDER BY the rows before are those before in the file: DuckDB keeps their order.
    const [row = []] = (
      await connection.runAndReadAll(
        `select count(*) filter (fell), min(${column})::bigint, max(${column})::bigint from
         (select ${column}, ${column} < lag(${column}) over () as fell from read_parquet('${file}'))`,
      )
    ).getRows();
    const [fell, least, most] = row as [bigint, bigint | null, bigint | null];
    if (fell > 0n) return `${fell} rows of ${path.basename(file)} come after a greater one`;
    if (least === null || most === null) continue;
    if (before !== undefined && least < before) return `${path.basename(file)} begins too low`;
    before = most;
  }
  return undefined;
}
