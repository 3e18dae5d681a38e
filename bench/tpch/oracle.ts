/**
 * DuckDB alone on the files of `generate.ts`: the seconds to measure others by, and the answers they have to give.
 * With --check it compares with the answers of another engine: `q01.parquet` to `q22.parquet` in a folder.
 * Usage: npx tsx bench/tpch/oracle.ts [--scale 1] [--threads 2] [--rounds 3] [--folder …] [--check …]
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api';
import { machine, seconds, table } from '../report.js';
import { answerOf, differenceOf, hashOf, type Answer } from './answer.js';
import { tableGlob, tpchFolder } from './generate.js';
import { queryName, queryNumbers, queryText } from './queries.js';
import { tables } from './tables.js';

export interface OracleOptions {
  readonly folder: string;
  readonly scale: number;
  readonly threads: number;
  readonly rounds: number;
}

export interface OracleRun {
  readonly query: number;
  /** Of the fastest round, the reading of the answer included. */
  readonly ms: number;
  readonly answer: Answer;
}

/** The tables as views over their files, under the names that the queries use. */
export async function createViews(connection: DuckDBConnection, folder: string): Promise<void> {
  for (const name of tables) {
    const files = tableGlob(folder, name);
    await connection.run(`create view ${name} as select * from read_parquet('${files}')`);
  }
}

export async function runOracle(options: OracleOptions): Promise<OracleRun[]> {
  const instance = await DuckDBInstance.create(':memory:', { threads: `${options.threads}` });
  const connection = await instance.connect();
  await createViews(connection, options.folder);
  const runs = new Map<number, OracleRun>();
  // Round by round and not query by query: a busy minute then spoils one round and not one query.
  for (let round = 0; round < options.rounds; round += 1) {
    for (const query of queryNumbers) {
      const text = queryText(query, options.scale);
      const started = performance.now();
      const result = await connection.runAndReadAll(text);
      const ms = performance.now() - started;
      const before = runs.get(query);
      runs.set(query, {
        query,
        ms: Math.min(ms, before?.ms ?? ms),
        answer: before?.answer ?? answerOf(result),
      });
    }
  }
  connection.closeSync();
  instance.closeSync();
  return [...runs.values()];
}

/** What is different in another engine's answers: query to words, `missing` where there is no file. */
export async function checkAnswers(
  runs: readonly OracleRun[],
  folder: string,
): Promise<Map<number, string>> {
  const instance = await DuckDBInstance.create();
  const connection = await instance.connect();
  const wrong = new Map<number, string>();
  for (const { query, answer } of runs) {
    const file = path.join(folder, `${queryName(query)}.parquet`);
    const other = existsSync(file)
      ? answerOf(await connection.runAndReadAll(`from read_parquet('${file}')`))
      : undefined;
    const difference = other === undefined ? 'missing' : differenceOf(answer, other);
    if (difference !== undefined) wrong.set(query, difference);
  }
  connection.closeSync();
  instance.closeSync();
  return wrong;
}

if (import.meta.filename === process.argv[1]) {
  const { values } = parseArgs({
    options: {
      scale: { type: 'string', default: '1' },
      threads: { type: 'string', default: '2' },
      rounds: { type: 'string', default: '3' },
      folder: { type: 'string' },
      check: { type: 'string' },
    },
  });
  const scale = Number(values.scale);
  const runs = await runOracle({
    folder: values.folder ?? tpchFolder(scale),
    scale,
    threads: Number(values.threads),
    rounds: Number(values.rounds),
  });
  const wrong = values.check === undefined ? undefined : await checkAnswers(runs, values.check);
  const rows = runs.map(({ query, ms, answer }) => ({
    query: queryName(query),
    seconds: seconds(ms),
    rows: answer.length,
    hash: hashOf(answer),
    ...(wrong && { difference: wrong.get(query) ?? '' }),
  }));
  console.log(
    `${machine()}; ${values.threads} threads, best of ${values.rounds}\n\n${table(rows)}`,
  );
  console.log(`\nsum: ${seconds(runs.reduce((sum, { ms }) => sum + ms, 0))} s`);
  if (wrong && wrong.size > 0) process.exitCode = 1;
}
