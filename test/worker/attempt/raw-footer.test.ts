import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readWholeFooter } from '../../../shared/parquet-footer.js';
import type { ProgramStep } from '../../../shared/plan.js';
import { layoutOf } from '../../../worker/attempt/column-layout.js';
import { handedThrough } from '../../../worker/attempt/kept-columns.js';
import {
  decodeFooter,
  join as joinFooters,
  type RawFooter,
} from '../../../worker/attempt/raw-footer.js';
import { Kernel } from '../../../worker/kernel/duckdb.js';
import { Place, programOf } from './fixture.js';

let place: Place;
beforeEach(() => {
  place = new Place();
});
afterEach(() => place.close());

describe('joined footers', () => {
  it('say least and greatest values only where the source says how they are ordered', async () => {
    const path = await place.parquet('few.parquet', 'select i as id from range(100) t(i)');
    const source = decodeFooter((await readWholeFooter(path)).bytes);
    const parts = { landing: source, written: source, rowGroup: 0 };
    const from = new Map([['id', 'id']]);
    const statisticsOf = (read: RawFooter): string[] => {
      const [group] = joinFooters({ ...parts, source: read, from }).footer.field_4;
      const { field_12: statistics = {} } = group!.field_1[0]!.field_3;
      return Object.keys(statistics).filter((name) => statistics[name] !== undefined);
    };
    expect(statisticsOf(source)).toEqual(expect.arrayContaining(['field_3', 'field_5', 'field_6']));
    const { field_7: orders, ...without } = source;
    expect(orders).toHaveLength(1);
    expect(statisticsOf(without)).toEqual(['field_3']);
    expect(statisticsOf({ ...source, field_7: [{}] })).toEqual(['field_3']);
    const numbers = await place.parquet('f.parquet', 'select i::double as id from range(9) t(i)');
    const floats = decodeFooter((await readWholeFooter(numbers)).bytes);
    const others = { ...floats, field_6: Buffer.from('parquet-cpp-arrow version 26.0.1') };
    parts.landing = parts.written = floats;
    expect(statisticsOf(floats)).toContain('field_5');
    // Others leave NaN out of them, which is the greatest for DuckDB.
    expect(statisticsOf(others)).toEqual(['field_3']);
  });
});

describe('joining', () => {
  it('refuses columns with more or fewer leaves than are expected', async () => {
    const footerOf = async (name: string, query: string): Promise<RawFooter> =>
      decodeFooter((await readWholeFooter(await place.parquet(name, query))).bytes);
    const one = await footerOf('one.parquet', `select 1 as id, {'a': 1} as s`);
    const two = await footerOf('two.parquet', `select 1 as id, {'a': 1, 'b': 2} as s`);
    const from = new Map([['id', 'id']]);
    const parts = { source: one, rowGroup: 0, from };
    expect(joinFooters({ ...parts, landing: one, written: one }).pages).toHaveLength(2);
    expect(() => joinFooters({ ...parts, landing: one, written: two })).toThrow(/column s/);
    expect(() => joinFooters({ ...parts, landing: two, written: one })).toThrow(/column s/);
  });
});

describe('what is handed through', () => {
  async function handed(steps: readonly ProgramStep[]): Promise<Record<string, string>> {
    const kernel = await Kernel.open({
      directories: [],
      memoryLimitBytes: 2 ** 30,
      spillDirectory: join(place.root, 'spill-own'),
    });
    const scan = { a: 'BIGINT', b: 'DOUBLE' };
    const sink = { A: 'BIGINT', b: 'DOUBLE', c: 'BIGINT' };
    const found = await handedThrough(kernel, programOf(scan, steps, sink));
    kernel.close();
    return Object.fromEntries(found);
  }

  const select = (...exprs: [string, string][]): ProgramStep => ({
    kind: 'select',
    id: 's',
    columns: exprs.map(([name, expr]) => ({ name, expr })),
  });

  it('are columns, whatever they are called on the way', async () => {
    expect(await handed([])).toEqual({ A: 'a', b: 'b' });
    expect(
      await handed([select(['x', 'a'], ['b', ' B ']), select(['c', '(x)'], ['b', 'b'])]),
    ).toEqual({ b: 'b', c: 'a' });
  });

  it('are no expressions, no values of another column, and none of another type', async () => {
    expect(await handed([select(['a', 'a + 0'], ['b', 'b::double'], ['c', 'a'])])).toEqual({
      c: 'a',
    });
    expect(await handed([select(['a', 'b'], ['b', 'a'])])).toEqual({});
    expect(await handed([select(['a', 'x.a'], ['b', "'b'"])])).toEqual({});
  });

  it('are not what a model replaces', async () => {
    const model: ProgramStep = {
      kind: 'infer',
      id: 'm',
      model: { digest: '', bytes: 0, name: 'm.onnx' },
      externalData: [],
      inputs: [],
      outputs: [
        { tensor: 'y', type: 'float64', dims: [null], column: { name: 'B', type: 'DOUBLE' } },
      ],
      device: 'cpu',
      batchSize: 'auto',
      onNull: 'fail',
      onError: 'fail',
    };
    expect(await handed([model])).toEqual({ A: 'a' });
    expect(await handed([{ ...model, onNull: 'deadLetter' }])).toEqual({});
    expect(await handed([{ ...model, onError: 'deadLetter' }])).toEqual({});
  });
});

describe('a layout', () => {
  it('is one whether older or newer words say what values mean', () => {
    const text = { name: 'a', type: 'BYTE_ARRAY', repetition_type: 'OPTIONAL' } as const;
    const layouts = [
      layoutOf([{ ...text, converted_type: 'UTF8' }]),
      layoutOf([{ ...text, name: 'b', logical_type: { type: 'STRING' }, field_id: 7 }]),
      layoutOf([{ ...text, converted_type: 'UTF8', logical_type: { type: 'STRING' } }]),
    ];
    expect(new Set(layouts).size).toBe(1);
    const number = { name: 'a', type: 'INT32', repetition_type: 'OPTIONAL' } as const;
    expect(layoutOf([{ ...number, converted_type: 'INT_32' }])).toBe(layoutOf([number]));
    const decimal = { ...number, scale: 2, precision: 9 };
    expect(layoutOf([{ ...decimal, converted_type: 'DECIMAL' }])).toBe(
      layoutOf([{ ...number, logical_type: { type: 'DECIMAL', precision: 9, scale: 2 } }]),
    );
  });

  it('is another with other levels, units, signs or bytes', () => {
    const column = { name: 'a', type: 'INT64', repetition_type: 'OPTIONAL' } as const;
    const layouts = [
      layoutOf([column]),
      layoutOf([{ ...column, repetition_type: 'REQUIRED' }]),
      layoutOf([{ ...column, type: 'INT96' }]),
      layoutOf([{ ...column, converted_type: 'UINT_64' }]),
      layoutOf([{ ...column, converted_type: 'TIMESTAMP_MILLIS' }]),
      layoutOf([{ ...column, converted_type: 'TIMESTAMP_MICROS' }]),
      layoutOf([
        { ...column, logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: false, unit: 'MICROS' } },
      ]),
      layoutOf([{ ...column, converted_type: 'DECIMAL', scale: 1, precision: 10 }]),
      layoutOf([{ ...column, converted_type: 'DECIMAL', scale: 2, precision: 10 }]),
    ];
    expect(new Set(layouts).size).toBe(layouts.length);
  });
});
