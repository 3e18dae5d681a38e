import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ChunkFile, ProgramStep } from '../../../shared/plan.js';
import { Place, programOf } from './fixture.js';

let place: Place;
beforeEach(() => {
  place = new Place();
});
afterEach(() => place.close());

const numbers = `select i::bigint as id, (i % 100)::double as amount, 'n' || i as name from range(5000) t(i)`;
const scan = { id: 'BIGINT', amount: 'DOUBLE', name: 'VARCHAR' };
const filter = (id: string, where: string): ProgramStep => ({ kind: 'filter', id, where });

describe('an attempt', () => {
  it('copies the rows of each chunk in order, larger than one vector', async () => {
    const path = await place.parquet('a.parquet', numbers, ', row_group_size 2500');
    const { failure, records } = await place.run(
      programOf(scan, [], scan),
      await place.worksOf(path),
    );
    expect(failure).toBeUndefined();
    expect(records.map(({ counts }) => counts.rowsOut)).toEqual(await rowGroupRows(path));
    const rows = await place.rowsOf(records, 'id');
    expect(rows.map(({ id }) => id)).toEqual(Array.from({ length: 5000 }, (_, id) => BigInt(id)));
    expect(place.leftFiles().every((name) => name.endsWith('.chunk'))).toBe(true);
  });

  it('counts each row at the filter that drops it, in the order of the steps', async () => {
    // Read through a link, from a directory that has nothing else to be read.
    const path = place.link('elsewhere/a.parquet', await place.parquet('a.parquet', numbers));
    const program = programOf(
      scan,
      [
        filter('f1', 'amount >= 50'),
        {
          kind: 'select',
          id: 's',
          columns: [
            { name: 'id', expr: 'id' },
            { name: 'half', expr: 'amount / 2' },
          ],
        },
        filter('f2', 'half < 45'),
        filter('f3', 'case when id % 2 = 0 then null else true end'),
      ],
      { id: 'BIGINT', half: 'DOUBLE' },
    );
    const { failure, records } = await place.run(program, await place.worksOf(path));
    expect(failure).toBeUndefined();
    expect(records[0]?.counts).toEqual({
      rowsIn: 5000,
      rowsOut: 1000,
      filtered: 4000,
      dead: 0,
      inferred: 0,
      warnings: {},
    });
    const [check] = await place.rowsOf(
      records,
      'min(half) as low, max(half) as high, bool_and(id % 2 = 1) as odd',
    );
    expect(check).toEqual({ low: 25.5, high: 44.5, odd: true });
  });

  it('never evaluates a later condition on a row that an earlier one dropped', async () => {
    const path = await place.parquet(
      'a.parquet',
      `select case when i % 2 = 0 then 'x' else i::varchar end as v from range(1000) t(i)`,
    );
    const program = programOf(
      { v: 'VARCHAR' },
      [
        filter('a', `v <> 'x'`),
        { kind: 'select', id: 's', columns: [{ name: 'v', expr: 'v' }] },
        filter('b', 'v::int > 500'),
      ],
      { v: 'VARCHAR' },
    );
    const { failure, records } = await place.run(program, await place.worksOf(path));
    expect(failure).toBeUndefined();
    expect(records[0]?.counts).toMatchObject({ rowsOut: 250, filtered: 750 });
  });

  it('writes an empty file with the schema where no row is left', async () => {
    const path = await place.parquet('a.parquet', numbers);
    const { failure, records } = await place.run(
      programOf(scan, [filter('none', 'false')], { id: 'BIGINT' }),
      await place.worksOf(path),
    );
    expect(failure).toBeUndefined();
    expect(records[0]?.counts).toMatchObject({ rowsIn: 5000, rowsOut: 0, filtered: 5000 });
    expect(records[0]?.files[0]?.rows).toBe(0);
    expect(await place.rowsOf(records)).toEqual([]);
  });

  it('keeps rows for which the condition is constantly true, and drops all where it is NULL', async () => {
    const path = await place.parquet('a.parquet', numbers);
    const works = await place.worksOf(path);
    const all = await place.run(programOf(scan, [filter('all', 'true')], scan), works);
    expect(all.records[0]?.counts).toMatchObject({ rowsOut: 5000, filtered: 0 });
    const none = await place.run(programOf(scan, [filter('none', 'null')], scan), works);
    expect(none.records[0]?.counts).toMatchObject({ rowsOut: 0, filtered: 5000 });
  });

  it('fails an expectation naming step, check, file and row', async () => {
    const path = await place.parquet('a.parquet', numbers);
    const program = programOf(scan, [expectStep('fail')], scan);
    const { failure, records } = await place.run(program, await place.worksOf(path));
    expect(records).toEqual([]);
    expect(failure).toMatchObject({
      kind: 'badData',
      code: 'E_EXPECT_FAILED',
      at: { step: 'sane', file: path, rowGroup: 0, row: 77 },
    });
    expect(failure?.message).toContain('small');
    expect(place.leftFiles()).toEqual([]);
  });

  it('counts failed checks that only warn, and keeps their rows', async () => {
    const path = await place.parquet('a.parquet', numbers);
    const { failure, records } = await place.run(
      programOf(scan, [expectStep('warn')], scan),
      await place.worksOf(path),
    );
    expect(failure).toBeUndefined();
    expect(records[0]?.counts).toMatchObject({
      rowsOut: 5000,
      dead: 0,
      warnings: { 'sane.small': 50 },
    });
  });

  it('puts rows that fail a check into the dead-letter file, as they were at that step', async () => {
    const path = await place.parquet('a.parquet', numbers);
    const program = programOf(
      scan,
      [
        filter('f', 'id < 200'),
        {
          kind: 'select',
          id: 's',
          columns: [
            { name: 'id', expr: 'id' },
            { name: 'amount', expr: 'amount' },
            { name: 'tag', expr: `'t' || id` },
          ],
        },
        expectStep('deadLetter'),
      ],
      { id: 'BIGINT', tag: 'VARCHAR' },
    );
    const { failure, records } = await place.run(program, await place.worksOf(path));
    expect(failure).toBeUndefined();
    expect(records[0]?.counts).toMatchObject({
      rowsIn: 5000,
      rowsOut: 198,
      filtered: 4800,
      dead: 2,
    });
    const dead = await place.deadOf(records[0]);
    expect(dead).toHaveLength(2);
    expect(dead[1]).toMatchObject({
      source_file: path,
      row_group: 0,
      row: 177n,
      step: 'sane',
      code: 'E_EXPECT_FAILED',
    });
    expect(JSON.parse(String(dead[1]?.row_json))).toEqual({ id: 177, amount: 77, tag: 't177' });
  });

  it('tells the rows of chunks that it drops as bad, too', async () => {
    const checks = [{ name: 'low', predicate: 'id <> 4321', action: 'deadLetter' as const }];
    const expectLast: ProgramStep = { kind: 'expect', id: 'sane', checks };
    const path = await place.parquet('a.parquet', numbers);
    const first = await place.run(programOf(scan, [], scan), await place.worksOf(path));
    const inputs = first.records.flatMap(({ files }) => files);
    const last = programOf(scan, [expectLast], scan);
    const over = { ...last, scan: { ...last.scan, kind: 'chunks' as const } };
    const work = { chunk: 0, identity: 'd'.repeat(64), inputs, poisonRows: [] };
    const { failure, records } = await place.run(over, [work]);
    expect(failure).toBeUndefined();
    const dead = await place.deadOf(records[0]);
    // The number of a row among chunks says nothing of the user's file.
    expect(dead.map(({ row, step }) => [row, step])).toEqual([[null, 'sane']]);
    expect(JSON.parse(String(dead[0]?.row_json))).toMatchObject({ id: 4321, name: 'n4321' });
  });

  it('dead-letters poison rows unseen', async () => {
    const path = await place.parquet('a.parquet', numbers);
    const works = (await place.worksOf(path)).map((work) => ({ ...work, poisonRows: [3, 4711] }));
    const { failure, records } = await place.run(
      programOf(scan, [filter('f', 'id <> 5')], scan),
      works,
    );
    expect(failure).toBeUndefined();
    expect(records[0]?.counts).toMatchObject({ rowsIn: 5000, rowsOut: 4997, filtered: 1, dead: 2 });
    const dead = await place.deadOf(records[0]);
    expect(dead.map(({ row, code }) => [row, code])).toEqual([
      [3n, 'E_POISON_ROW'],
      [4711n, 'E_POISON_ROW'],
    ]);
    expect(JSON.parse(String(dead[0]?.row_json))).toMatchObject({ id: 3, name: 'n3' });
  });

  it('runs a query step, with and without row numbers to keep', async () => {
    const path = await place.parquet('a.parquet', numbers);
    const sql: ProgramStep = {
      kind: 'sql',
      id: 'q',
      input: 'orders',
      query: `with w as (select * from orders) select *, id + 9007199254740993 as big from w -- end`,
    };
    const plain = await place.run(
      programOf(scan, [sql], { big: 'BIGINT' }),
      await place.worksOf(path),
    );
    expect(plain.failure).toBeUndefined();
    const kept = await place.run(
      programOf(scan, [sql, expectStep('deadLetter')], { big: 'BIGINT' }),
      await place.worksOf(path),
    );
    expect(kept.failure).toBeUndefined();
    const dead = await place.deadOf(kept.records[0]);
    expect(dead[0]).toMatchObject({ row: 77n });
    expect(String(dead[0]?.row_json)).toContain('9007199254741070');
  });

  it('reads hive values as typed constants and missing columns as NULL', async () => {
    const path = await place.parquet(`day=2026-01-01/it's [1].parquet`, numbers);
    const works = await place.worksOf(path, {
      hive: { day: '2026-01-01', zone: null },
      missingColumns: ['gone'],
    });
    const program = programOf(
      { id: 'BIGINT', gone: 'INTEGER' },
      [],
      { day: 'DATE', zone: 'VARCHAR', gone: 'INTEGER', id: 'BIGINT' },
      { hive: { day: 'DATE', zone: 'VARCHAR' } },
    );
    const { failure, records } = await place.run(program, works);
    expect(failure).toBeUndefined();
    const [row] = await place.rowsOf(records, '*, typeof(day) as t');
    expect(row).toMatchObject({ t: 'DATE', zone: null, gone: null, id: 0n });
  });

  it('takes column names with quotes', async () => {
    const path = await place.parquet('a.parquet', `select 1 as "a ""b"" 'c'"`);
    const name = `a "b" 'c'`;
    const program = programOf({ [name]: 'INTEGER' }, [filter('f', `"a ""b"" 'c'" = 1`)], {
      [name]: 'INTEGER',
    });
    const { failure, records } = await place.run(program, await place.worksOf(path));
    expect(failure).toBeUndefined();
    expect(await place.rowsOf(records)).toEqual([{ [name]: 1 }]);
  });

  it('writes one file for each combination of partition values', async () => {
    const path = await place.parquet(
      'a.parquet',
      `select i as id, case i % 3 when 0 then 'a b/c%' when 1 then null else 'é' end as country from range(9000) t(i)`,
    );
    const program = programOf(
      { id: 'BIGINT', country: 'VARCHAR' },
      [],
      { id: 'BIGINT', country: 'VARCHAR' },
      { partitionBy: ['country'] },
    );
    const { failure, records } = await place.run(program, await place.worksOf(path));
    expect(failure).toBeUndefined();
    expect(records[0]?.counts.rowsOut).toBe(9000);
    const found = records[0]?.files.map(({ partition, rows }) => [
      partition[0]?.column,
      partition[0]?.value,
      rows,
    ]);
    expect(found).toHaveLength(3);
    expect(found).toEqual(
      expect.arrayContaining([
        ['country', 'a b/c%', 3000],
        ['country', null, 3000],
        ['country', 'é', 3000],
      ]),
    );
    expect(place.leftFiles()).toHaveLength(3);
  });

  it.each([
    [
      'the text of NULL',
      `'__HIVE_DEFAULT_PARTITION__'`,
      /__HIVE_DEFAULT_PARTITION__ is what stands/,
    ],
    ['a name of 256 bytes', `repeat('x', 248)`, /'x{80}…' is too long .* have 256 bytes of 255/],
    ['one that is long when it is encoded', `repeat('é', 42)`, /have 260 bytes of 255/],
  ])('refuses a partition of %s', async (_what, value, said) => {
    const path = await place.parquet(
      'a.parquet',
      `select i as id, case i when 2777 then ${value} when 3 then null else repeat('x', 247) end as country from range(9000) t(i)`,
    );
    const columns = { id: 'BIGINT', country: 'VARCHAR' };
    const program = programOf(columns, [], columns, { partitionBy: ['country'] });
    const refused = (await place.run(program, await place.worksOf(path))).failure;
    const at = { file: path, column: 'country' };
    expect(refused).toMatchObject({ kind: 'badData', code: 'E_HIVE_VALUE', at });
    expect(refused?.message).toMatch(said);
    expect(place.leftFiles()).toEqual([]);
    const good = programOf(columns, [filter('f', 'id <> 2777')], columns, {
      partitionBy: ['country'],
    });
    const { failure, records } = await place.run(good, await place.worksOf(path));
    expect(failure).toBeUndefined();
    expect(records[0]?.files.map(({ rows }) => rows).sort()).toEqual([1, 8998]);
  });

  it('refuses a partition of a number below a column whose name is too long', async () => {
    const [name, long] = ['n'.repeat(252), 'n'.repeat(253)];
    const path = await place.parquet('a.parquet', `select 1 as x, 12 as ${name}, 12 as ${long}`);
    for (const [column, code] of [
      [name, undefined],
      [long, 'E_HIVE_VALUE'],
    ] as const) {
      const columns = { x: 'INTEGER', [column]: 'INTEGER' };
      const program = programOf(columns, [], columns, { partitionBy: [column] });
      const { failure } = await place.run(program, await place.worksOf(path));
      expect(failure?.code).toBe(code);
    }
  });

  it('rewrites finished chunks in order', async () => {
    const path = await place.parquet('a.parquet', numbers, ', row_group_size 2048');
    const first = await place.run(programOf(scan, [], scan), await place.worksOf(path));
    const inputs = first.records.flatMap(({ files }) => files);
    const program = {
      ...programOf(scan, [], scan),
      scan: { kind: 'chunks' as const, columns: programOf(scan, [], scan).scan.columns, hive: [] },
    };
    const { failure, records } = await place.run(program, [
      { chunk: 0, identity: 'f'.repeat(64), inputs, poisonRows: [] },
    ]);
    expect(failure).toBeUndefined();
    expect(records[0]?.counts).toMatchObject({ rowsIn: 5000, rowsOut: 5000 });
    const rows = await place.rowsOf(records, 'id');
    expect(rows.every(({ id }, index) => id === BigInt(index))).toBe(true);
  });

  it('rewrites a chunk into files of about the size that is wanted, in order', async () => {
    const path = await place.parquet(
      'a.parquet',
      'select i as id, hash(i) as h from range(40960) t(i)',
    );
    const columns = { id: 'BIGINT', h: 'UBIGINT' };
    const first = await place.run(programOf(columns, [], columns), await place.worksOf(path));
    const inputs = first.records.flatMap(({ files }) => files);
    const plain = programOf(columns, [], columns);
    const rewritten = async (fileBytes: number, identity: string): Promise<ChunkFile[]> => {
      const sink = { ...plain.sink, fileBytes };
      const program = { ...plain, scan: { ...plain.scan, kind: 'chunks' as const }, sink };
      const work = { chunk: 0, identity: identity.repeat(64), inputs, poisonRows: [] };
      const { failure, records } = await place.run(program, [work]);
      expect(failure).toBeUndefined();
      const rows = await place.rowsOf(records, 'id');
      expect(rows.every(({ id }, index) => id === BigInt(index))).toBe(true);
      return [...records[0]!.files];
    };
    // A dozen files: their order is that of their numbers, not of their names as text.
    const many = await rewritten(inputs[0]!.bytes / 12, 'a');
    expect(many.map(({ rows }) => rows)).toEqual([...Array<number>(10).fill(4096)]);
    expect(await rewritten(inputs[0]!.bytes / 20, 'b')).toHaveLength(20);
    expect(await rewritten(inputs[0]!.bytes * 2, 'c')).toHaveLength(1);
  });

  it('reports empty chunks of the scheduler measurement with zero counts', async () => {
    const program = {
      ...programOf({}, [], {}),
      scan: { kind: 'empty' as const, columns: [], hive: [] },
    };
    const { failure, records } = await place.run(program, [
      { chunk: 0, identity: 'e'.repeat(64), inputs: [], poisonRows: [] },
    ]);
    expect(failure).toBeUndefined();
    expect(records).toEqual([
      {
        identity: 'e'.repeat(64),
        files: [],
        counts: { rowsIn: 0, rowsOut: 0, filtered: 0, dead: 0, inferred: 0, warnings: {} },
      },
    ]);
  });

  it('reports chunks in order, with checksums of what lies there', async () => {
    const path = await place.parquet('a.parquet', numbers, ', row_group_size 2048');
    const { messages } = await place.run(programOf(scan, [], scan), await place.worksOf(path));
    const chunks = messages.flatMap((message) => (message.type === 'chunk' ? [message.chunk] : []));
    expect(chunks).toEqual([...chunks].sort((a, b) => a - b));
    expect(chunks.length).toBeGreaterThan(1);
  });

  it('writes nothing when probing, but evaluates everything', async () => {
    const path = await place.parquet('a.parquet', numbers);
    const works = await place.worksOf(path);
    const good = await place.run(programOf(scan, [], scan), works, { probe: true });
    expect(good).toMatchObject({ failure: undefined, records: [] });
    const select: ProgramStep = {
      kind: 'select',
      id: 's',
      columns: [{ name: 'id', expr: `(name || 'x')::int` }],
    };
    const bad = await place.run(programOf(scan, [select], { id: 'BIGINT' }), works, {
      probe: true,
    });
    expect(bad.failure?.code).toBe('E_SQL_RUNTIME');
    expect(place.leftFiles()).toEqual([]);
  });

  function expectStep(action: 'fail' | 'warn' | 'deadLetter'): ProgramStep {
    return {
      kind: 'expect',
      id: 'sane',
      checks: [{ name: 'small', predicate: 'amount <> 77', action }],
    };
  }
  async function rowGroupRows(path: string): Promise<number[]> {
    return (await place.worksOf(path)).map(({ source }) => source!.rowEnd - source!.rowStart);
  }
});
