/**
 * Writes the tables of TPC-H as Parquet, the same bytes on every machine: `<folder>/<table>/part-000.parquet` and so on,
 * ordered by key. Files that are complete are kept, unless something else made them.
 * Usage: npx tsx bench/tpch/generate.ts [--scale 1] [--lanes 2] [--folder bench/.data/tpch/sf1]
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { DuckDBInstance, version } from '@duckdb/node-api';
import { dataDirectory } from '../engine.js';
import { preparation, rowsSql, sizeOf, tables, type Table } from './tables.js';

export const smallestScale = 0.01;

export interface TpchOptions {
  /** 1 is a gigabyte of text: six million lines. At least 0.01, where the keys of partsupp stop being unique. */
  readonly scale: number;
  /** Files written at a time, by one thread each, which is why their number changes no byte. */
  readonly lanes?: number;
  readonly folder?: string;
}

export function tpchFolder(scale: number): string {
  return path.join(dataDirectory, 'tpch', `sf${scale}`);
}

/** All files of a table. */
export function tableGlob(folder: string, table: Table): string {
  return path.join(folder, table, '*.parquet');
}

interface File {
  readonly path: string;
  readonly query: string;
}

function filesOf(folder: string, scale: number): File[] {
  return tables.flatMap((table) => {
    const { rows, files } = sizeOf(table, scale);
    return Array.from({ length: files }, (_, k) => {
      const from = Math.floor((rows * k) / files);
      const to = Math.floor((rows * (k + 1)) / files);
      return {
        path: path.join(folder, table, `part-${String(k).padStart(3, '0')}.parquet`),
        query: rowsSql(table, scale, from, to),
      };
    });
  });
}

/** Removes tables that another version of the generator or of DuckDB began: halves of two do not fit. */
function claim(folder: string, files: readonly File[]): void {
  const hash = createHash('sha256').update(version());
  for (const text of [...preparation(), ...files.map(({ query }) => query)]) hash.update(text);
  const mark = hash.digest('hex');
  const file = path.join(folder, 'generator.txt');
  if (existsSync(file) && readFileSync(file, 'utf8') === mark) return;
  for (const table of tables) {
    rmSync(path.join(folder, table), { recursive: true, force: true });
    mkdirSync(path.join(folder, table), { recursive: true });
  }
  writeFileSync(file, mark);
}

/** Makes what is missing; answers how many files that was. */
export async function generateTpch(options: TpchOptions): Promise<number> {
  const { scale, lanes = 2, folder = tpchFolder(scale) } = options;
  if (!(scale >= smallestScale)) throw new Error(`scale ${scale} is below ${smallestScale}`);
  const files = filesOf(folder, scale);
  claim(folder, files);
  const missing = files.filter((file) => !existsSync(file.path));
  const waiting = [...missing];
  const lane = async (): Promise<void> => {
    const instance = await DuckDBInstance.create(':memory:', { threads: '1', memory_limit: '1GB' });
    const connection = await instance.connect();
    for (const statement of preparation()) await connection.run(statement);
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      await connection.run(`copy (${file.query}) to '${file.path}.part' (format parquet)`);
      renameSync(`${file.path}.part`, file.path);
    }
    connection.closeSync();
    instance.closeSync();
  };
  await Promise.all(Array.from({ length: Math.min(lanes, missing.length) }, lane));
  return missing.length;
}

if (import.meta.filename === process.argv[1]) {
  const { values } = parseArgs({
    options: {
      scale: { type: 'string', default: '1' },
      lanes: { type: 'string', default: '2' },
      folder: { type: 'string' },
    },
  });
  const scale = Number(values.scale);
  const folder = values.folder ?? tpchFolder(scale);
  const started = performance.now();
  const made = await generateTpch({ scale, lanes: Number(values.lanes), folder });
  console.log(
    `${made} files made in ${((performance.now() - started) / 1000).toFixed(1)} s: ${folder}`,
  );
}
