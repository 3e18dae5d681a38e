/** Makes what the benchmarks read: six million visits with thirteen columns, and two models. Equal on every machine. */
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { mlpModel, type DenseLayer } from '../shared/onnx-model.js';
import { dataDirectory } from './engine.js';

export const fileCount = 12;
export const rowsPerFile = 500_000;
export const rowCount = fileCount * rowsPerFile;
export const visitsGlob = path.join(dataDirectory, 'visits', '*.parquet');

/** All columns, in order; the numeric ones feed the models. */
export const columns = [
  'visit_id',
  'user_id',
  'at',
  'channel',
  'country',
  'coupon',
  'amount',
  'age',
  'visits',
  'idle_days',
  'tickets',
  'items',
  'discount',
] as const;

/** The model of eight reads these columns less the identifier's bucket, which is computed. */
export const eightFeatures = [
  'amount',
  'age',
  'visits',
  'idle_days',
  'tickets',
  'items',
  'discount',
  'bucket',
] as const;

/** Columns computed in a `select` before the model: name to expression. */
export function featureExpressions(count: 8 | 64): Record<string, string> {
  const bucket = { bucket: '(user_id % 64)::float' };
  if (count === 8) return bucket;
  const base = [...eightFeatures.slice(0, 7), '(user_id % 64)'];
  return Object.fromEntries(
    Array.from({ length: 64 }, (_, k) => {
      const left = base[k >> 3] ?? '';
      const right = base[k & 7] ?? '';
      return [`f${k}`, `(${left} * ${k + 1}e-2 + ${right})::float`];
    }),
  );
}

export function featureNames(count: 8 | 64): string[] {
  return count === 8 ? [...eightFeatures] : Array.from({ length: 64 }, (_, k) => `f${k}`);
}

function visitsSql(from: number, to: number): string {
  const pick = (what: string): string => `hash(hash(i, '${what}'))`;
  return `
    select i::bigint as visit_id, (${pick('user')} % 400000)::integer as user_id,
      timestamp '2026-11-01' + to_milliseconds((${pick('at')} % 1728000000)::bigint) as at,
      ['web', 'app', 'store', 'phone'][(1 + ${pick('channel')} % 4)::integer] as channel,
      ['DE', 'FR', 'NO', 'SE', 'US', 'GB'][(1 + ${pick('country')} % 6)::integer] as country,
      case when ${pick('coupon')} % 10 < 2 then 'SAVE' || (5 * (1 + ${pick('rate')} % 5)) end as coupon,
      (1 + ${pick('amount')} % 50000) / 100.0::double as amount,
      (18 + ${pick('age')} % 60)::integer as age, (1 + ${pick('visits')} % 30)::integer as visits,
      (${pick('idle')} % 180)::integer as idle_days, (${pick('tickets')} % 5)::smallint as tickets,
      (1 + ${pick('items')} % 9)::integer as items, (${pick('discount')} % 30) / 100.0::double as discount
    from range(${from}, ${to}) as t(i)`;
}

export function visitsFile(index: number): string {
  return path.join(dataDirectory, 'visits', `part-${String(index).padStart(2, '0')}.parquet`);
}

export async function makeVisits(files = fileCount): Promise<void> {
  mkdirSync(path.join(dataDirectory, 'visits'), { recursive: true });
  const missing = Array.from({ length: files }, (_, index) => index).filter(
    (index) => !existsSync(visitsFile(index)),
  );
  const instance = await DuckDBInstance.create();
  const lanes = [0, 1].map(async () => {
    const connection = await instance.connect();
    for (let index = missing.shift(); index !== undefined; index = missing.shift()) {
      const file = visitsFile(index);
      const query = visitsSql(index * rowsPerFile, (index + 1) * rowsPerFile);
      await connection.run(`copy (${query}) to '${file}.part' (format parquet)`);
      renameSync(`${file}.part`, file);
    }
    connection.closeSync();
  });
  await Promise.all(lanes);
  instance.closeSync();
}

/** Ten rows of the same shape: what a run costs before its first row. */
export async function makeTenRows(): Promise<string> {
  const file = path.join(dataDirectory, 'ten.parquet');
  mkdirSync(dataDirectory, { recursive: true });
  const instance = await DuckDBInstance.create();
  const connection = await instance.connect();
  await connection.run(`copy (${visitsSql(0, 10)}) to '${file}' (format parquet)`);
  connection.closeSync();
  instance.closeSync();
  return file;
}

/** inputs → 256 → 256 → 1 with weights of a fixed pattern; speed does not depend on their values. */
export function makeModel(inputs: 8 | 64): string {
  const file = path.join(dataDirectory, `mlp-${inputs}.onnx`);
  if (existsSync(file)) return file;
  const layer = (from: number, to: number, activation: DenseLayer['activation']): DenseLayer => ({
    weights: Float32Array.from({ length: from * to }, (_, k) => Math.sin(k * 12.9898) / from),
    bias: Float32Array.from({ length: to }, (_, k) => Math.cos(k) * 0.01),
    activation,
  });
  mkdirSync(dataDirectory, { recursive: true });
  writeFileSync(
    file,
    mlpModel([layer(inputs, 256, 'relu'), layer(256, 256, 'relu'), layer(256, 1, 'sigmoid')], {
      input: 'x',
      output: 'score',
    }),
  );
  return file;
}

/** The job: read, compute features, score, write all thirteen columns and the score. */
export function inferenceSpec(options: {
  readonly parquet: string;
  readonly features: 8 | 64;
  readonly output: string;
  readonly mode?: 'error' | 'overwrite';
}): string {
  const kept = Object.fromEntries(columns.map((column) => [column, `"${column}"`]));
  const spec = {
    apiVersion: 'windrow/v1',
    kind: 'Job',
    metadata: { name: `bench-${options.features}` },
    sources: { visits: { parquet: options.parquet } },
    steps: [
      {
        id: 'features',
        select: { from: 'visits', columns: { '*': true, ...featureExpressions(options.features) } },
      },
      {
        id: 'scored',
        infer: {
          from: 'features',
          model: makeModel(options.features),
          inputs: { x: featureNames(options.features) },
          outputs: { score: 'score' },
          device: 'cpu',
        },
      },
      { id: 'kept', select: { from: 'scored', columns: { ...kept, score: 'score' } } },
    ],
    outputs: [{ from: 'kept', parquet: options.output, mode: options.mode ?? 'error' }],
  };
  const file = path.join(dataDirectory, `bench-${options.features}.json`);
  writeFileSync(file, `${JSON.stringify(spec, null, 1)}\n`);
  return file;
}
