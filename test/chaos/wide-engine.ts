/**
 * A job with a join, a model, an aggregation and a sort for the chaos tests: two exchanges, two outputs. Never: starts
 * or ends a process.
 */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { mlpModel } from '../../shared/onnx-model.js';
import { duckdb, filesBelow } from './engine.js';

export const files = 4;
export const rowsPerFile = 12_000;
const rowGroupRows = 6_144;

/** A text that nothing compresses, so that exchanges have something to divide. */
const pad = `array_to_string(list_transform(range(8), lambda n: md5((i * 100 + n)::varchar)), '')`;

export async function makeWideInput(directory: string, first = 0, count = files): Promise<void> {
  mkdirSync(join(directory, 'data'), { recursive: true });
  for (let file = first; file < first + count; file += 1) {
    await duckdb(`
      copy (
        select i as id, case when hash(i) % 3 = 0 then 7 else (hash(i) % 900)::integer end as customer,
          (hash(i * 3) % 10000)::integer as cents, (hash(i * 5) % 16)::float as a,
          (hash(i * 7) % 16)::float as b, ${pad} as pad
        from range(${file * rowsPerFile}, ${(file + 1) * rowsPerFile}) t(i)
      ) to '${join(directory, 'data', `part-${file}.parquet`)}' (format parquet, row_group_size ${rowGroupRows})`);
  }
  await duckdb(`
    copy (select i::integer as customer, 'region ' || i % 13 as region from range(1000) t(i))
    to '${join(directory, 'customers.parquet')}' (format parquet)`);
  const layer = {
    weights: Float32Array.of(1, -0.5),
    bias: Float32Array.of(3),
    activation: 'none' as const,
  };
  writeFileSync(join(directory, 'model.onnx'), mlpModel([layer], { input: 'x', output: 'y' }));
}

/** The same input for another case. */
export function copyWideInput(from: string, to: string): void {
  for (const name of ['data', 'customers.parquet', 'model.onnx']) {
    cpSync(join(from, name), join(to, name), { recursive: true });
  }
}

/** Every customer is in the result, so both sides are divided; groups and order come after the model. */
export function writeWideSpec(directory: string, minCents = 500): string {
  const path = join(directory, 'job.yaml');
  writeFileSync(
    path,
    `apiVersion: windrow/v1
kind: Job
metadata: { name: wide-chaos }
sources:
  orders: { parquet: data/*.parquet }
  customers: { parquet: customers.parquet }
steps:
  - { id: paying, filter: { from: orders, where: "cents > ${minCents}" } }
  - { id: placed, join: { left: paying, right: customers, keys: [customer], how: full } }
  - { id: bought, filter: { from: placed, where: id is not null } }
  - { id: scored, infer: { from: bought, model: model.onnx, inputs: { x: [a, b] }, outputs: { y: score }, device: cpu } }
  - id: regions
    aggregate:
      from: scored
      by: [region, { band: "floor(score / 4)" }]
      measures: { n: count(*), cents: sum(cents), last: max(id), newest: "arg_max(pad, id)" }
  - { id: ranked, sort: { from: regions, by: [cents desc, region, band] } }
outputs:
  - { name: scored, from: scored, parquet: out/scored, mode: overwrite }
  - { name: ranked, from: ranked, parquet: out/ranked, mode: overwrite }
checkpoints: { location: chunks }
`,
  );
  return path;
}

/** The model runs over the rows of files, before any of them meet. */
export function writeScoredFirstSpec(directory: string): string {
  const path = join(directory, 'scored-first.yaml');
  writeFileSync(
    path,
    `apiVersion: windrow/v1
kind: Job
metadata: { name: scored-first }
sources:
  orders: { parquet: data/*.parquet }
steps:
  - { id: scored, infer: { from: orders, model: model.onnx, inputs: { x: [a, b] }, outputs: { y: score }, device: cpu } }
  - { id: sums, aggregate: { from: scored, by: [customer], measures: { n: count(*), best: max(score) } } }
outputs:
  - { from: sums, parquet: out/sums, mode: overwrite }
checkpoints: { location: chunks }
`,
  );
  return path;
}

export interface WidePublished {
  readonly rows: number;
  readonly distinct: number;
  readonly digest: string;
  /** In the order of the files. */
  readonly ranked: readonly unknown[];
}

/** Both outputs: one as a multiset, one row by row. */
export async function publishedWide(directory: string): Promise<WidePublished> {
  const [row] = await duckdb<{ n: string; d: string; h: string }>(`
    select count(*) as n, count(distinct id) as d,
      (sum(hash(t)::hugeint) || '/' || bit_xor(hash(t))) as h
    from read_parquet('${join(directory, 'out/scored')}/**/*.parquet') t`);
  const ranked = await duckdb(
    `select * exclude (newest), md5(newest) as newest from read_parquet([${manifestFiles(
      join(directory, 'out/ranked'),
    )
      .map((name) => `'${join(directory, 'out/ranked', name)}'`)
      .join(', ')}])`,
  );
  return { rows: Number(row!.n), distinct: Number(row!.d), digest: row!.h, ranked };
}

export function manifestFiles(output: string): string[] {
  const text = readFileSync(join(output, '_windrow', 'manifest.json'), 'utf8');
  return (JSON.parse(text) as { files: { name: string }[] }).files.map(({ name }) => name);
}

/** Parquet files that a glob over the outputs would find and no manifest names. */
export function visibleLeftovers(directory: string): string[] {
  return ['scored', 'ranked'].flatMap((name) => {
    const output = join(directory, 'out', name);
    const named = new Set(manifestFiles(output));
    return filesBelow(output).filter((file) => file.endsWith('.parquet') && !named.has(file));
  });
}

/** Files of finished chunks of a stage, wherever below the directory they are kept. */
export function chunkFiles(directory: string, stage: string): string[] {
  return filesBelow(directory)
    .filter((name) => name.endsWith('.chunk') && name.includes(`-${stage}-`))
    .map((name) => join(directory, name));
}
