import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TensorType } from '../../../shared/plan.js';
import { Workbench, identityGraph, inferStep, listInput, output, scalarInput } from './duck.js';

interface Sample {
  readonly type: TensorType;
  readonly sql: string;
  readonly values: readonly string[];
  /** What comes back where it is not what went in. */
  readonly expected?: readonly unknown[];
}

const samples: readonly Sample[] = [
  {
    type: 'float16',
    sql: 'FLOAT',
    values: ["'-inf'", '0.1', '65504', '-2.5', '0.00000006', '1e30'],
    expected: [-Infinity, 0.0999755859375, 65504, -2.5, 2 ** -24, Infinity],
  },
  {
    type: 'float32',
    sql: 'FLOAT',
    values: ["'nan'", "'inf'", '0.1', '-3.4e38'],
    expected: [NaN, Infinity, Math.fround(0.1), Math.fround(-3.4e38)],
  },
  { type: 'float64', sql: 'DOUBLE', values: ['0.1', '-1.7e308'], expected: [0.1, -1.7e308] },
  { type: 'int8', sql: 'TINYINT', values: ['-128', '127'], expected: [-128, 127] },
  { type: 'int16', sql: 'SMALLINT', values: ['-32768', '32767'], expected: [-32768, 32767] },
  {
    type: 'int32',
    sql: 'INTEGER',
    values: ['-2147483648', '2147483647'],
    expected: [-2147483648, 2147483647],
  },
  {
    type: 'int64',
    sql: 'BIGINT',
    values: ['-9223372036854775808', '9007199254740993'],
    expected: [-9223372036854775808n, 9007199254740993n],
  },
  { type: 'uint8', sql: 'UTINYINT', values: ['0', '255'], expected: [0, 255] },
  { type: 'uint16', sql: 'USMALLINT', values: ['0', '65535'], expected: [0, 65535] },
  { type: 'uint32', sql: 'UINTEGER', values: ['0', '4294967295'], expected: [0, 4294967295] },
  {
    type: 'uint64',
    sql: 'UBIGINT',
    values: ['0', '18446744073709551615'],
    expected: [0n, 18446744073709551615n],
  },
  { type: 'bool', sql: 'BOOLEAN', values: ['true', 'false'], expected: [true, false] },
  {
    type: 'string',
    sql: 'VARCHAR',
    values: ["''", "'short'", "'longer than twelve bytes'", "'Zürich ✓'"],
    expected: ['', 'short', 'longer than twelve bytes', 'Zürich ✓'],
  },
];

describe('tensors of every element type', () => {
  let bench: Workbench;
  beforeAll(async () => {
    bench = await Workbench.open();
  });
  afterAll(() => bench.close());

  const source = ({ values, sql }: Sample): string =>
    `(select unnest([${values.map((value) => `cast(${value} as ${sql})`).join(', ')}]) a)`;

  it.each(samples)('$type columns come back from a model as they went in', async (sample) => {
    const { type, sql, expected } = sample;
    const step = inferStep(
      [scalarInput('x', type, [null], { a: sql })],
      [output('y', type, [null], sql)],
    );
    const model = bench.writeModel(identityGraph(type, ['N']));
    const { call } = await bench.predict(model, step, { name: `scalar_${type}` });
    expect(await bench.column(`select ${call} from ${source(sample)}`)).toEqual(expected);
  });

  it.each(samples)('two $type columns interleave to [N, 2] and return as lists', async (sample) => {
    const { type, sql, expected } = sample;
    const step = inferStep(
      [scalarInput('x', type, [null, 2], { a: sql, b: sql })],
      [output('y', type, [null, 2], `${sql}[]`)],
    );
    const model = bench.writeModel(identityGraph(type, ['N', 2]));
    const { call } = await bench.predict(model, step, { name: `pair_${type}` });
    const rows = await bench.column(
      `select ${call} from (select a, a as b from ${source(sample)})`,
    );
    expect(rows).toEqual(expected!.map((value) => [value, value]));
  });

  it.each(samples)('$type lists come back from a model as they went in', async (sample) => {
    const { type, sql, expected } = sample;
    const step = inferStep(
      [listInput('x', type, [null, null], 'a', `${sql}[]`)],
      [output('y', type, [null, null], `${sql}[]`)],
    );
    const model = bench.writeModel(identityGraph(type, ['N', 'K']));
    const { call } = await bench.predict(model, step, { name: `list_${type}` });
    const rows = await bench.column(
      `select ${call} from (select list(a) a from ${source(sample)})`,
    );
    expect(rows).toEqual([expected]);
  });

  it.each(samples)('$type rows around a NULL keep their places', async (sample) => {
    const { type, sql, expected } = sample;
    const step = inferStep(
      [scalarInput('x', type, [null], { a: sql })],
      [output('y', type, [null], sql)],
      { onNull: 'null' },
    );
    const model = bench.writeModel(identityGraph(type, ['N']));
    const { call } = await bench.predict(model, step, { name: `holes_${type}` });
    const rows = await bench.column(
      `select ${call} from (select NULL::${sql} a union all select a from ${source(sample)} union all select NULL)`,
    );
    expect(rows).toEqual([null, ...expected!, null]);
  });
});
