/** Arrow values on their way to a table or JSON, made with the Arrow library itself. */
import {
  Bool,
  DateDay,
  Decimal,
  Field,
  Float64,
  Int32,
  Int64,
  List,
  makeData,
  RecordBatch,
  Schema,
  Struct,
  TimestampMicrosecond,
  Utf8,
  vectorFromArray,
  type DataType,
} from 'apache-arrow';
import { describe, expect, test } from 'vitest';
import { decimalText, plainRows } from '../../cli/cells.js';
import { rowTable } from '../../cli/specs.js';
import { formatJson } from '../../cli/table.js';

function batchOf(columns: Record<string, { type: DataType; values: unknown[] }>): RecordBatch {
  const fields = Object.entries(columns).map(([name, { type }]) => new Field(name, type, true));
  const children = Object.values(columns).map(
    ({ type, values }) => vectorFromArray(values, type).data[0]!,
  );
  const length = Object.values(columns)[0]!.values.length;
  const struct = new Struct(fields);
  return new RecordBatch(
    new Schema(fields),
    makeData({ type: struct, length, nullCount: 0, children }),
  );
}

describe('rows of Arrow batches', () => {
  test('become plain values that JSON can hold', () => {
    const batch = batchOf({
      i: { type: new Int32(), values: [1, null] },
      big: { type: new Int64(), values: [9007199254740993n, 5n] },
      f: { type: new Float64(), values: [0.5, NaN] },
      s: { type: new Utf8(), values: ['x', null] },
      b: { type: new Bool(), values: [true, false] },
      day: { type: new DateDay(), values: [new Date('2026-11-20'), null] },
      at: {
        type: new TimestampMicrosecond(),
        values: [Date.parse('2026-11-20T10:00:00.250Z'), null],
      },
      list: {
        type: new List(new Field('item', new Int64(), true)),
        values: [[1n, 2n], null],
      },
      struct: {
        type: new Struct([new Field('a', new Int64(), true)]),
        values: [{ a: 7n }, { a: null }],
      },
    });
    expect(JSON.parse(formatJson(plainRows(batch)))).toEqual([
      {
        i: 1,
        big: '9007199254740993',
        f: 0.5,
        s: 'x',
        b: true,
        day: '2026-11-20',
        at: '2026-11-20T10:00:00.250Z',
        list: [1, 2],
        struct: { a: 7 },
      },
      {
        i: null,
        big: 5,
        f: 'NaN',
        s: null,
        b: false,
        day: null,
        at: null,
        list: null,
        struct: { a: null },
      },
    ]);
  });

  test('keep all digits of decimals, negative ones and small ones too', () => {
    const type = new Decimal(4, 30, 128);
    expect(type.scale).toBe(4);
    const words = (value: bigint): Uint32Array =>
      Uint32Array.from([0n, 32n, 64n, 96n], (shift) =>
        Number((BigInt.asUintN(128, value) >> shift) & 0xffffffffn),
      );
    expect(decimalText(words(123456789012345678901234n), 4)).toBe('12345678901234567890.1234');
    expect(decimalText(words(-5n), 2)).toBe('-0.05');
    expect(decimalText(words(0n), 0)).toBe('0');
  });

  test('tell NULL from empty text in a table', () => {
    expect(
      rowTable(
        ['s', 'n'],
        [
          { s: null, n: 1 },
          { s: '', n: 22 },
        ],
      ).split('\n'),
    ).toEqual(['s      n', 'NULL   1', '      22', '(2 rows)']);
  });
});
