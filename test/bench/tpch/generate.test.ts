import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api';
import { globSync } from 'tinyglobby';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { generateTpch } from '../../../bench/tpch/generate.js';
import { createViews } from '../../../bench/tpch/oracle.js';
import { preparation, rowsSql, sizeOf } from '../../../bench/tpch/tables.js';

const scale = 0.01;
const files = 22;
const root = mkdtempSync(path.join(tmpdir(), 'windrow-tpch-'));
const folder = path.join(root, 'one-lane');
let connection: DuckDBConnection;

beforeAll(async () => {
  expect(await generateTpch({ scale, lanes: 1, folder })).toBe(files);
  connection = await (await DuckDBInstance.create()).connect();
  await createViews(connection, folder);
});
afterAll(() => {
  connection.closeSync();
  rmSync(root, { recursive: true, force: true });
});

async function row(query: string): Promise<unknown[]> {
  return (await connection.runAndReadAll(query)).getRowsJson()[0] ?? [];
}

/** The rules that some row breaks, each with the number of such rows. */
async function broken(
  from: string,
  rules: Record<string, string>,
): Promise<Record<string, number>> {
  const counts = await row(
    `select ${Object.values(rules).map((rule) => `count(*) filter ((${rule}) is not true)::integer`)} from ${from}`,
  );
  return Object.fromEntries(
    Object.keys(rules).flatMap((rule, k) => (counts[k] === 0 ? [] : [[rule, counts[k] as number]])),
  );
}

/** File name to hash of its bytes. */
function bytesOf(of: string): Record<string, string> {
  return Object.fromEntries(
    globSync('**/*', { cwd: of, onlyFiles: true })
      .sort()
      .map((file) => [
        file,
        createHash('sha256')
          .update(readFileSync(path.join(of, file)))
          .digest('hex'),
      ]),
  );
}

describe('rows', () => {
  test.each([
    ['region', 5],
    ['nation', 25],
    ['supplier', 100],
    ['customer', 1500],
    ['part', 2000],
    ['partsupp', 8000],
    ['orders', 15000],
  ])('%s has the %i that the specification asks for', async (table, rows) => {
    expect(await row(`select count(*)::integer from ${table}`)).toEqual([rows]);
  });

  test('an order has one to seven lines, numbered from one', async () => {
    expect(
      await row(`select min(n)::integer, max(n)::integer, count(*)::integer, count(*) filter (n <> last)::integer
        from (select count(*) as n, max(l_linenumber) as last from lineitem group by l_orderkey)`),
    ).toEqual([1, 7, 15000, 0]);
  });

  test('at scale 1 lineitem has the published 6,001,215 to half a percent', async () => {
    for (const statement of preparation()) await connection.run(statement);
    const query = rowsSql('lineitem', 1, 0, sizeOf('lineitem', 1).rows);
    expect(
      await row(`select (count(*) / 6001215 between 0.995 and 1.005) from (${query})`),
    ).toEqual([true]);
  });

  test.each([
    ['supplier', 's_suppkey', 1, 100],
    ['customer', 'c_custkey', 1, 1500],
    ['part', 'p_partkey', 1, 2000],
    ['orders', 'o_orderkey', 1, 60000],
    ['nation', 'n_nationkey', 0, 24],
    ['region', 'r_regionkey', 0, 4],
  ])(
    'the keys of %s are there once each, in order and in range',
    async (table, key, first, last) => {
      expect(
        await row(`select min(${key})::integer, max(${key})::integer, count(*) - count(distinct ${key})
        from ${table}`),
      ).toEqual([first, last, '0']);
      expect(
        await row(`select count(*) from (
        select ${key} as k, lag(${key}) over (order by filename, file_row_number) as before
        from read_parquet('${folder}/${table}/*.parquet', filename = true, file_row_number = true)) where k < before`),
      ).toEqual(['0']);
    },
  );

  test('of every 32 order keys eight are in use', async () => {
    expect(await broken('orders', { sparse: 'o_orderkey % 32 < 8' })).toEqual({});
  });

  test.each([
    ['nation (n_regionkey)', 'region (r_regionkey)'],
    ['supplier (s_nationkey)', 'nation (n_nationkey)'],
    ['customer (c_nationkey)', 'nation (n_nationkey)'],
    ['partsupp (ps_partkey)', 'part (p_partkey)'],
    ['partsupp (ps_suppkey)', 'supplier (s_suppkey)'],
    ['orders (o_custkey)', 'customer (c_custkey)'],
    ['orders (o_orderkey)', 'lineitem (l_orderkey)'],
    ['lineitem (l_orderkey)', 'orders (o_orderkey)'],
    ['lineitem (l_partkey, l_suppkey)', 'partsupp (ps_partkey, ps_suppkey)'],
  ])('every %s is in %s', async (child, parent) => {
    const select = (side: string): string => side.replace(/(\w+) \((.*)\)/, 'select $2 from $1');
    expect(await row(`select count(*) from (${select(child)} except ${select(parent)})`)).toEqual([
      '0',
    ]);
  });

  test('every part has four suppliers, and every pair of them is sold', async () => {
    expect(
      await row(`select count(distinct (ps_partkey, ps_suppkey))::integer,
        (select count(distinct (l_partkey, l_suppkey)) > 7900 from lineitem) from partsupp`),
    ).toEqual([8000, true]);
  });

  test('a third of the customers orders nothing', async () => {
    expect(await broken('orders', { third: 'o_custkey % 3 <> 0' })).toEqual({});
    expect(await row('select count(distinct o_custkey)::integer from orders')).toEqual([1000]);
  });
});

describe('values', () => {
  test('the columns have the types of the schema', async () => {
    const types = await connection.runAndReadAll(
      `select string_agg(distinct data_type, ' ' order by data_type),
        string_agg(distinct data_type, ' ' order by data_type) filter (column_name like '%key')
        from duckdb_columns() where not internal`,
    );
    expect(types.getRowsJson()).toEqual([
      ['BIGINT DATE DECIMAL(15,2) INTEGER VARCHAR', 'BIGINT INTEGER'],
    ]);
  });

  test('dates, flags and prices of the lines follow the rules', async () => {
    const from = `lineitem join orders on l_orderkey = o_orderkey join part on l_partkey = p_partkey`;
    expect(
      await broken(from, {
        ordered: `o_orderdate between date '1992-01-01' and date '1998-08-02'`,
        shipped: 'l_shipdate - o_orderdate between 1 and 121',
        committed: 'l_commitdate - o_orderdate between 30 and 90',
        received: 'l_receiptdate - l_shipdate between 1 and 30',
        returned: `(l_returnflag = 'N') = (l_receiptdate > date '1995-06-17') and l_returnflag in ('N', 'R', 'A')`,
        status: `l_linestatus = case when l_shipdate > date '1995-06-17' then 'O' else 'F' end`,
        quantity: 'l_quantity between 1 and 50 and l_quantity = floor(l_quantity)',
        price: 'l_extendedprice = l_quantity * p_retailprice',
        retail:
          'p_retailprice * 100 = 90000 + (p_partkey // 10) % 20001 + 100 * (p_partkey % 1000)',
        discount: 'l_discount between 0 and 0.10',
        tax: 'l_tax between 0 and 0.08',
      }),
    ).toEqual({});
  });

  test('an order has the status and the total of its lines', async () => {
    const lines = `select l_orderkey, count(distinct l_linestatus) as states, min(l_linestatus) as status,
      sum(l_extendedprice * (1 - l_discount) * (1 + l_tax)) as total from lineitem group by l_orderkey`;
    expect(
      await broken(`orders join (${lines}) on l_orderkey = o_orderkey`, {
        status: `o_orderstatus = case states when 1 then status else 'P' end`,
        total: 'o_totalprice = round(total, 2)',
      }),
    ).toEqual({});
  });

  test('names, codes and texts have the form of the specification', async () => {
    const range = (column: string, low: number, high: number): Record<string, string> => ({
      [column]: `length(${column}) between ${low} and ${high}`,
    });
    expect(
      await broken('part', {
        name: `len(list_distinct(string_split(p_name, ' '))) = 5`,
        brand: `regexp_full_match(p_brand, 'Brand#[1-5][1-5]') and p_brand[7] = p_mfgr[14]`,
        size: 'p_size between 1 and 50',
        ...range('p_comment', 5, 22),
      }),
    ).toEqual({});
    expect(
      await broken('customer', {
        name: `c_name = 'Customer#' || lpad(c_custkey::varchar, 9, '0')`,
        phone: `regexp_full_match(c_phone, '\\d\\d-\\d{3}-\\d{3}-\\d{4}') and c_phone[1:2]::integer = c_nationkey + 10`,
        balance: 'c_acctbal between -999.99 and 9999.99',
        ...range('c_address', 10, 40),
        ...range('c_comment', 29, 116),
      }),
    ).toEqual({});
    expect(await broken('supplier', range('s_comment', 25, 100))).toEqual({});
    expect(await broken('partsupp', range('ps_comment', 49, 198))).toEqual({});
    expect(await broken('orders', range('o_comment', 19, 78))).toEqual({});
    expect(await broken('lineitem', range('l_comment', 10, 43))).toEqual({});
    expect(
      await row(`select count(distinct p_type)::integer, count(distinct p_container)::integer,
        count(distinct p_brand)::integer from part`),
    ).toEqual([150, 40, 25]);
    expect(
      await row(`select count(distinct l_shipmode)::integer, count(distinct l_shipinstruct)::integer
        from lineitem`),
    ).toEqual([7, 4]);
    expect(
      await row(`select 100.0 * count(*) filter (o_comment like '%special%requests%') / count(*) between 0.5 and 2
        from orders`),
    ).toEqual([true]);
  });
});

describe('files', () => {
  test('are the same bytes whatever the number of lanes', async () => {
    const other = path.join(root, 'three-lanes');
    await generateTpch({ scale, lanes: 3, folder: other });
    expect(bytesOf(other)).toEqual(bytesOf(folder));
  });

  test('are kept when complete and made again, to the byte, when not', async () => {
    const before = bytesOf(folder);
    const lost = path.join(folder, 'orders', 'part-003.parquet');
    rmSync(lost);
    writeFileSync(`${lost}.part`, 'what a killed run left');
    expect(await generateTpch({ scale, folder })).toBe(1);
    expect(bytesOf(folder)).toEqual(before);
    expect(await generateTpch({ scale, folder })).toBe(0);
  });

  test('of another generator are replaced, and nothing else in the folder is', async () => {
    const before = bytesOf(folder);
    writeFileSync(path.join(folder, 'generator.txt'), 'an older one');
    writeFileSync(path.join(folder, 'orders', 'part-100.parquet'), 'too many');
    writeFileSync(path.join(folder, 'notes.txt'), 'mine');
    expect(await generateTpch({ scale, folder })).toBe(files);
    expect(existsSync(path.join(folder, 'notes.txt'))).toBe(true);
    rmSync(path.join(folder, 'notes.txt'));
    expect(bytesOf(folder)).toEqual(before);
  });

  test('are refused below the smallest scale', async () => {
    await expect(generateTpch({ scale: 0.001, folder: path.join(root, 'small') })).rejects.toThrow(
      'scale 0.001 is below 0.01',
    );
  });
});
