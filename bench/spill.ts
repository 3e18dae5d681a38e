/**
 * Join, aggregation, sort and windows over many times the memory of a slot: that they finish, with the right rows,
 * and what it takes; DuckDB alone with the memory of all slots together on the same files, in turn.
 * Usage: npm run bench:spill [-- --gb 10] [--cap-mb 512] [--workers 2] [--operators join,aggregate,…] [--keep]
 */
import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { job, parquet } from '../client/index.js';
import { cleaned } from './cleaned.js';
import { Cluster, type JobRun } from './cluster.js';
import { withDuckdb } from './duckdb.js';
import { dataDirectory } from './engine.js';
import { digestOf, disorderOf, publishedFiles, tableOf } from './published.js';
import { megabytes, report, type Row, seconds, table, thousands } from './report.js';
import { type Operator, operators } from './spill-operators.js';
import { makeRows, rowBytes, rowsFor } from './wide-rows.js';

const { values } = parseArgs({
  options: {
    gb: { type: 'string', default: '1' },
    'cap-mb': { type: 'string', default: '512' },
    workers: { type: 'string', default: '2' },
    operators: { type: 'string' },
    keep: { type: 'boolean', default: false },
  },
});
const rows = rowsFor(Number(values.gb) * 1e9);
const capBytes = Number(values['cap-mb']) * 2 ** 20;
const workers = Number(values.workers);
const names = values.operators?.split(',') ?? Object.keys(operators);
const place = path.join(dataDirectory, 'spill');
const data = path.join(dataDirectory, `wide-rows-${rows}`);
let cluster: Cluster | undefined;

await cleaned(run, async () => {
  await cluster?.close();
  rmSync(place, { recursive: true, force: true });
  if (!values.keep) rmSync(data, { recursive: true, force: true });
});

async function run(stopped: AbortSignal): Promise<void> {
  const unknown = names.find((name) => !(name in operators));
  if (unknown !== undefined) throw new Error(`no operator ${unknown}: ${Object.keys(operators)}`);
  const glob = await makeRows(data, rows);
  const lines: Row[] = [];
  for (const name of names) {
    const line = await lineOf(name, operators[name]!(rows), glob, stopped);
    console.log(JSON.stringify(line));
    lines.push(line);
  }
  const cap = `${values['cap-mb']} MiB`;
  report(`spill ${values.gb} GB`, [
    `${thousands(rows)} rows of ${rowBytes} bytes in memory (${((rows * rowBytes) / capBytes).toFixed(1)} times the cap of a slot), ` +
      `from Parquet to published Parquet; ${workers} workers of one slot and ${cap}. ` +
      `DuckDB alone has ${workers} threads and ${workers} times ${cap}. ` +
      `Rows are compared with what arithmetic says of them.`,
    table(lines),
  ]);
  if (lines.some(({ answer }) => answer !== 'equal')) process.exitCode = 1;
}

async function lineOf(
  operator: string,
  what: Operator,
  glob: string,
  stopped: AbortSignal,
): Promise<Row> {
  const output = path.join(place, 'out');
  cluster = await Cluster.open({ place, workers, memoryBytes: capBytes });
  let measured: JobRun | undefined;
  let answer: string;
  try {
    const spec = job(`spill-${operator}`).source('wide', parquet(glob)).sql('answer', what.sql);
    measured = await cluster.run(spec.output({ from: 'answer', parquet: output }));
    answer = await differenceOf(what, publishedFiles(output));
  } catch (error) {
    stopped.throwIfAborted();
    answer = error instanceof Error ? error.message : String(error);
  } finally {
    await cluster.close();
  }
  const alone = await duckdbAlone(what, glob);
  stopped.throwIfAborted();
  return {
    operator,
    seconds: measured ? seconds(measured.wallMs) : '',
    'duckdb alone': typeof alone === 'number' ? seconds(alone) : alone,
    ratio: measured && typeof alone === 'number' ? (alone / measured.wallMs).toFixed(2) : '',
    stages: measured?.view.stages.length ?? '',
    'spilled at most': measured ? megabytes(measured.spilledBytes) : '',
    'between stages': measured ? megabytes(measured.shuffleBytes) : '',
    'worker RSS at most': measured ? megabytes(measured.residentBytes) : '',
    'workers recycled': measured?.restarts ?? '',
    retries: measured?.view.retries ?? '',
    answer,
  };
}

async function differenceOf(what: Operator, files: readonly string[]): Promise<string> {
  return withDuckdb({ threads: 2 }, async (connection) => {
    const found = await digestOf(connection, what.columns, `from ${tableOf(files)}`);
    const expected = await digestOf(connection, what.columns, what.expected);
    if (found !== expected) return `${found} instead of ${expected}`;
    const disorder = what.orderedBy && (await disorderOf(connection, files, what.orderedBy));
    return disorder ?? 'equal';
  });
}

/** Milliseconds, or why it did not finish. */
async function duckdbAlone(what: Operator, glob: string): Promise<number | string> {
  const folder = path.join(place, 'duckdb');
  mkdirSync(folder, { recursive: true });
  const memoryBytes = workers * capBytes;
  const alone = { threads: workers, memoryBytes, spillDirectory: path.join(folder, 'spill') };
  try {
    return await withDuckdb(alone, async (connection) => {
      await connection.run(`create view wide as from read_parquet('${glob}')`);
      const started = performance.now();
      await connection.run(`copy (${what.sql}) to '${folder}/out.parquet' (format parquet)`);
      return performance.now() - started;
    });
  } catch (error) {
    return error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
