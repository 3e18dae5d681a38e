import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sha256Hex } from '../../../shared/chunk-identity.js';
import { buildModel } from '../../../shared/onnx-model.js';
import type { InferStep, SelectStep } from '../../../shared/plan.js';
import { computedInputs } from '../../../worker/attempt/computed-inputs.js';
import { Kernel } from '../../../worker/kernel/duckdb.js';
import { identityGraph } from '../inference/duck.js';
import { columns, Place, programOf } from './fixture.js';

let place: Place;
beforeEach(() => {
  place = new Place();
});
afterEach(() => place.close());

const scan = {
  id: 'BIGINT',
  d: 'DOUBLE',
  i: 'INTEGER',
  g: 'BIGINT',
  m: 'DECIMAL(9,3)',
  r: 'FLOAT',
};

function select(exprs: readonly string[]): SelectStep {
  const features = exprs.map((expr, at) => ({ name: `f${at}`, expr }));
  return { kind: 'select', id: 'features', columns: [{ name: 'id', expr: 'id' }, ...features] };
}

/** A model that answers with its input. */
function echo(width: number, types: readonly string[] = [], more: Partial<InferStep> = {}) {
  const bytes = buildModel(identityGraph('float32', ['N', width]));
  const digest = sha256Hex(bytes);
  const features = Array.from({ length: width }, (_, at) => [`f${at}`, types[at] ?? 'DOUBLE']);
  const dims = [null, width];
  const [input, output] = [columns(Object.fromEntries(features)), { name: 'y', type: 'FLOAT[]' }];
  const step: InferStep = {
    kind: 'infer',
    id: 'scored',
    model: { digest, bytes: bytes.length, name: 'echo.onnx' },
    externalData: [],
    inputs: [{ tensor: 'x', type: 'float32', dims, columns: input, list: false }],
    outputs: [{ tensor: 'y', type: 'float32', dims, column: output }],
    device: 'cpu',
    batchSize: 'auto',
    onNull: 'fail',
    onError: 'fail',
    ...more,
  };
  return { step, digest, bytes };
}

async function run(exprs: readonly string[], query: string, more: Partial<InferStep> = {}) {
  const path = await place.parquet('a.parquet', query);
  const { step, digest, bytes } = echo(exprs.length, [], more);
  const program = programOf(scan, [select(exprs), step], { id: 'BIGINT', y: 'FLOAT[]' });
  const blobs = { [digest]: place.file('echo.onnx', bytes) };
  return { path, ...(await place.run(program, await place.worksOf(path), { blobs })) };
}

async function found(exprs: readonly string[], types: readonly string[] = []) {
  const kernel = await Kernel.open({
    directories: [place.root],
    memoryLimitBytes: 1 << 28,
    spillDirectory: `${place.root}/spill-found`,
  });
  const { scan: source } = programOf(scan, [], {});
  const { step } = echo(exprs.length, types);
  return computedInputs(kernel, source, select(exprs), step).finally(() => kernel.close());
}

const shapes = (k: number): string[] => [
  `CAST(d * CAST('0.0${k}' AS DOUBLE) + i AS FLOAT)`,
  `(g % 64) * d - m -- of the bucket`,
  `d / (i - ${k})`,
  `${k}e-3 * r + d`,
  `(d - m) / d`,
  `CAST(i AS DOUBLE) * d * ${k}.25`,
  `(d * d - ${k}.5 / d) * 1e-5`,
];
/** More than one loop of the worker computes. */
const many = Array.from({ length: 20 }, (_, k) => shapes(k + 1)).flat();

describe('columns that are arithmetic on fewer ones', () => {
  const rows = `select id, (case id % 7 when 1 then 'inf' when 2 then '-inf' when 3 then 'nan'
      when 4 then '0' when 5 then '-1e15' else (sin(id) * 1e3)::varchar end)::double as d,
    (id % 11)::integer as i, id * 1234567 as g, (id % 999 / 8)::decimal(9,3) as m,
    (cos(id))::float as r from range(5000) t(id)`;

  it('reach the model as DuckDB would have computed them', async () => {
    expect((await found(many))?.inputs[0]?.leaves).toHaveLength(26);
    const { failure, records, path } = await run(many, rows);
    expect(failure).toBeUndefined();
    const wanted = many.map((expr) => `((${expr}\n))::float`).join(', ');
    const wrong = `select count(*) as n from read_parquet('${path}') a
      join read_parquet('${records[0]?.files[0]?.path}') b using (id)
      where b.y is distinct from [${wanted}]`;
    expect(await place.sql(wrong)).toEqual([{ n: 0n }]);
    expect(records[0]?.counts).toMatchObject({ rowsIn: 5000, rowsOut: 5000, inferred: 5000 });
  });

  it('are NULL where a value of theirs is, and named as the step names them', async () => {
    const some = rows.replace('(id % 11)::integer', 'case when id <> 4321 then 5 end');
    const { records } = await run(many, some, { onNull: 'deadLetter' });
    expect(records[0]?.counts).toMatchObject({ rowsOut: 4999, dead: 1 });
    expect((await place.deadOf(records[0]))[0]).toMatchObject({
      row: 4321n,
      code: 'E_NULL_INPUT',
      message: 'column "f0" is NULL',
    });
  });

  it('that are no float fail with the row and the step that made them', async () => {
    const large = rows.replace(
      `else (sin`,
      `when 6 then case id when 13 then '1e300' end else (sin`,
    );
    const only = ['d * 1e0', 'd * 2e0', 'd * 3e0', 'd + 1'];
    const { failure, path } = await run(only, large, { onNull: 'null' });
    expect(failure).toMatchObject({ code: 'E_SQL_RUNTIME', at: { file: path, row: 13 } });
    expect(failure?.message).toContain("with value 1e+300 can't be cast");
  });

  it('are left to DuckDB where they do more than that, or where little is saved', async () => {
    expect(
      await found(['d + random()', 'd * random()', 'd - 1', 'd * 3'], ['VARCHAR']),
    ).toBeUndefined();
    expect(await found(['i + 1', 'i * 2', 'i - 3', 'g * 2'], ['BIGINT'])).toBeUndefined();
    expect(await found(['d * 2', 'i * 2e0', 'r * 2e0'])).toBeUndefined();
    const mixed = await found(['d * 2', 'd * 3', 'd / 4', 'd - 5', 'd * 7', 'sqrt(d) * 6'], []);
    expect(mixed?.inputs[0]?.leaves).toEqual([
      'CAST("__windrow_leaf_0" AS DOUBLE)',
      'CAST("f5" AS DOUBLE)',
    ]);
  });
});
