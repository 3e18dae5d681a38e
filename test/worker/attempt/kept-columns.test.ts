import { readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parquetWriteFile } from 'hyparquet-writer';
import { globSync } from 'tinyglobby';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readPageExtents, readWholeFooter } from '../../../shared/parquet-footer.js';
import type { ProgramStep, SinkProgram, StageProgram } from '../../../shared/plan.js';
import { ColumnKeeper } from '../../../worker/attempt/kept-columns.js';
import { joinKept } from '../../../worker/attempt/kept-pages.js';
import type { ChunkWork } from '../../../worker/attempt/protocol.js';
import { decodeFooter } from '../../../worker/attempt/raw-footer.js';
import { copyStatement } from '../../../worker/attempt/statement.js';
import { Kernel } from '../../../worker/kernel/duckdb.js';
import { readIndependently } from '../../interop/independent-reader.js';
import type { ExpectedRows } from '../../interop/rows.js';
import { Place, programOf } from './fixture.js';

let place: Place;
beforeEach(() => {
  place = new Place();
});
afterEach(() => place.close());

/** Without dictionaries, which DuckDB makes of few values unless it is told not to. */
const foreign = ', row_group_size 40960, dictionary_size_limit 1';
const many = `select
    i as id, hash(i)::double as d, (i * 7 % 1000)::float as f, 'text ' || i as t,
    case when i % 3 = 0 then null else 'n' || (i % 5) end as n, i % 2 = 0 as b,
    date '2026-01-01' + (i % 900)::integer as day, timestamp '1969-12-31 23:59:59' + to_microseconds(i) as at,
    (timestamp '2026-01-01' + to_microseconds(i))::timestamptz as tz, time '00:00:00' + to_microseconds(i) as tm,
    (i / 100)::decimal(18, 2) as c, i::decimal(30, 3) as e, uuid_from(i) as u, ('b' || i)::blob as o,
    (i % 200)::utinyint as ub, i::ubigint as ul, case when i % 4 = 0 then null else [i, null, i + 1] end as l,
    {'x': i, 'y': ['p' || i]} as s, map {'k' || (i % 9): i} as m
  from range(100000) t(i)`;
const types = {
  id: 'BIGINT',
  d: 'DOUBLE',
  f: 'FLOAT',
  t: 'VARCHAR',
  n: 'VARCHAR',
  b: 'BOOLEAN',
  day: 'DATE',
  at: 'TIMESTAMP',
  tz: 'TIMESTAMP WITH TIME ZONE',
  tm: 'TIME',
  c: 'DECIMAL(18,2)',
  e: 'DECIMAL(30,3)',
  u: 'UUID',
  o: 'BLOB',
  ub: 'UTINYINT',
  ul: 'UBIGINT',
  l: 'BIGINT[]',
  s: 'STRUCT(x BIGINT, y VARCHAR[])',
  m: 'MAP(VARCHAR, BIGINT)',
};

async function source(query = many, options = foreign): Promise<string> {
  await place.sql(
    `create or replace macro uuid_from(i) as ('00000000-0000-4000-8000-' || lpad(i::varchar, 12, '0'))::uuid`,
  );
  const path = await place.parquet('in.parquet', query, options);
  expect(statSync(path).size).toBeGreaterThan(2 ** 20);
  return path;
}

/** All columns by their names, and `more`. */
function selecting(
  definition: Record<string, string>,
  more: Record<string, string> = { twice: 'id * 2' },
): ProgramStep {
  const kept = Object.keys(definition).map((name) => ({ name, expr: `"${name}"` }));
  const computed = Object.entries(more).map(([name, expr]) => ({ name, expr }));
  return { kind: 'select', id: 'picked', columns: [...kept, ...computed] };
}

/** Columns of a chunk's file whose pages are those of the source's first row group. */
async function keptIn(
  path: string,
  from: string,
  names: Readonly<Record<string, string>> = {},
): Promise<string[]> {
  const [chunk, source] = [await pagesByColumn(path), await pagesByColumn(from)];
  return [...chunk.keys()].filter((name) => {
    const pages = source.get(names[name] ?? name);
    return pages !== undefined && chunk.get(name)!.equals(pages);
  });
}

async function pagesByColumn(path: string): Promise<Map<string, Buffer>> {
  const bytes = readFileSync(path);
  const columns = new Map<string, Buffer>();
  for (const { rowGroup, column, start, end } of await readPageExtents(path)) {
    if (rowGroup > 0) continue;
    const pages = bytes.subarray(start, end);
    columns.set(column, Buffer.concat([columns.get(column) ?? Buffer.alloc(0), pages]));
  }
  return columns;
}

describe('kept columns', () => {
  it('have the rows of the source, of every type, beside what was computed', async () => {
    const path = await source();
    const program = programOf(types, [selecting(types)], { ...types, twice: 'BIGINT' });
    const { failure, records } = await place.run(program, await place.worksOf(path));
    expect(failure).toBeUndefined();
    expect(records.map(({ counts }) => counts.rowsOut)).toEqual([40960, 40960, 18080]);
    expect(await keptIn(records[0]!.files[0]!.path, path)).toEqual(Object.keys(types));
    for (const { files } of records) {
      expect(statSync(files[0]!.path).size).toBe(files[0]!.bytes);
      // Readers that divide files by bytes go by where the first column begins.
      const extents = await readPageExtents(files[0]!.path);
      expect(extents[0]!.start).toBe(4);
      expect(extents.slice(1).map(({ start }) => start)).toEqual(
        extents.slice(0, -1).map(({ end }) => end),
      );
    }
    const files = records.flatMap(({ files }) => files.map((file) => `'${file.path}'`));
    const hashed = (from: string, last: string) =>
      place.sql(
        `select count(*) as n, bit_xor(hash(x)) as h, sum(hash(x)::hugeint) as s from (select struct_pack(${Object.keys(
          types,
        )
          .map((name) => `${name} := "${name}"`)
          .join(', ')}, twice := ${last}) as x from read_parquet(${from}))`,
      );
    expect(await hashed(`[${files.join(', ')}]`, 'twice')).toEqual(
      await hashed(`'${path}'`, 'id * 2'),
    );
    // Row groups can still be ruled out by what the source said of them.
    const [{ n } = {}] = await place.sql(
      `select count(*) as n from parquet_metadata([${files.join(', ')}])
       where path_in_schema = 'id' and stats_min_value is not null and stats_null_count = 0`,
    );
    expect(n).toBe(3n);
    expect(place.leftFiles()).toHaveLength(3);
  });

  it('are read by a reader of its own', async () => {
    const path = await source(many.replace('range(100000)', 'range(40000)'));
    const program = programOf(types, [selecting(types)], { ...types, twice: 'BIGINT' });
    const { records } = await place.run(program, await place.worksOf(path));
    const plain: ExpectedRows = {
      columns: ['id', 't', 'n', 'at'],
      kinds: { at: 'timestamp' },
      rows: [],
    } as unknown as ExpectedRows;
    const [found, expected] = [
      await readIndependently(records[0]!.files[0]!.path, plain),
      await readIndependently(path, plain),
    ];
    expect(found).toHaveLength(40000);
    expect(found).toEqual(expected);
  });

  it('may have other names, and come twice; a name that was given to another value is computed', async () => {
    const path = await source();
    const step: ProgramStep = {
      kind: 'select',
      id: 'picked',
      columns: [
        { name: 'key', expr: 'ID' },
        { name: 'again', expr: '"id"' },
        { name: 'd', expr: 'f' },
        { name: 'f', expr: 'd + 1' },
        { name: 'twice', expr: 'id * 2' },
        { name: 't', expr: 't' },
      ],
    };
    const sink = {
      key: 'BIGINT',
      again: 'BIGINT',
      d: 'FLOAT',
      f: 'DOUBLE',
      twice: 'BIGINT',
      t: 'VARCHAR',
    };
    const program = programOf(types, [step], sink);
    const { records } = await place.run(program, await place.worksOf(path));
    const names = { key: 'id', again: 'id', d: 'f', f: 'd' };
    expect(await keptIn(records[0]!.files[0]!.path, path, names)).toEqual([
      'key',
      'again',
      'd',
      't',
    ]);
    const list = records.flatMap(({ files }) => files.map((file) => `'${file.path}'`)).join(', ');
    const [row] = await place.sql(
      `select count(*) as n, count(*) filter (a.key = b.id and a.again = b.id and a.d = b.f and a.f = b.d + 1 and a.t = b.t) as same
       from read_parquet([${list}]) a join read_parquet('${path}') b on a.key = b.id`,
    );
    expect(row).toEqual({ n: 100000n, same: 100000n });
  });

  /** DuckDB would make dictionaries of both. */
  const two = { n: 'VARCHAR', f: 'FLOAT' };
  const scanned = { id: 'BIGINT', ...two };
  const sinkOfTwo = { ...two, twice: 'BIGINT' };
  const written: [string, StageProgram, Partial<ChunkWork>][] = [
    [
      'rows may be left out',
      programOf(
        scanned,
        [{ kind: 'filter', id: 'f', where: 'id >= 0' }, selecting(two)],
        sinkOfTwo,
      ),
      {},
    ],
    [
      'rows may be dead-lettered',
      programOf(
        scanned,
        [
          {
            kind: 'expect',
            id: 'e',
            checks: [{ name: 'c', predicate: 'id >= 0', action: 'deadLetter' }],
          },
          selecting(two),
        ],
        sinkOfTwo,
      ),
      {},
    ],
    [
      'they are to be packed in another way',
      programOf(scanned, [selecting(two)], sinkOfTwo, { compression: 'zstd' }),
      {},
    ],
    [
      'row groups are to be smaller',
      programOf(scanned, [selecting(two)], sinkOfTwo, { rowGroupSize: 4096 }),
      {},
    ],
    [
      'a row is known to kill workers',
      programOf(scanned, [selecting(two)], sinkOfTwo),
      { poisonRows: [3] },
    ],
  ];
  it.each(written)('are none where %s', async (_, program, more) => {
    const path = await source();
    const works = await place.worksOf(path);
    const { failure, records } = await place.run(
      program,
      works.map((work, at) => (at === 0 ? { ...work, ...more } : work)),
    );
    expect(failure).toBeUndefined();
    expect(await keptIn(records[0]!.files[0]!.path, path)).toEqual([]);
    const { poisonRows: [dropped] = [] } = more;
    const rows = await place.rowsOf(records, 'count(*) as n, sum(twice)::bigint as twice');
    const sum = 99_999n * 100_000n;
    expect(rows).toEqual([
      dropped === undefined
        ? { n: 100_000n, twice: sum }
        : { n: 99_999n, twice: sum - 2n * BigInt(dropped) },
    ]);
  });

  it('are none where the chunk is a part of a row group, and those alone whose type stays', async () => {
    const path = await source();
    const [first] = await place.worksOf(path);
    const half = { ...first!, source: { ...first!.source!, rowEnd: 1000 } };
    const whole = programOf(scanned, [selecting(two)], sinkOfTwo);
    const part = await place.run(whole, [half]);
    expect(await keptIn(part.records[0]!.files[0]!.path, path)).toEqual([]);
    expect(part.records[0]!.counts.rowsOut).toBe(1000);
    const cast = programOf(scanned, [selecting(two)], { ...sinkOfTwo, f: 'DOUBLE' });
    const other = await place.run(cast, [first!]);
    expect(await keptIn(other.records[0]!.files[0]!.path, path)).toEqual(['n']);
  });

  it('make no difference to the schema of a file', async () => {
    const path = await source();
    const [first] = await place.worksOf(path);
    const half = { ...first!, source: { ...first!.source!, rowEnd: 1000 } };
    const program = programOf(types, [selecting(types)], { ...types, twice: 'BIGINT' });
    const schemas = [];
    for (const work of [first!, half]) {
      const { records } = await place.run(program, [work]);
      const { bytes } = await readWholeFooter(records[0]!.files[0]!.path);
      const { field_3: _rows, field_4: _groups, ...schema } = decodeFooter(bytes);
      schemas.push(schema);
    }
    expect(schemas[0]).toEqual(schemas[1]);
  });

  it('are none in an encoding that DuckDB does not write', async () => {
    const path = join(place.root, 'split.parquet');
    const ids = BigInt64Array.from({ length: 300_000 }, (_, at) => BigInt(at) * 7_919_317n);
    const doubles = Float64Array.from(ids, (id) => Math.sin(Number(id)));
    const encoding = 'BYTE_STREAM_SPLIT' as const;
    parquetWriteFile({
      filename: path,
      columnData: [
        { name: 'id', data: ids, type: 'INT64', nullable: true, encoding },
        { name: 'd', data: doubles, type: 'DOUBLE', nullable: true, encoding },
      ],
      rowGroupSize: 300_000,
    });
    const split = { id: 'BIGINT', d: 'DOUBLE' };
    const program = programOf({ d: 'DOUBLE' }, [selecting({ d: 'DOUBLE' }, { twice: 'd * 2' })], {
      d: 'DOUBLE',
      twice: 'DOUBLE',
    });
    const { failure, records } = await place.run(program, await place.worksOf(path));
    expect(failure).toBeUndefined();
    expect(await keptIn(records[0]!.files[0]!.path, path)).toEqual([]);
    // What it does not read either is told in its words.
    const both = programOf(split, [selecting(split)], { ...split, twice: 'BIGINT' });
    const refused = await place.run(both, await place.worksOf(path));
    expect(refused.failure).toMatchObject({ code: 'E_PARQUET_CORRUPT', at: { file: path } });
  });

  it('leave a column to DuckDB where its pages are not what the footer says', async () => {
    const path = await source();
    const extent = (await readPageExtents(path)).find(
      ({ column, rowGroup }) => column === 'n' && rowGroup === 1,
    )!;
    const bytes = readFileSync(path);
    bytes.fill(0xff, extent.start, extent.start + 16);
    writeFileSync(path, bytes);
    const program = programOf(scanned, [selecting(two)], sinkOfTwo);
    const { failure, records } = await place.run(program, await place.worksOf(path));
    expect(records).toHaveLength(1);
    expect(failure).toMatchObject({
      kind: 'badData',
      code: 'E_PARQUET_CORRUPT',
      at: { file: path, rowGroup: 1 },
    });
    expect(place.leftFiles()).toHaveLength(1);
  });
});

describe('appending', () => {
  async function prepared(path: string, program: StageProgram) {
    const directory = place.root;
    const kernel = await Kernel.open({
      directories: [directory, join(path, '..')],
      memoryLimitBytes: 2 ** 30,
      spillDirectory: join(directory, 'spill-own'),
    });
    const [work] = await place.worksOf(path);
    const kept = await new ColumnKeeper(program, 0).kept(kernel, work!, join(directory, 'scratch'));
    return { kernel, kept, target: join(directory, 'chunk') };
  }

  async function write(kernel: Kernel, query: string, sink: SinkProgram, target: string) {
    const names = sink.columns.map(({ name }) => name);
    const relation = { sql: query, columns: names, carriesRow: false, open: false };
    await kernel.run(copyStatement(relation, sink, target));
  }

  it('refuses rows that are not as many as those of the source', async () => {
    const path = await source();
    const two = { id: 'BIGINT' };
    const program = programOf(two, [selecting(two)], { ...two, twice: 'BIGINT' });
    const { kernel, kept, target } = await prepared(path, program);
    await write(kernel, 'select 1::bigint as twice from range(40959)', kept!.rest, target);
    await expect(joinKept(target, join(place.root, 'joined'), kept!)).rejects.toMatchObject({
      failure: { kind: 'broken', code: 'E_SINK_CORRUPT' },
    });
    kernel.close();
  });

  it('refuses a source that is another one by now', async () => {
    const path = await source();
    const two = { id: 'BIGINT' };
    const program = programOf(two, [selecting(two)], { ...two, twice: 'BIGINT' });
    const { kernel, kept, target } = await prepared(path, program);
    await write(kernel, 'select 1::bigint as twice from range(40960)', kept!.rest, target);
    utimesSync(path, 1, 1);
    const changed = { failure: { code: 'E_INPUT_CHANGED', at: { file: path } } };
    await expect(joinKept(target, join(place.root, 'joined'), kept!)).rejects.toMatchObject(
      changed,
    );
    rmSync(path);
    await expect(joinKept(target, join(place.root, 'gone'), kept!)).rejects.toMatchObject(changed);
    kernel.close();
  });

  const fixtures = resolve(import.meta.dirname, '../../interop/fixtures');
  const sinkCodecs: Record<string, SinkProgram['compression']> = {
    SNAPPY: 'snappy',
    ZSTD: 'zstd',
    GZIP: 'gzip',
    LZ4_RAW: 'lz4',
    UNCOMPRESSED: 'uncompressed',
  };
  const writtenOfFixtures: Record<string, string[]> = {};

  it.each(globSync('*.parquet', { cwd: fixtures }).sort())('gives the rows of %s', async (name) => {
    const path = join(fixtures, name);
    const { metadata } = await readWholeFooter(path);
    const codec = metadata.row_groups[0]?.columns[0]?.meta_data?.codec ?? '';
    const definition = Object.fromEntries(
      (await place.sql(`describe select * from read_parquet('${path}')`)).map((column) => [
        String(column['column_name']),
        String(column['column_type']),
      ]),
    );
    const program = programOf(
      definition,
      [selecting(definition, { windrow_one: '1::integer' })],
      { ...definition, windrow_one: 'INTEGER' },
      { compression: sinkCodecs[codec] ?? 'snappy' },
    );
    const { kernel, kept, target } = await prepared(path, program).catch(() => {
      throw new Error(`no kernel for ${name}`);
    });
    // Only DuckDB is known to let nothing into a text that is not UTF-8.
    const texts = name.startsWith('duckdb')
      ? []
      : Object.keys(definition).filter((column) => /VARCHAR/.test(definition[column]!));
    expect(texts.filter((column) => kept?.from.has(column))).toEqual([]);
    const again = Object.keys(definition).filter(
      (column) => !kept?.from.has(column) && !texts.includes(column),
    );
    if (again.length > 0) writtenOfFixtures[name] = again;
    if (kept) {
      const names = kept.rest.columns.map((column) => `"${column.name}"`).join(', ');
      const { rowStart, rowEnd } = kept.source;
      const rows = `select ${names} from (select *, 1::integer as windrow_one from read_parquet('${path}', file_row_number = true) where file_row_number between ${rowStart} and ${rowEnd - 1})`;
      await write(kernel, rows, kept.rest, target);
      await joinKept(target, join(place.root, 'joined'), kept);
      const shown = Object.keys(definition)
        .map((column) => `"${column}"`)
        .join(', ');
      const of = (file: string, where = '') =>
        place.sql(`select ${shown} from read_parquet('${file}', file_row_number = true) ${where}`);
      const wanted = await of(path, `where file_row_number between ${rowStart} and ${rowEnd - 1}`);
      expect(await of(target)).toEqual(wanted);
    }
    kernel.close();
  });

  it('is had by all columns of the fixtures but these', () => {
    const all = ['id', 'price', 'name', 'yes'];
    const ofParquetjs = ['id', 'price', 'yes', 'at'];
    const ofPyarrow = ['id', 'small', 'price', 'yes'];
    const isSecond = ([name]: [string, unknown]): boolean =>
      /(-v2|pyarrow-delta|hyparquet-[a-z-]*)\.parquet$/.test(name);
    const found = Object.entries(writtenOfFixtures);
    const ofSecond = found.filter((one) => isSecond(one) && !one[0].includes('brotli'));
    expect(ofSecond).toHaveLength(16);
    for (const [, again] of ofSecond)
      expect(again).toEqual(expect.arrayContaining(['id', 'price']));
    expect(Object.fromEntries(found.filter((one) => !ofSecond.includes(one)))).toEqual({
      // A codec that DuckDB reads, and no output may have.
      'duckdb-brotli-v1.parquet': all,
      'duckdb-brotli-v2.parquet': all,
      'pyarrow-brotli-v1.parquet': ofPyarrow,
      // Required or repeated, which DuckDB makes optional; times in milliseconds.
      'parquetjs-gzip.parquet': ofParquetjs,
      'parquetjs-snappy.parquet': ofParquetjs,
      'parquetjs-uncompressed.parquet': ofParquetjs,
      // Other physical types than DuckDB's.
      'pyarrow-binary.parquet': ['fixed'],
      'pyarrow-decimal.parquet': ['d9', 'd18'],
      'pyarrow-int96.parquet': ['at'],
      'pyarrow-integers.parquet': ['f16'],
      'pyarrow-times.parquet': ['ms'],
      // No row group.
      'pyarrow-empty.parquet': ['id', 'small', 'price', 'name', 'yes'],
    });
  });
});
