/**
 * Writes the fixtures that DuckDB, parquetjs-lite and hyparquet-writer make, each with its rows as JSON
 * beside it, in the plain form of rows.ts. Never reads them back: what a file holds is what went in.
 * Usage: npx tsx test/interop/make-fixtures.ts test/interop/fixtures
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { parquetWriteBuffer, type ColumnSource } from 'hyparquet-writer';
import { plainValue, type ExpectedRows, type Kind, type Plain } from './rows.js';

/** The part of parquetjs-lite used here; it comes without types. */
interface Parquetjs {
  readonly ParquetSchema: new (columns: Record<string, object>) => object;
  readonly ParquetWriter: {
    openFile(
      schema: object,
      file: string,
      options: object,
    ): Promise<{ appendRow(row: object): Promise<void>; close(): Promise<void> }>;
  };
}
const parquetjs = createRequire(import.meta.url)('parquetjs-lite') as Parquetjs;

const directory = path.resolve(process.argv[2] ?? 'test/interop/fixtures');
mkdirSync(directory, { recursive: true });

function describe(
  name: string,
  columns: readonly string[],
  rows: readonly (readonly Plain[])[],
  kinds: Readonly<Record<string, Kind>> = {},
): void {
  const expected: ExpectedRows = { columns, kinds, rows };
  writeFileSync(path.join(directory, `${name}.json`), `${JSON.stringify(expected)}\n`);
}

const orders = Array.from({ length: 200 }, (_, k) => ({
  id: k,
  price: k % 11 === 0 ? null : k * 0.25,
  name: k % 13 === 0 ? null : `name-${k % 20}-é`,
  yes: k % 3 === 0,
}));
const orderColumns = ['id', 'price', 'name', 'yes'];
const orderRows = orders.map((row) => Object.values(row).map(plainValue));

async function writeWithDuckDB(): Promise<void> {
  const instance = await DuckDBInstance.create();
  const connection = await instance.connect();
  const query = `
    select i as id, case when i % 11 <> 0 then i * 0.25::double end as price,
           case when i % 13 <> 0 then 'name-' || (i % 20) || '-é' end as name, i % 3 = 0 as yes
    from range(200) as t(i)`;
  for (const codec of ['uncompressed', 'snappy', 'gzip', 'lz4', 'lz4_raw', 'zstd', 'brotli']) {
    for (const version of ['v1', 'v2']) {
      const name = `duckdb-${codec}-${version}`;
      await connection.run(
        `copy (${query}) to '${path.join(directory, name)}.parquet'
         (format parquet, compression ${codec}, parquet_version ${version})`,
      );
      describe(name, orderColumns, orderRows);
    }
  }
  await connection.run(
    `copy (select 9007199254740993::decimal(38, 0) as big, '2026-11-21 01:02:03.000004'::timestamp as at,
                  {'a': [1, null], 'b': null::varchar} as box, [1.5, 2.5]::float[2] as pair)
     to '${path.join(directory, 'duckdb-types.parquet')}' (format parquet)`,
  );
  describe(
    'duckdb-types',
    ['big', 'at', 'box', 'pair'],
    [
      [
        '9007199254740993',
        '2026-11-21 01:02:03.000004',
        { a: ['1', null], b: null },
        ['1.5', '2.5'],
      ],
    ],
    { big: 'decimal', at: 'timestamp' },
  );
  connection.closeSync();
  instance.closeSync();
}

async function writeWithParquetjs(): Promise<void> {
  const { ParquetSchema, ParquetWriter } = parquetjs;
  for (const compression of ['UNCOMPRESSED', 'SNAPPY', 'GZIP']) {
    const name = `parquetjs-${compression.toLowerCase()}`;
    const schema = new ParquetSchema({
      id: { type: 'INT64', compression },
      price: { type: 'DOUBLE', optional: true, compression },
      name: { type: 'UTF8', optional: true, compression },
      yes: { type: 'BOOLEAN', compression },
      at: { type: 'TIMESTAMP_MILLIS', compression },
      tags: { type: 'UTF8', repeated: true, compression },
    });
    const writer = await ParquetWriter.openFile(
      schema,
      path.join(directory, `${name}.parquet`),
      {},
    );
    const rows: Plain[][] = [];
    for (const [k, order] of orders.slice(0, 50).entries()) {
      const at = new Date(Date.UTC(2026, 10, 21, 0, k));
      const tags = Array.from({ length: k % 3 }, (_, n) => `tag-${n}`);
      const present = Object.entries(order).filter(([, value]) => value !== null);
      await writer.appendRow({ ...Object.fromEntries(present), at, tags });
      rows.push([...Object.values(order), at, tags].map(plainValue));
    }
    await writer.close();
    describe(name, [...orderColumns, 'at', 'tags'], rows, { at: 'timestamp' });
  }
}

function writeWithHyparquet(): void {
  const column = (name: keyof (typeof orders)[number]): ColumnSource['data'] =>
    orders.map((row) => row[name]) as ColumnSource['data'];
  const columns: ColumnSource[] = [
    { name: 'id', data: BigInt64Array.from(orders, (row) => BigInt(row.id)), type: 'INT64' },
    { name: 'price', data: column('price'), type: 'DOUBLE', nullable: true },
    { name: 'name', data: column('name'), type: 'STRING', nullable: true },
    { name: 'yes', data: column('yes'), type: 'BOOLEAN' },
  ];
  const delta = columns.map((source): ColumnSource => {
    if (source.name === 'id') return { ...source, encoding: 'DELTA_BINARY_PACKED' };
    if (source.name === 'name') return { ...source, encoding: 'DELTA_BYTE_ARRAY' };
    if (source.name === 'price') return { ...source, encoding: 'BYTE_STREAM_SPLIT' };
    return source;
  });
  const write = (name: string, options: Parameters<typeof parquetWriteBuffer>[0]): void => {
    writeFileSync(
      path.join(directory, `hyparquet-${name}.parquet`),
      Buffer.from(parquetWriteBuffer(options)),
    );
    describe(`hyparquet-${name}`, orderColumns, orderRows);
  };
  write('snappy', { columnData: columns });
  write('uncompressed', { columnData: columns, codec: 'UNCOMPRESSED', statistics: false });
  write('delta', { columnData: delta });
  write('row-groups', { columnData: columns, rowGroupSize: 64, pageSize: 128 });
}

await writeWithDuckDB();
await writeWithParquetjs();
writeWithHyparquet();
