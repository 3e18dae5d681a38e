/**
 * Bytes a second and core through an exchange (divide, fetch, read), by files read at their paths and by HTTP between
 * workers that do not read one another's disk, against DuckDB that writes and reads the same rows as Parquet, in turn.
 * With --sort-gb: a sort of so many gigabytes, of rows as they are in memory, with 1 GiB a slot, and whether it is one.
 * Usage: npm run bench:shuffle [-- --gb 1] [--rounds 3] [--sort-gb 10] [--sort-cap-mb 1024] [--keep]
 */
import { mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { job, parquet } from '../client/index.js';
import { cleaned } from './cleaned.js';
import { Cluster, type JobRun } from './cluster.js';
import { withDuckdb } from './duckdb.js';
import { dataDirectory } from './engine.js';
import { digestOf, disorderOf, publishedFiles, tableOf } from './published.js';
import { megabytes, report, type Row, seconds, table, thousands } from './report.js';
import { makeRows, rowBytes, rowsFor } from './wide-rows.js';

const { values } = parseArgs({
  options: {
    gb: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '3' },
    'sort-gb': { type: 'string', default: '0' },
    'sort-cap-mb': { type: 'string', default: '1024' },
    keep: { type: 'boolean', default: false },
  },
});
const cores = 2;
const rounds = Number(values.rounds);
const place = path.join(dataDirectory, 'shuffle');
const folders = new Set<string>();
let cluster: Cluster | undefined;

/**
 * Every row and all of it travels to its group, as the functions cannot be computed in two phases; and they are
 * cheap, as it is not for them that time is taken.
 */
const groups = 1024;
const query = `select k % ${groups} as g, count(*) as n, approx_count_distinct(i) as i,
  approx_count_distinct(k) as k, approx_count_distinct(p) as p from wide group by 1`;
const columns = ['g', 'n', 'i', 'k', 'p'];

interface Exchange {
  readonly writeMs: number;
  readonly readMs: number;
  readonly cpuMs: number;
  readonly bytes: number;
}

await cleaned(run, async () => {
  await cluster?.close();
  rmSync(place, { recursive: true, force: true });
  if (!values.keep) for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

async function run(): Promise<void> {
  if (Number(values.gb) > 0) await compare(Number(values.gb));
  if (Number(values['sort-gb']) > 0) await sort(Number(values['sort-gb']));
}

async function rowsIn(rows: number): Promise<string> {
  const folder = path.join(dataDirectory, `wide-rows-${rows}`);
  folders.add(folder);
  return makeRows(folder, rows);
}

async function compare(gb: number): Promise<void> {
  const rows = rowsFor(gb * 1e9);
  const glob = await rowsIn(rows);
  const best = new Map<string, Exchange>();
  const take = (name: string, exchange: Exchange): void => {
    const before = best.get(name);
    if (!before || wallMs(exchange) < wallMs(before)) best.set(name, exchange);
    console.log(`${name}: ${seconds(exchange.writeMs)} + ${seconds(exchange.readMs)} s`);
  };
  for (let round = 0; round < rounds; round += 1) {
    take('files at their paths', await windrow(glob, false));
    take('HTTP between workers', await windrow(glob, true));
    take('DuckDB alone', await duckdbAlone(glob));
  }
  const limit = best.get('DuckDB alone')!;
  const source = bytesOf(glob);
  const lines = [...best].map(([name, each]) => ({
    what: name,
    'write s': seconds(each.writeMs),
    'read s': seconds(each.readMs),
    'CPU s': seconds(each.cpuMs),
    'bytes between': megabytes(each.bytes),
    'MB/s a core': perCore(rows, wallMs(each)),
    share: (wallMs(limit) / wallMs(each)).toFixed(2),
    'CPU share': (limit.cpuMs / each.cpuMs).toFixed(2),
  }));
  report('shuffle', [
    `${thousands(rows)} rows of ${rowBytes} bytes in memory (${megabytes(rows * rowBytes)}; ${megabytes(source)} of Parquet). ` +
      `Write: read the source, divide its rows by a key, write them as Parquet without compression, which is how they travel. ` +
      `Read: fetch the parts, read all columns and count in ${groups} groups; for DuckDB alone, read its file and the same. ` +
      `${cores} workers of one slot, DuckDB alone with ${cores} threads, in turn; the best of ${rounds}.`,
    table(lines),
    'MB/s a core counts bytes in memory, through both halves, for each of the two cores. With HTTP a worker still reads at its path what it wrote itself, about half. CPU is that of workers over the whole job, and of DuckDB.',
  ]);
}

function wallMs({ writeMs, readMs }: Exchange): number {
  return writeMs + readMs;
}

function perCore(rows: number, ms: number): string {
  return thousands((rows * rowBytes) / 1e6 / (ms / 1000) / cores);
}

async function windrow(glob: string, ownDisks: boolean): Promise<Exchange> {
  const output = path.join(place, 'out');
  cluster = await Cluster.open({ place, workers: cores, ownDisks });
  try {
    const spec = job('shuffle').source('wide', parquet(glob)).sql('answer', query);
    const measured = await cluster.run(spec.output({ from: 'answer', parquet: output }));
    const [write, read, ...more] = measured.stages;
    if (!write || !read || more.length > 0) {
      throw new Error(`one exchange has two stages, not ${JSON.stringify(measured.stages)}`);
    }
    await expectEqual(glob, output);
    return {
      writeMs: write.ms,
      readMs: read.ms,
      cpuMs: measured.workerCpuMs,
      bytes: measured.shuffleBytes,
    };
  } finally {
    await cluster.close();
  }
}

async function expectEqual(glob: string, output: string): Promise<void> {
  await withDuckdb({ threads: cores }, async (connection) => {
    await connection.run(`create view wide as from read_parquet('${glob}')`);
    const found = await digestOf(connection, columns, `from ${tableOf(publishedFiles(output))}`);
    const expected = await digestOf(connection, columns, query);
    if (found !== expected) throw new Error(`${found} instead of ${expected}`);
  });
}

async function duckdbAlone(glob: string): Promise<Exchange> {
  const folder = path.join(place, 'duckdb');
  mkdirSync(folder, { recursive: true });
  try {
    return await withDuckdb({ threads: cores }, async (connection) => {
      const cpu = process.cpuUsage();
      const started = performance.now();
      await connection.run(
        `copy (from read_parquet('${glob}')) to '${folder}'
         (format parquet, compression uncompressed, per_thread_output, overwrite_or_ignore)`,
      );
      const written = performance.now();
      await connection.run(`create view wide as from read_parquet('${folder}/*.parquet')`);
      await connection.runAndReadAll(query);
      const readMs = performance.now() - written;
      const { user, system } = process.cpuUsage(cpu);
      const bytes = bytesOf(path.join(folder, '*.parquet'));
      return { writeMs: written - started, readMs, cpuMs: (user + system) / 1000, bytes };
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function sort(gb: number): Promise<void> {
  const rows = rowsFor(gb * 1e9);
  const capBytes = Number(values['sort-cap-mb']) * 2 ** 20;
  const glob = await rowsIn(rows);
  const output = path.join(place, 'out');
  const text = 'select i, k, p from wide order by k';
  cluster = await Cluster.open({ place, workers: cores, memoryBytes: capBytes });
  const spec = job('sort').source('wide', parquet(glob)).sql('sorted', text);
  const measured = await cluster.run(spec.output({ from: 'sorted', parquet: output }));
  console.log(`sorted in ${seconds(measured.wallMs)} s; checking`);
  const files = publishedFiles(output);
  const kept = await withDuckdb({ threads: cores }, async (connection) => {
    const all = ['i', 'k', 'p'];
    const expected = await digestOf(connection, all, `from read_parquet('${glob}')`);
    const found = await digestOf(connection, all, `from ${tableOf(files)}`);
    const wrong = found === expected ? undefined : `${found} instead of ${expected}`;
    return { wrong: wrong ?? (await disorderOf(connection, files, 'k')), found };
  });
  await cluster.close();
  const line: Row = {
    seconds: seconds(measured.wallMs),
    'MB/s a core': perCore(rows, measured.wallMs),
    'CPU s of workers': seconds(measured.workerCpuMs),
    files: files.length,
    'spilled at most': megabytes(measured.spilledBytes),
    'between stages': megabytes(measured.shuffleBytes),
    'worker RSS at most': megabytes(measured.residentBytes),
    'workers recycled': measured.restarts,
    retries: measured.view.retries,
    'same rows, in order': kept.wrong ?? 'yes',
  };
  report(`shuffle, sort of ${gb} GB`, [
    `${thousands(rows)} rows of ${rowBytes} bytes in memory (${megabytes(rows * rowBytes)}; ${megabytes(bytesOf(glob))} of Parquet), ` +
      `${cores} workers of one slot and ${values['sort-cap-mb']} MiB. Rows: ${kept.found.split(' ')[0] ?? ''}, with the checksum of the source; ` +
      `in order within each file and from file to file.`,
    table([line]),
    stagesOf(measured),
  ]);
  if (kept.wrong !== undefined) process.exitCode = 1;
}

function stagesOf({ stages }: JobRun): string {
  return `Stages: ${stages.map(({ id, ms }) => `${id} ${seconds(ms)} s`).join(', ')}.`;
}

function bytesOf(glob: string): number {
  const folder = path.dirname(glob);
  return readdirSync(folder)
    .filter((name) => name.endsWith('.parquet'))
    .reduce((sum, name) => sum + statSync(path.join(folder, name)).size, 0);
}
