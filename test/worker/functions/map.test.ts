import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ColumnDef } from '../../../shared/plan.js';
import { Place } from '../attempt/fixture.js';
import { idScan, ids, runMap } from './fixture.js';

let place: Place;
beforeEach(() => {
  place = new Place();
});
afterEach(() => place.close());

const run = (...args: OmitPlace<Parameters<typeof runMap>>) => runMap(place, ...args);
type OmitPlace<Args> = Args extends [Place, ...infer Rest] ? Rest : never;

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

  it('dead-letters rows with text that is none of its type, and tells of them where it may not', async () => {
    const source = `export function row({ id }) {
      return {
        price: id % 2500n === 9n ? 'much' : id % 7n === 0n ? null : String(id) + '.5',
        box: id === 4000n ? { day: 'never' } : { day: '2026-01-01' },
        any: id === 5n ? 'null' : '{"a":1}',
      };
    }`;
    const types = { price: 'DECIMAL(9,1)', box: 'STRUCT("day" DATE)', any: 'STRUCT(a INTEGER)' };
    const options = { style: 'row', reads: { id: 'BIGINT' }, columns: types } as const;
    const sink = { id: 'BIGINT', ...types };
    const failed = await run(ids, idScan, source, options, sink);
    expect(failed.failure).toMatchObject({ code: 'E_MAP_RESULT', at: { step: 'm' } });
    const dropping = { ...options, onError: 'deadLetter' } as const;
    const { failure, records } = await run(ids, idScan, source, dropping, sink);
    expect(failure).toBeUndefined();
    expect(records[0]?.counts).toMatchObject({ rowsOut: 4997, dead: 3 });
    const dead = await place.deadOf(records[0]);
    expect(dead.map(({ row, code, message }) => [row, code, message])).toEqual([
      [9n, 'E_MAP_RESULT', 'returned column price is not DECIMAL(9,1): much'],
      [2509n, 'E_MAP_RESULT', 'returned column price is not DECIMAL(9,1): much'],
      [4000n, 'E_MAP_RESULT', expect.stringMatching(/^returned column box is not STRUCT.*never/)],
    ]);
    const same = `bool_and(price is not distinct from case when id % 7 = 0 then null else id + 0.5 end and box.day = date '2026-01-01' and ("any" is null) = (id = 5))`;
    expect(await place.rowsOf(records, `${same} as same`)).toEqual([{ same: true }]);
  });

  it('drops any number of rows with text that is no JSON, and few whose nested values are refused', async () => {
    const odd = (type: string, value: string) =>
      run(
        ids,
        idScan,
        `export function row({ id }) { return { x: ${value} }; }`,
        { style: 'row', reads: { id: 'BIGINT' }, columns: { x: type }, onError: 'deadLetter' },
        { id: 'BIGINT', x: type },
      );
    const all = await odd('JSON', `'{' + id`);
    expect(all.failure).toBeUndefined();
    expect(all.records[0]?.counts).toMatchObject({ rowsOut: 0, dead: 5000 });
    const many = await odd('STRUCT("day" DATE)', `{ day: id % 10n ? '2026-01-01' : 'never' }`);
    expect(many.failure).toMatchObject({ code: 'E_MAP_RESULT', at: { step: 'm', column: 'x' } });
  });

  it('keeps the order of a MAP that is returned as text, and leaves out what is undefined', async () => {
    const source = `export function row() {
      return { x: '{"b":0,"2":1,"1":2}', y: '{"j":{"b":"2:","2":1},"7":[1]}', z: { a: 1, b: undefined } };
    }`;
    const types = {
      x: 'MAP(VARCHAR, INTEGER)',
      y: 'STRUCT(j JSON, "7" INTEGER[])',
      z: 'STRUCT(a INTEGER)',
    };
    const { failure, records } = await run(
      ids,
      idScan,
      source,
      { style: 'row', reads: { id: 'BIGINT' }, columns: types },
      types,
    );
    expect(failure).toBeUndefined();
    const rows = await place.rowsOf(
      records,
      `distinct map_keys(x)::varchar as x, y.j::varchar as j, y."7"[1] as seven, z.a as a`,
    );
    expect(rows).toEqual([{ x: '[b, 2, 1]', j: '{"b":"2:","2":1}', seven: 1, a: 1 }]);
  });

  it.each([
    ['a getter', `return { get x() { throw new Error('odd') } }`, /^the function threw: odd/],
    ['a getter further in', `return { x: { get a() { throw new Error('odd') } } }`, /read: odd/],
    ['a proxy', `return new Proxy({}, { has() { throw new Error('odd') } })`, /threw: odd/],
    ['what cannot be listed', `return { x: new Proxy({}, { ownKeys() { throw 1 } }) }`, /read: 1$/],
    ['what cannot be shown', `return { x: [{ __proto__: null }] }`, /at a|must be an object/],
    ['null', `throw null`, /threw: null$/],
    ['a symbol', `throw Symbol('odd')`, /threw: Symbol\(odd\)$/],
    ['a bare object', `throw { __proto__: null }`, /threw: a value that cannot be shown$/],
    [
      'an error without words',
      `throw Object.defineProperty(new Error(), 'message', { get() { throw 1 } })`,
      /shown/,
    ],
    [
      'an error without a stack',
      `throw Object.defineProperty(new Error('odd'), 'stack', { get() { throw 1 } })`,
      /threw: odd$/,
    ],
    [
      'a revoked proxy',
      `const { proxy, revoke } = Proxy.revocable({}, {}); revoke(); throw proxy`,
      /shown/,
    ],
  ])('dead-letters a row that gives %s', async (_what, odd, message) => {
    const source = `export function row(row) { if (row.id === 7n) { ${odd} } return { x: { a: 1 } }; }`;
    const options = {
      style: 'row',
      reads: { id: 'BIGINT' },
      columns: { x: 'STRUCT(a INTEGER)' },
    } as const;
    const out = { id: 'BIGINT', x: 'STRUCT(a INTEGER)' };
    const failed = await run(ids, idScan, source, options, out);
    expect(failed.failure).toMatchObject({ kind: 'userCode', at: { step: 'm' } });
    expect(failed.failure?.message).toMatch(message);
    const { failure, records } = await run(
      ids,
      idScan,
      source,
      { ...options, onError: 'deadLetter' },
      out,
    );
    expect(failure).toBeUndefined();
    expect(records[0]?.counts).toMatchObject({ rowsOut: 4999, dead: 1 });
    expect((await place.deadOf(records[0])).map(({ row }) => row)).toEqual([7n]);
  });

  it('reads a batch whose columns throw', async () => {
    const source = `export function batch(batch) {
      if (batch.numRows < 5000) return { x: new Array(batch.numRows).fill(1) };
      return { x: Object.defineProperty(new Array(5000).fill(1), 3, { get() { throw new Error('odd') } }) };
    }`;
    const options = { reads: { id: 'BIGINT' }, columns: { x: 'INTEGER' } };
    const failed = await run(ids, idScan, source, options, { x: 'INTEGER' });
    expect(failed.failure).toMatchObject({ code: 'E_MAP_THREW', at: { step: 'm' } });
    const more = { ...options, onError: 'deadLetter' } as const;
    const { records } = await run(ids, idScan, source, more, { x: 'INTEGER' });
    expect(records[0]?.counts).toMatchObject({ rowsOut: 5000, dead: 0 });
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
