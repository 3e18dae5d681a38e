import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ProgramStep } from '../../../shared/plan.js';
import { Place } from '../attempt/fixture.js';
import { idScan, ids, runMap } from './fixture.js';

let place: Place;
beforeEach(() => {
  place = new Place();
});
afterEach(() => place.close());

const run = (...args: OmitPlace<Parameters<typeof runMap>>) => runMap(place, ...args);
type OmitPlace<Args> = Args extends [Place, ...infer Rest] ? Rest : never;

/** Every kind of column, with a NULL in each. */
const allTypes: Record<string, string> = {
  b: 'BOOLEAN',
  i8: 'TINYINT',
  i16: 'SMALLINT',
  i32: 'INTEGER',
  i64: 'BIGINT',
  u8: 'UTINYINT',
  u16: 'USMALLINT',
  u32: 'UINTEGER',
  u64: 'UBIGINT',
  f32: 'FLOAT',
  f64: 'DOUBLE',
  s: 'VARCHAR',
  d: 'DATE',
  t: 'TIMESTAMP',
  tz: 'TIMESTAMP WITH TIME ZONE',
  dec: 'DECIMAL(18,3)',
  list: 'DOUBLE[]',
  nested: 'STRUCT(a INTEGER, b VARCHAR[])',
  blob: 'BLOB',
  uuid: 'UUID',
};
const allValues = `select * from (select
  i % 2 = 0 as b, (i % 100)::tinyint as i8, i::smallint as i16, i::int as i32, 9007199254740993 + i as i64,
  (i % 200)::utinyint as u8, i::usmallint as u16, i::uinteger as u32, (18446744073709551000 + i % 10)::ubigint as u64,
  i::float / 4 as f32, i / 3 as f64, case i % 3 when 0 then '' when 1 then 'ä\u20ac' || i else repeat('long ', 10) || i end as s,
  date '1969-12-30' + i::int as d, timestamp '1969-12-31 23:59:59.123456' + to_microseconds(i * 1000001) as t,
  timestamptz '2026-01-01 00:00:00.000001+00' + to_seconds(i) as tz, (i / 8)::decimal(18,3) as dec,
  [i, null, i / 2]::double[] as list, {'a': i::int, 'b': ['x', i::varchar]} as nested, ('\\xFF' || i)::blob as blob,
  md5(i::varchar)::uuid as uuid from range(3000) t(i))
  union all select ${Object.values(allTypes)
    .map((type) => `null::${type}`)
    .join(', ')}`;

describe('values of a map function', () => {
  it('gets and returns every type, NULL included', async () => {
    const source = `export function batch(batch) { return batch; }`;
    const out: Record<string, string> = {};
    for (const [name, type] of Object.entries(allTypes)) if (type !== 'UUID') out[name] = type;
    const returned = Object.fromEntries(
      Object.entries(allTypes).map(([name, type]) => [name, type]),
    );
    const { failure, records, path } = await run(
      allValues,
      allTypes,
      source,
      { reads: allTypes, columns: returned },
      allTypes,
    );
    expect(failure).toBeUndefined();
    expect(records[0]?.counts.rowsOut).toBe(3001);
    const file = records[0]?.files[0]?.path;
    expect(
      await place.sql(`select * from (from '${path}' except all from read_parquet('${file}'))`),
    ).toEqual([]);
  });

  it('gets Arrow types as documented', async () => {
    const source = `export function batch(batch) {
      return { kinds: Array(batch.numRows).fill(batch.schema.fields.map((f) => f.name + ':' + f.type).join(' ')) };
    }`;
    const { failure, records } = await run(
      allValues,
      allTypes,
      source,
      { reads: allTypes, columns: { kinds: 'VARCHAR' } },
      { kinds: 'VARCHAR' },
    );
    expect(failure).toBeUndefined();
    const [row] = await place.rowsOf(records, 'any_value(kinds) as kinds');
    expect(row?.kinds).toBe(
      'b:Bool i8:Int8 i16:Int16 i32:Int32 i64:Int64 u8:Uint8 u16:Uint16 u32:Uint32 u64:Uint64 f32:Float32 f64:Float64 ' +
        's:Utf8 d:Date32<DAY> t:Timestamp<MICROSECOND> tz:Timestamp<MICROSECOND, UTC> dec:Utf8 list:List<Float64> nested:Utf8 blob:Binary uuid:Utf8',
    );
  });

  it('takes rows one by one, dates as Date and big integers as bigint', async () => {
    const source = `export function row(row) { return { text: typeof row.i64 + row.d?.getUTCDate() + row.list?.length + row.s, d: row.d, tz: row.tz }; }`;
    const { failure, records } = await run(
      allValues,
      allTypes,
      source,
      {
        style: 'row',
        reads: {
          i64: 'BIGINT',
          d: 'DATE',
          list: 'DOUBLE[]',
          s: 'VARCHAR',
          tz: 'TIMESTAMP WITH TIME ZONE',
        },
        columns: { text: 'VARCHAR', d: 'DATE', tz: 'TIMESTAMP' },
      },
      { text: 'VARCHAR', d: 'DATE', i32: 'INTEGER' },
    );
    expect(failure).toBeUndefined();
    const [row] = await place.rowsOf(
      records,
      `any_value(text) filter (i32 = 1) as text, bool_and(d = date '1969-12-30' + i32) as dates`,
    );
    expect(row).toEqual({ text: 'bigint313ä€1', dates: true });
  });

  it('cuts times towards the past where they are shorter than what holds them', async () => {
    const source = `import { makeData, TimestampNanosecond, Vector } from 'apache-arrow';
      export function row(row) { return { ms: row.t.getTime() }; }
      export function batch(batch) {
        const data = BigInt64Array.of(-1n, -1000n, -1001n, 1999n);
        return { t: new Vector([makeData({ type: new TimestampNanosecond(), data })]) };
      }`;
    const times = `select unnest([-1, -1000, -1001, 1999])::bigint as us`;
    const before: ProgramStep[] = [
      { kind: 'select', id: 's', columns: [{ name: 't', expr: 'make_timestamp(us)' }] },
    ];
    const scan = { us: 'BIGINT' };
    const reads = { t: 'TIMESTAMP' };
    const rows = { style: 'row', reads, columns: { ms: 'BIGINT' } } as const;
    const got = await run(times, scan, source, rows, { ms: 'BIGINT' }, { before });
    expect(got.failure).toBeUndefined();
    expect(await place.rowsOf(got.records, 'list(ms)::varchar as ms')).toEqual([
      { ms: '[-1, -1, -2, 1]' },
    ]);
    const given = await run(times, scan, source, { reads, columns: reads }, reads, { before });
    expect(given.failure).toBeUndefined();
    expect(await place.rowsOf(given.records, 'list(epoch_us(t))::varchar as us')).toEqual([
      { us: '[-1, -1, -2, 1]' },
    ]);
  });

  it('keeps NaN, the infinities and -0 in lists, whatever the list is', async () => {
    const source = `const all = [NaN, Infinity, -Infinity, -0, 1e300, null, 0.1];
      export function row(row) {
        const kind = Number(row.id % 2n);
        return { d: kind === 0 ? all : Float64Array.from(all.filter((one) => one !== null)), l: [9007199254740993n, -1] };
      }`;
    const { failure, records } = await run(
      ids,
      idScan,
      source,
      { style: 'row', reads: { id: 'BIGINT' }, columns: { d: 'DOUBLE[]', l: 'BIGINT[]' } },
      { id: 'BIGINT', d: 'DOUBLE[]', l: 'BIGINT[]' },
    );
    expect(failure).toBeUndefined();
    const rows = await place.rowsOf(
      records,
      `distinct id % 2 as kind, d::varchar as d, l::varchar as l`,
    );
    expect(rows.sort((a, b) => Number(a['kind']) - Number(b['kind']))).toMatchObject([
      { d: '[nan, inf, -inf, -0.0, 1e+300, NULL, 0.1]', l: '[9007199254740993, -1]' },
      { d: '[nan, inf, -inf, -0.0, 1e+300, 0.1]', l: '[9007199254740993, -1]' },
    ]);
  });

  /** Members of all kinds; those of one name hold what is hard to keep. */
  const nested =
    'STRUCT(d DOUBLE, f FLOAT[], z DOUBLE, i BIGINT, u UBIGINT, "a ""b" VARCHAR, b BLOB, n DECIMAL(38,10), ' +
    't TIMESTAMP, tz TIMESTAMP WITH TIME ZONE, "day" DATE, m MAP(VARCHAR, INTEGER[]), j JSON, l DOUBLE[][], ' +
    `o STRUCT(p INTEGER), e ENUM('a,b', 'it''s'), k MAP(INTEGER, BOOLEAN), un UNION(n INTEGER, s VARCHAR))`;
  const nestedValue = String.raw`{'d': 'NaN'::double, 'f': ['-inf'::float, 'inf', 0.1], 'z': -0.0::double,
    'i': 9223372036854775807, 'u': 18446744073709551615::ubigint, 'a "b': 'NaN, "Infinity", \ -Infinity' || chr(1) || chr(0) || 'ü',
    'b': '\x00\xFF"\x5CA'::blob, 'n': 12345678901234567.8901234567::decimal(38,10), 't': timestamp '1969-12-31 23:59:59.999500',
    'tz': timestamptz '0002-01-01 (BC) 00:00:00.002', 'day': date '0001-02-28 (BC)', 'm': map {'k"1': [1, null], '': null},
    'j': '{"x":[9007199254740993,"y"]}'::json, 'l': [[1.5, null, 'inf'::double], null, []]::double[][],
    'o': null::struct(p integer), 'e': 'it''s'::enum('a,b', 'it''s'), 'k': map {-3: true}, 'un': union_value(s := 'x')::union(n integer, s varchar)}`;

  it.each(['batch', 'row'] as const)(
    'gets nested values as JSON and gives them back: %s',
    async (style) => {
      const source = `export function batch(batch) { return batch; }
        export function row(row) { JSON.parse(row.x); return row; }`;
      const { failure, records } = await run(
        `select i as id, (${nestedValue})::varchar as s from range(3) t(i)`,
        { id: 'BIGINT', s: 'VARCHAR' },
        source,
        { style, reads: { x: nested }, columns: { x: nested } },
        { same: 'BOOLEAN' },
        {
          before: [
            {
              kind: 'select',
              id: 'x',
              columns: [
                { name: 'x', expr: nestedValue },
                { name: 's', expr: 's' },
              ],
            },
          ],
          after: [{ kind: 'select', id: 's', columns: [{ name: 'same', expr: 'x::varchar = s' }] }],
        },
      );
      expect(failure).toBeUndefined();
      expect(await place.rowsOf(records, 'distinct same')).toEqual([{ same: true }]);
    },
  );

  it('keeps all that nested types hold', async () => {
    const source = String.raw`export function row() {
      return { x: {
        d: NaN, f: [-Infinity, Infinity, 0.1], z: -0, i: 9223372036854775807n, u: 18446744073709551615n,
        'a "b': 'NaN, "Infinity", \\ -Infinity\x01\0ü', b: Uint8Array.of(0, 255, 34, 92, 65), n: '12345678901234567.8901234567',
        t: -0.5, tz: new Date('-000001-01-01T00:00:00.002Z'), day: new Date('0000-02-28T00:00:00Z'),
        m: { 'k"1': [1, null], '': null }, j: { x: [9007199254740993n, 'y'] }, l: [[1.5, null, Infinity], null, []],
        o: undefined, e: "it's", k: { '-3': true }, un: { s: 'x' },
      } };
    }`;
    const { failure, records } = await run(
      `select i as id, (${nestedValue})::varchar as s from range(3) t(i)`,
      { id: 'BIGINT', s: 'VARCHAR' },
      source,
      { style: 'row', reads: { id: 'BIGINT' }, columns: { x: nested } },
      { x: 'VARCHAR', s: 'VARCHAR' },
      {
        after: [
          {
            kind: 'select',
            id: 's',
            columns: [
              { name: 'x', expr: 'x::varchar' },
              { name: 's', expr: 's' },
            ],
          },
        ],
      },
    );
    expect(failure).toBeUndefined();
    const [row] = await place.rowsOf(records, 'distinct x, s');
    expect(row?.['x']).toBe(row?.['s']);
  });

  it.each([
    ['INTEGER[]', '[1.5]', /must be INTEGER, row 0 is 1.5/],
    ['INTEGER[]', '[2 ** 31]', /out of the range of INTEGER/],
    ['DOUBLE[]', '"[1]"', /must be a list of DOUBLE/],
    ['MAP(VARCHAR, INTEGER)', 'new Map([["a", 1]])', /holds a Map in row 0/],
    ['JSON', '({ a: NaN })', /holds NaN in row 0/],
    ['JSON', '() => 1', /must be a value that has a JSON form/],
    ['FLOAT', '1e300', /out of the range of FLOAT: row 0 is 1e\+300/],
    ['FLOAT[]', 'new Float64Array([1e300])', /out of the range of FLOAT/],
    ['DATE', '1e300', /out of the range of a Date/],
    ['TIMESTAMP', '1e17', /out of the range of a Date/],
    ['STRUCT(a INTEGER)', '({ a: 1.5 })', /at a must be INTEGER, row 0 is 1.5/],
    ['STRUCT(a INTEGER)', `'{"a": 1.5}'`, /at a must be INTEGER, row 0 is 1.5/],
    ['STRUCT(a BIGINT)', `'{"a": 9223372036854775808}'`, /at a is out of the range of BIGINT/],
    [
      'STRUCT(a STRUCT(b FLOAT)[])',
      '({ a: [{ b: 1e300 }] })',
      /at a\.b is out of the range of FLOAT/,
    ],
    ['STRUCT(a INTEGER)', '({ a: "1" })', /at a must be INTEGER, row 0 is "1"/],
    ['STRUCT(a VARCHAR)', '({ a: 1 })', /at a must be a string, row 0 is 1/],
    ['STRUCT(a INTEGER, "b c" INTEGER)', '({ a: 1 })', /must have b c, row 0 has not/],
    ['STRUCT(a INTEGER)', '({ a: 1, A: 2 })', /has no A, row 0 does/],
    ['STRUCT(a INTEGER)', '[1]', /must be an object/],
    ['STRUCT(a INTEGER)', `'{'`, /must be JSON, row 0 is "{"/],
    ['STRUCT(a BLOB)', '({ a: [1, 2] })', /at a must be a Uint8Array/],
    ['MAP(INTEGER, VARCHAR)', '({ 1.5: "x" })', /at 1.5 must be INTEGER/],
    ['MAP(STRUCT(a INTEGER), VARCHAR)', '({ x: "x" })', /has keys of a nested type/],
    ['MAP(VARCHAR, TINYINT[])', '({ x: [300] })', /at x is out of the range of TINYINT/],
    ['UNION(n INTEGER, s VARCHAR)', '({ n: 1, s: "x" })', /must be one of n, s, row 0 is 2/],
    ['UNION(n INTEGER, s VARCHAR)', '({ n: 1.5 })', /at n must be INTEGER/],
    ['INTEGER[][]', '[[1, 2.5]]', /must be INTEGER, row 0 is 2.5/],
    ['DOUBLE[][]', '[new DataView(new ArrayBuffer(8))]', /must be a list of DOUBLE/],
  ])('refuses for %s what is none: %s', async (type, value, said) => {
    const { failure } = await run(
      ids,
      idScan,
      `export function row() { return { x: ${value} }; }`,
      { style: 'row', reads: { id: 'BIGINT' }, columns: { x: type } },
      { x: type },
    );
    expect(failure).toMatchObject({ code: 'E_MAP_RESULT', message: expect.stringMatching(said) });
  });
});
