import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sha256Hex } from '../../../shared/chunk-identity.js';
import type { ColumnDef, MapStep, ProgramStep } from '../../../shared/plan.js';
import { columns, Place, programOf } from '../attempt/fixture.js';

let place: Place;
beforeEach(() => {
  place = new Place();
});
afterEach(() => place.close());

interface MapOptions {
  readonly reads: Record<string, string>;
  readonly columns: Record<string, string>;
  readonly style?: 'batch' | 'row';
  readonly rowwise?: boolean;
  readonly onError?: 'fail' | 'deadLetter';
  readonly export?: string;
}

function mapStep(
  source: string,
  options: MapOptions,
): { step: MapStep; blobs: Record<string, string> } {
  const digest = sha256Hex(source);
  const step: MapStep = {
    kind: 'map',
    id: 'm',
    bundle: { digest, bytes: source.length, name: 'bundle.mjs' },
    export: options.export ?? options.style ?? 'batch',
    style: options.style ?? 'batch',
    rowwise: options.rowwise ?? true,
    reads: columns(options.reads),
    columns: columns(options.columns),
    onError: options.onError ?? 'fail',
  };
  return { step, blobs: { [digest]: place.file(digest, source) } };
}

async function run(
  query: string,
  scan: Record<string, string>,
  source: string,
  options: MapOptions,
  sink: Record<string, string>,
  more: { before?: ProgramStep[]; after?: ProgramStep[]; rowwise?: boolean } = {},
) {
  const path = await place.parquet('a.parquet', query);
  const { step, blobs } = mapStep(source, options);
  const steps = [...(more.before ?? []), step, ...(more.after ?? [])];
  const program = programOf(scan, steps, sink, {
    rowwise: more.rowwise ?? options.rowwise ?? true,
  });
  return { path, ...(await place.run(program, await place.worksOf(path), { blobs })) };
}

const ids = 'select i as id, i::varchar as name from range(5000) t(i)';
const idScan = { id: 'BIGINT', name: 'VARCHAR' };

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

describe('a map function', () => {
  // The bundle lies in a directory of the system's own, far from any package.
  it('shares the classes of Arrow with the worker', async () => {
    const source = `import { RecordBatch, Table, Utf8, vectorFromArray } from 'apache-arrow';
      export function batch(batch) {
        if (!(batch instanceof RecordBatch)) throw new Error('of another Arrow');
        const ids = batch.getChild('id').toArray();
        return new Table({ text: vectorFromArray(Array.from(ids, (id) => 'n' + id), new Utf8()) });
      }`;
    const reads = { id: 'BIGINT' };
    const made = { text: 'VARCHAR' };
    const { failure, records } = await run(ids, idScan, source, { reads, columns: made }, made);
    expect(failure).toBeUndefined();
    expect(records[0]?.counts.rowsOut).toBe(5000);
  });

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

  it('adds and replaces columns while the others stay, and later steps see them', async () => {
    const source = `export async function batch(batch) {
      const id = batch.getChild('id');
      return { twice: Float64Array.from(id, (v) => Number(v) * 2), name: Array.from(id, (v) => v % 2n ? null : 'even ' + v) };
    }`;
    const { failure, records } = await run(
      ids,
      idScan,
      source,
      { reads: { id: 'BIGINT' }, columns: { twice: 'DOUBLE', name: 'VARCHAR' } },
      { id: 'BIGINT', twice: 'DOUBLE', name: 'VARCHAR' },
      {
        before: [{ kind: 'filter', id: 'f1', where: 'id >= 1000' }],
        after: [
          { kind: 'filter', id: 'f2', where: 'twice < 4000' },
          {
            kind: 'select',
            id: 's',
            columns: ['id', 'twice', 'name'].map((name) => ({ name, expr: name })),
          },
        ],
      },
    );
    expect(failure).toBeUndefined();
    expect(records[0]?.counts).toMatchObject({ rowsIn: 5000, rowsOut: 1000, filtered: 4000 });
    expect(
      await place.rowsOf(
        records,
        `bool_and(twice = 2 * id) as a, count(name) as n, min(id) as low, any_value(name) filter (id = 1002) as name`,
      ),
    ).toEqual([{ a: true, n: 500n, low: 1000n, name: 'even 1002' }]);
  });

  it('may return other rows where it is not rowwise', async () => {
    const source = `export function batch(batch) { return { n: [batch.numRows, 0], s: ['a\\u001fb', '\\u001e'] }; }`;
    const { failure, records } = await run(
      ids,
      idScan,
      source,
      { reads: { id: 'BIGINT' }, columns: { n: 'INTEGER', s: 'VARCHAR' }, rowwise: false },
      { n: 'INTEGER', s: 'VARCHAR' },
    );
    expect(failure).toBeUndefined();
    expect(await place.rowsOf(records)).toEqual([
      { n: 5000, s: 'a\u001fb' },
      { n: 0, s: '\u001e' },
    ]);
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

  it.each([
    ['INTEGER[]', '[1.5]', /must be INTEGER, row 0 is 1.5/],
    ['INTEGER[]', '[2 ** 31]', /out of the range of INTEGER/],
    ['DOUBLE[]', '"[1]"', /must be a list of DOUBLE/],
    ['MAP(VARCHAR, INTEGER)', 'new Map([["a", 1]])', /holds a Map, .* in row 0/],
    ['STRUCT(a DOUBLE)', '({ a: NaN })', /holds NaN, .* in row 0/],
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

  it('says where the user code threw: step, file, row and line', async () => {
    const source = `export function row(row) {\n  if (row.id === 4321n) throw new Error('boom');\n  return { x: 1 };\n}`;
    const { failure, path } = await run(
      ids,
      idScan,
      source,
      { style: 'row', reads: { id: 'BIGINT' }, columns: { x: 'INTEGER' } },
      { x: 'INTEGER' },
    );
    expect(failure).toMatchObject({
      kind: 'userCode',
      code: 'E_MAP_THREW',
      at: { step: 'm', file: path, row: 4321 },
    });
    expect(failure?.message).toMatch(/boom.*:2:/);
  });

  it('finds the bad rows of a batch and dead-letters them alone', async () => {
    const source = `export function batch(batch) {
      for (const id of batch.getChild('id')) if (id % 2000n === 77n) throw new Error('bad ' + id);
      return { x: Array.from(batch.getChild('id'), Number) };
    }`;
    const { failure, records } = await run(
      ids,
      idScan,
      source,
      { reads: { id: 'BIGINT' }, columns: { x: 'BIGINT' }, onError: 'deadLetter' },
      { id: 'BIGINT', x: 'BIGINT' },
    );
    expect(failure).toBeUndefined();
    expect(records[0]?.counts).toMatchObject({ rowsOut: 4997, dead: 3 });
    expect(await place.rowsOf(records, 'bool_and(id = x) as same')).toEqual([{ same: true }]);
    const dead = await place.deadOf(records[0]);
    expect(dead.map(({ row, code }) => [row, code])).toEqual(
      [77n, 2077n, 4077n].map((row) => [row, 'E_MAP_THREW']),
    );
    expect(JSON.parse(String(dead[1]?.row_json))).toEqual({ id: 2077, name: '2077' });
  });

  const wrong: [string, string, ColumnDef, RegExp][] = [
    ['a missing column', '{ }', { name: 'x', type: 'INTEGER' }, /x is missing/],
    ['too few rows', '{ x: [1] }', { name: 'x', type: 'INTEGER' }, /1 rows, expected 5000/],
    [
      'a string for a number',
      `{ x: Array(batch.numRows).fill('1') }`,
      { name: 'x', type: 'INTEGER' },
      /must be INTEGER.*"1"/,
    ],
    [
      'a number out of range',
      `{ x: Array(batch.numRows).fill(300) }`,
      { name: 'x', type: 'TINYINT' },
      /out of the range of TINYINT/,
    ],
    [
      'a fraction for an integer',
      `{ x: Array(batch.numRows).fill(1.5) }`,
      { name: 'x', type: 'BIGINT' },
      /must be BIGINT/,
    ],
    [
      'text that is no decimal',
      `{ x: Array(batch.numRows).fill('abc') }`,
      { name: 'x', type: 'DECIMAL(9,2)' },
      /is not DECIMAL/,
    ],
    ['no object', '7', { name: 'x', type: 'INTEGER' }, /must be in a RecordBatch/],
  ];
  it.each(wrong)(
    'refuses %s, naming step and column',
    async (_what, expression, column, message) => {
      const source = `export const batch = (batch) => (${expression});`;
      const { failure } = await run(
        ids,
        idScan,
        source,
        { reads: { id: 'BIGINT' }, columns: { [column.name]: column.type } },
        { x: column.type },
      );
      expect(failure).toMatchObject({
        kind: 'userCode',
        code: 'E_MAP_RESULT',
        at: { step: 'm', column: 'x' },
      });
      expect(failure?.message).toMatch(message);
    },
  );

  it('says when the export is missing', async () => {
    const options = { reads: { id: 'BIGINT' }, columns: { x: 'INTEGER' }, export: 'nothing' };
    const { failure } = await run(ids, idScan, 'export const other = 1;', options, {
      x: 'INTEGER',
    });
    expect(failure).toMatchObject({ kind: 'userCode', code: 'E_MAP_EXPORT', at: { step: 'm' } });
  });

  it('reports a call of process.exit, even one whose error was caught', async () => {
    const source = `export function batch() { try { process.exit(3); } catch {} return { x: [] }; }`;
    const { failure } = await run(
      ids,
      idScan,
      source,
      { reads: { id: 'BIGINT' }, columns: { x: 'INTEGER' } },
      { x: 'INTEGER' },
    );
    expect(failure).toMatchObject({ kind: 'userCode', code: 'E_MAP_EXIT' });
  });

  it('works on no rows at all', async () => {
    const source = `export function batch(batch) { return { x: Array.from(batch.getChild('name'), String) }; }`;
    const { failure, records } = await run(
      ids,
      idScan,
      source,
      { reads: { name: 'VARCHAR' }, columns: { x: 'VARCHAR' } },
      { x: 'VARCHAR' },
      { before: [{ kind: 'filter', id: 'f', where: 'false' }] },
    );
    expect(failure).toBeUndefined();
    expect(records[0]?.counts).toMatchObject({ rowsOut: 0, filtered: 5000 });
  });
});
