import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { buildModel, mlpModel } from '../../../shared/onnx-model.js';
import {
  Workbench,
  identityGraph,
  inferStep,
  listInput,
  lookupGraph,
  output,
  scalarInput,
} from './duck.js';

let bench: Workbench;
beforeEach(async () => {
  bench = await Workbench.open();
});
afterEach(() => bench.close());

const oneFloat = [scalarInput('x', 'float32', [null], { a: 'DOUBLE' })];
const oneFloatOut = [output('y', 'float32', [null], 'FLOAT')];

/** `y = 2x` in float32 with a batch dimension of choice. */
function doubling(batch: number | string) {
  return {
    inputs: [{ name: 'x', type: 'float32', dims: [batch] }],
    outputs: [{ name: 'y', type: 'float32', dims: [batch] }],
    nodes: [{ op: 'Add', inputs: ['x', 'x'], outputs: ['y'] }],
  } as const;
}

describe('a statement with predict in it', () => {
  it('writes the same predictions as a direct session over all rows', async () => {
    const width = 64;
    const rows = 5_000;
    let seed = 7;
    const random = (): number => (seed = (seed * 48271) % 2147483647) / 2147483647 - 0.5;
    const layer = (inputs: number, outputs: number, activation: 'relu' | 'none') => ({
      weights: Float32Array.from({ length: inputs * outputs }, random),
      bias: Float32Array.from({ length: outputs }, random),
      activation,
    });
    const model = mlpModel([layer(width, 32, 'relu'), layer(32, 1, 'none')], {
      input: 'x',
      output: 'y',
    });
    const columns = Array.from({ length: width }, (_, k) => `f${k}`);
    const source = `(select i, ${columns.map((name, k) => `sin(i * ${k + 1}) as ${name}`).join(', ')} from range(${rows}) t(i))`;
    const step = inferStep(
      [
        scalarInput(
          'x',
          'float32',
          [null, width],
          Object.fromEntries(columns.map((n) => [n, 'DOUBLE'])),
        ),
      ],
      [output('y', 'float32', [null, 1], 'FLOAT')],
    );
    const path = bench.writeModel(model);
    const { call, shape, rowsInferred } = await bench.predict(path, step);
    const file = join(bench.directory, 'out.parquet');
    await bench.connection.run(`copy (select i, ${call} y from ${source}) to '${file}'`);
    const written = await bench.column(`select y from '${file}' order by i`);

    const features = Float32Array.from({ length: rows * width }, (_, at) =>
      Math.sin(Math.floor(at / width) * ((at % width) + 1)),
    );
    const session = await InferenceSession.create(path);
    const direct = await session.run({ x: new Tensor('float32', features, [rows, width]) });
    await session.release();
    expect(shape).toBe('scalar');
    expect(rowsInferred()).toBe(rows);
    const expected = direct['y']!.data as Float32Array;
    const largest = written.reduce<number>(
      (worst, value, row) => Math.max(worst, Math.abs((value as number) - expected[row]!)),
      0,
    );
    expect(written).toHaveLength(rows);
    expect(largest).toBeLessThan(1e-4);
  });

  it('runs each row once even when a filter above reads the prediction', async () => {
    const path = bench.writeModel(doubling('N'));
    const { call, rowsInferred } = await bench.predict(path, inferStep(oneFloat, oneFloatOut));
    const kept = await bench.rows(
      `select a, y from (select a, ${call} y from (select i::double a from range(10000) t(i))) where y >= 10000`,
    );
    expect(kept).toHaveLength(5_000);
    expect(rowsInferred()).toBe(10_000);
    // Each run is told, for metrics.
    expect(bench.runs.reduce((sum, { rows }) => sum + rows, 0)).toBe(10_000);
    expect(bench.runs.every(({ rows, seconds }) => rows <= 2_048 && seconds >= 0)).toBe(true);
  });

  it('feeds several inputs and returns several outputs as one struct', async () => {
    const path = bench.writeModel({
      inputs: [
        { name: 'a', type: 'float32', dims: ['N', 2] },
        { name: 'b', type: 'int64', dims: ['N', 1] },
      ],
      outputs: [
        { name: 'sum', type: 'float32', dims: ['N', 2] },
        { name: 'twice', type: 'int64', dims: ['N', 1] },
        { name: 'positive', type: 'bool', dims: ['N', 1] },
      ],
      nodes: [
        { op: 'Cast', inputs: ['b'], outputs: ['bf'], attributes: { to: { int: 1 } } },
        { op: 'Add', inputs: ['a', 'bf'], outputs: ['sum'] },
        { op: 'Add', inputs: ['b', 'b'], outputs: ['twice'] },
        { op: 'Greater', inputs: ['bf', 'zero'], outputs: ['positive'] },
      ],
      initializers: [{ name: 'zero', type: 'float32', dims: [1], data: Float32Array.of(0) }],
    });
    const step = inferStep(
      [
        scalarInput('a', 'float32', [null, 2], { p: 'INTEGER', q: 'BOOLEAN' }),
        scalarInput('b', 'int64', [null, 1], { r: 'TINYINT' }),
      ],
      [
        output('sum', 'float32', [null, 2], 'FLOAT[]'),
        output('twice', 'int64', [null, 1], 'BIGINT'),
        output('positive', 'bool', [null, 1], 'BOOLEAN'),
      ],
    );
    const { call, shape, hasOk } = await bench.predict(path, step);
    expect({ shape, hasOk }).toEqual({ shape: 'struct', hasOk: false });
    const rows = await bench.rows(
      `select p.o0, p.o1, p.o2 from (select ${call} p from (values (1, true, 3), (2, false, -4)) t(p, q, r))`,
    );
    expect(rows).toEqual([
      [[4, 4], 6n, true],
      [[-2, -4], -8n, false],
    ]);
  });

  it('takes external data under the names the model gives', async () => {
    const weights = Float32Array.of(3);
    const path = bench.writeModel(
      buildModel({
        ...doubling('N'),
        nodes: [{ op: 'Mul', inputs: ['x', 'w'], outputs: ['y'] }],
        initializers: [
          {
            name: 'w',
            type: 'float32',
            dims: [1],
            data: weights,
            external: { location: 'w.bin' },
          },
        ],
      }),
    );
    const blob = join(bench.directory, 'blob-by-digest');
    writeFileSync(blob, Buffer.from(weights.buffer));
    const elsewhere = await bench.predict(path, inferStep(oneFloat, oneFloatOut), {
      name: 'elsewhere',
      externalPaths: { 'w.bin': blob },
    });
    expect(await bench.column(`select ${elsewhere.call} from (select 2.0 a)`)).toEqual([6]);
    writeFileSync(join(bench.directory, 'w.bin'), readFileSync(blob));
    const beside = await bench.predict(path, inferStep(oneFloat, oneFloatOut), {
      name: 'beside',
      externalPaths: { 'w.bin': join(bench.directory, 'w.bin') },
    });
    expect(await bench.column(`select ${beside.call} from (select 5.0 a)`)).toEqual([15]);
  });

  it('runs a model with a fixed batch in slices and drops what padded the last one', async () => {
    const path = bench.writeModel(doubling(7));
    const step = inferStep(
      [scalarInput('x', 'float32', [7], { a: 'DOUBLE' })],
      [output('y', 'float32', [7], 'FLOAT')],
    );
    const { call, rowsInferred } = await bench.predict(path, step);
    const rows = await bench.column(
      `select ${call} from (select i::double a from range(100) t(i))`,
    );
    expect(rows).toEqual(Array.from({ length: 100 }, (_, i) => 2 * i));
    expect(rowsInferred()).toBe(100);
  });

  it('gives the same predictions for every batch size', async () => {
    const path = bench.writeModel(doubling('N'));
    const source = '(select i::double a from range(3000) t(i))';
    for (const batchSize of [1, 7, 2048, 100_000]) {
      const step = inferStep(oneFloat, oneFloatOut, { batchSize });
      const { call } = await bench.predict(path, step, { name: `by_${batchSize}` });
      const wrong = `select count(*) from (select a, ${call} y from ${source}) where y <> 2 * a`;
      expect(await bench.column(wrong)).toEqual([0n]);
    }
  });

  it('stops with E_CANCELLED when the control word is set', async () => {
    const path = bench.writeModel(doubling('N'));
    const { call } = await bench.predict(path, inferStep(oneFloat, oneFloatOut));
    Atomics.store(bench.control, 0, 1);
    await expect(bench.rows(`select ${call} from (select 1.0 a)`)).rejects.toThrow('E_CANCELLED');
  });

  it('names the step of a model that is none, and not the path of the copy', async () => {
    const path = join(bench.directory, 'text.onnx');
    writeFileSync(path, 'this is not a model');
    await expect(bench.predict(path, inferStep(oneFloat, oneFloatOut))).rejects.toMatchObject({
      failure: {
        kind: 'badData',
        code: 'E_MODEL_INVALID',
        at: { step: inferStep(oneFloat, oneFloatOut).id },
        message: expect.not.stringContaining(path),
      },
    });
  });

  it('refuses columns that cannot fill the tensor', async () => {
    const path = bench.writeModel(identityGraph('float32', ['N', 3]));
    const step = inferStep(
      [scalarInput('x', 'float32', [null, 3], { a: 'FLOAT', b: 'FLOAT' })],
      [output('y', 'float32', [null, 3], 'FLOAT[]')],
    );
    await expect(bench.predict(path, step)).rejects.toMatchObject({
      failure: { kind: 'invalidSpec', code: 'E_MODEL_INPUT' },
    });
  });

  it('says so when an output has no row for each row', async () => {
    const path = bench.writeModel({
      ...doubling('N'),
      nodes: [{ op: 'ReduceSum', inputs: ['x'], outputs: ['y'] }],
    });
    const { call } = await bench.predict(path, inferStep(oneFloat, oneFloatOut));
    await expect(
      bench.rows(`select ${call} from (select i::double a from range(3) t(i))`),
    ).rejects.toThrow(/E_MODEL_OUTPUT: tensor "y" came out as \[1\] for 3 rows \(step scored/);
  });
});

describe('list and array columns', () => {
  it('fills [N, a, b] from nested lists, from nested arrays and from flat lists', async () => {
    const path = bench.writeModel(identityGraph('float32', ['N', 2, 3]));
    const values = '[[i, i+1, i+2], [i+3, i+4, i+5]]';
    const flat = '[i, i+1, i+2, i+3, i+4, i+5]';
    const forms = [
      { name: 'nested', type: 'FLOAT[][]', sql: `${values}::FLOAT[][]` },
      { name: 'arrays', type: 'DOUBLE[3][2]', sql: `${values}::DOUBLE[3][2]` },
      { name: 'flat', type: 'INTEGER[]', sql: `${flat}::INTEGER[]` },
      { name: 'flat_array', type: 'INTEGER[6]', sql: `${flat}::INTEGER[6]` },
    ];
    for (const { name, type, sql } of forms) {
      const step = inferStep(
        [listInput('x', 'float32', [null, 2, 3], 'a', type)],
        [output('y', 'float32', [null, 2, 3], 'FLOAT[][]')],
      );
      const { call } = await bench.predict(path, step, { name });
      const rows = await bench.column(`select ${call} from (select ${sql} a from range(3) t(i))`);
      expect(rows).toEqual(
        [0, 1, 2].map((i) => [
          [i, i + 1, i + 2],
          [i + 3, i + 4, i + 5],
        ]),
      );
    }
  });

  it('flattens row-major what the output column has no nesting for', async () => {
    const path = bench.writeModel(identityGraph('int32', ['N', 2, 2]));
    const step = inferStep(
      [listInput('x', 'int32', [null, 2, 2], 'a', 'INTEGER[][]')],
      [output('y', 'int32', [null, 2, 2], 'INTEGER[]')],
    );
    const { call } = await bench.predict(path, step);
    expect(await bench.column(`select ${call} from (select [[1, 2], [3, 4]] a)`)).toEqual([
      [1, 2, 3, 4],
    ]);
  });

  it('runs rows of different lengths apart where the model leaves the length free', async () => {
    const path = bench.writeModel(identityGraph('int64', ['N', 'K']));
    const step = inferStep(
      [listInput('x', 'int64', [null, null], 'a', 'BIGINT[]')],
      [output('y', 'int64', [null, null], 'BIGINT[]')],
    );
    const { call } = await bench.predict(path, step);
    const wrong = `select count(*) from (select a, ${call} y from (select range(i % 5) a from range(5000) t(i))) where y <> a`;
    expect(await bench.column(wrong)).toEqual([0n]);
  });

  it('treats a list of the wrong length as a bad row', async () => {
    const path = bench.writeModel(identityGraph('float32', ['N', 2]));
    const inputs = [listInput('x', 'float32', [null, 2], 'a', 'FLOAT[]')];
    const outputs = [output('y', 'float32', [null, 2], 'FLOAT[]')];
    const source = '(values ([1, 2], 10), ([3], 11), ([4, 5], 12), ([6, NULL], 13)) t(a, id)';
    const strict = await bench.predict(path, inferStep(inputs, outputs), {
      name: 'strict',
      rowSql: 'id',
    });
    await expect(
      bench.rows(`select ${strict.call} from (select * from ${source} limit 3)`),
    ).rejects.toThrow(
      'E_TENSOR_SHAPE: column "a" has 1 elements where tensor "x" is [N, 2] (step scored, column a, row 11)',
    );
    const lenient = inferStep(inputs, outputs, { onNull: 'deadLetter', onError: 'deadLetter' });
    const { call } = await bench.predict(path, lenient, { rowSql: 'id' });
    const rows = await bench.rows(
      `select id, p.o0 from (select id, ${call} p from ${source}) where p.ok`,
    );
    expect(rows).toEqual([
      [10, [1, 2]],
      [12, [4, 5]],
    ]);
    expect(bench.dead.map(({ row, code }) => [row, code])).toEqual([
      [11, 'E_TENSOR_SHAPE'],
      [13, 'E_NULL_INPUT'],
    ]);
  });
});

describe('rows with NULL', () => {
  const source =
    '(select i, case when i % 1000 = 7 then null else i::double end a from range(3000) t(i))';

  it('end the statement and name column and row with onNull: fail', async () => {
    const path = bench.writeModel(doubling('N'));
    const { call } = await bench.predict(path, inferStep(oneFloat, oneFloatOut), { rowSql: 'i' });
    await expect(bench.rows(`select ${call} from ${source}`)).rejects.toThrow(
      'E_NULL_INPUT: column "a" is NULL (step scored, column a, row 7)',
    );
  });

  it('become NULL and are not run with onNull: null', async () => {
    const path = bench.writeModel(doubling('N'));
    const step = inferStep(oneFloat, oneFloatOut, { onNull: 'null' });
    const { call, rowsInferred } = await bench.predict(path, step);
    const wrong = `select count(*) from (select a, ${call} y from ${source}) where y is distinct from 2 * a`;
    expect(await bench.column(wrong)).toEqual([0n]);
    expect(rowsInferred()).toBe(2_997);
  });

  it('are dropped and reported with onNull: deadLetter', async () => {
    const path = bench.writeModel(doubling('N'));
    const step = inferStep(oneFloat, oneFloatOut, { onNull: 'deadLetter' });
    const { call, hasOk } = await bench.predict(path, step, { rowSql: 'i' });
    const kept = `select count(*), sum(p.o0) from (select ${call} p from ${source}) where p.ok`;
    const total = 2 * ((2999 * 3000) / 2 - 7 - 1007 - 2007);
    expect(await bench.rows(kept)).toEqual([[2_997n, total]]);
    expect(hasOk).toBe(true);
    expect(bench.dead).toEqual(
      [7, 1007, 2007].map((row) => ({ row, code: 'E_NULL_INPUT', message: 'column "a" is NULL' })),
    );
  });

  it('follow the policy even when the column is a constant NULL', async () => {
    const path = bench.writeModel(doubling('N'));
    const { call } = await bench.predict(path, inferStep(oneFloat, oneFloatOut));
    await expect(bench.rows(`select ${call} from (select NULL a from range(3))`)).rejects.toThrow(
      'E_NULL_INPUT',
    );
  });

  it('are not what NaN is: NaN passes', async () => {
    const path = bench.writeModel(doubling('N'));
    const { call } = await bench.predict(path, inferStep(oneFloat, oneFloatOut));
    expect(await bench.column(`select ${call} from (select 'nan'::double a)`)).toEqual([NaN]);
  });
});

describe('rows a model refuses', () => {
  const table = Float32Array.from({ length: 100 }, (_, i) => i * i);
  const inputs = [scalarInput('i', 'int64', [null], { k: 'BIGINT' })];
  const outputs = [output('y', 'float32', [null], 'FLOAT')];
  const source =
    '(select id, case when id in (3, 2500) then 1000 else id % 100 end k from range(4000) t(id))';

  it('are set aside with onError: deadLetter while the others keep their predictions', async () => {
    const step = inferStep(inputs, outputs, { onError: 'deadLetter' });
    const { call, rowsInferred } = await bench.predict(bench.writeModel(lookupGraph(table)), step, {
      rowSql: 'id',
    });
    const kept = `select count(*), count(*) filter (p.o0 <> k * k) from (select k, ${call} p from ${source}) where p.ok`;
    expect(await bench.rows(kept)).toEqual([[3_998n, 0n]]);
    expect(bench.dead.map(({ row, code }) => [row, code])).toEqual([
      [3, 'E_MODEL_RUN'],
      [2500, 'E_MODEL_RUN'],
    ]);
    expect(bench.dead[0]!.message).toContain('idx=1000');
    expect(rowsInferred()).toBe(3_998);
  });

  it('are found in a model with a fixed batch too', async () => {
    const path = bench.writeModel(lookupGraph(table, 16));
    const step = inferStep(
      [scalarInput('i', 'int64', [16], { k: 'BIGINT' })],
      [output('y', 'float32', [16], 'FLOAT')],
      { onError: 'deadLetter' },
    );
    const { call } = await bench.predict(path, step, { rowSql: 'id' });
    const kept = `select count(*), count(*) filter (p.o0 <> k * k) from (select k, ${call} p from ${source}) where p.ok`;
    expect(await bench.rows(kept)).toEqual([[3_998n, 0n]]);
    expect(bench.dead.map(({ row }) => row)).toEqual([3, 2500]);
  });

  it('end the statement and name the first of them with onError: fail', async () => {
    const path = bench.writeModel(lookupGraph(table));
    const { call } = await bench.predict(path, inferStep(inputs, outputs), { rowSql: 'id' });
    await expect(
      bench.rows(`select ${call} from (select * from ${source} where id > 100)`),
    ).rejects.toThrow(/E_MODEL_RUN: .*idx=1000.* \(step scored, row 2500\)/);
  });
});
