/** Small seeded tables with what queries trip over: NULL, NaN, -0, empty text, ties, no rows. */
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api';
import type { RelationalInput } from '../../../../coordinator/analyse/relational.js';
import { brokenOptimizers } from '../../../../worker/kernel/duckdb.js';

export interface Oracle {
  readonly connection: DuckDBConnection;
  readonly inputs: readonly RelationalInput[];
  close(): void;
}

/** `hash(i, n)` decides each value, so that every run has the same rows. */
const statements = [
  `create table t as select i::integer as id,
     case when hash(i, 1) % 7 = 0 then null else (hash(i, 1) % 6)::integer end as a,
     (['x', 'y', 'xy', '', 'a%b', null, '12'])[1 + (hash(i, 2) % 7)::integer] as b,
     (['-0'::double, 0, 0.25, 1.5, 'nan'::double, -2.75, null, 3])[1 + (hash(i, 3) % 8)::integer] as c,
     case when hash(i, 4) % 9 = 0 then null else ((hash(i, 4) % 900)::integer - 300) / 100 end::decimal(10,2) as d,
     case when hash(i, 5) % 8 = 0 then null else date '2020-01-01' + (hash(i, 5) % 6)::integer end as dt,
     timestamp '2020-01-01 00:00:00' + to_minutes((hash(i, 6) % 5000)::integer) as ts,
     timestamptz '2020-01-01 00:00:00+00' + to_minutes((hash(i, 7) % 5000)::integer) as tz,
     case when hash(i, 8) % 5 = 0 then null else list_transform(range((hash(i, 8) % 4)::integer), lambda x: (x + i % 3)::integer) end as l,
     case when hash(i, 9) % 6 = 0 then null else {'x': (hash(i, 9) % 3)::integer, 'y': (['x', null, 'z'])[1 + (hash(i, 9) % 3)::integer]} end as s,
     map {'k1': (hash(i, 10) % 3)::integer, 'k2': null} as m,
     (hash(i, 11) % 12)::bigint as e,
     (hash(i, 12) % 100)::hugeint * 100000000000000000000 as h,
     case when hash(i, 13) % 4 = 0 then null else hash(i, 13) % 2 = 0 end as bo,
     encode('b' || (hash(i, 14) % 3)) as bl,
     ('00000000-0000-0000-0000-00000000000' || (hash(i, 15) % 10))::uuid as u,
     to_days((hash(i, 16) % 5)::integer) as iv
   from range(60) r(i)`,
  `create table u as select i::integer as id,
     case when hash(i, 21) % 6 = 0 then null else (hash(i, 21) % 7)::integer end as a,
     case when hash(i, 22) % 9 = 0 then null else (hash(i, 22) % 9)::bigint end as k,
     (['x', 'y', 'q', '', null])[1 + (hash(i, 23) % 5)::integer] as v,
     ([0.0::double, 'nan'::double, 1.5, 2.25, null, -1])[1 + (hash(i, 24) % 6)::integer] as w,
     date '2020-01-01' + (hash(i, 25) % 6)::integer as dt
   from range(35) r(i)`,
  `create table none(id integer, a integer, b varchar)`,
  `create table "odd ""name" as select i::integer as "Select", 'v' || i as "a b", i::integer as "x""y" from range(4) r(i)`,
];

export async function openOracle(
  texts: readonly string[] = statements,
  rows: Readonly<Record<string, number>> = { t: 60_000_000, u: 35_000, none: 0 },
): Promise<Oracle> {
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' });
  const connection = await instance.connect();
  await connection.run(`set TimeZone = 'UTC'`);
  // As workers have it: what is planned runs there.
  await connection.run(`set disabled_optimizers = '${brokenOptimizers}'`);
  for (const text of texts) await connection.run(text);
  const found = await connection.runAndReadAll(
    `select table_name, column_name, data_type from duckdb_columns() where not internal
     order by table_name, column_index`,
  );
  const inputs = new Map<string, { name: string; type: string }[]>();
  for (const [table, name, type] of found.getRows()) {
    const columns = inputs.get(String(table)) ?? [];
    inputs.set(String(table), [...columns, { name: String(name), type: String(type) }]);
  }
  return {
    connection,
    inputs: [...inputs].map(([name, columns]) => ({ name, columns, rows: rows[name] ?? 100 })),
    close: () => {
      connection.closeSync();
      instance.closeSync();
    },
  };
}

/** Names and rows as text; floating point to nine digits, for sums depend on their order. */
export async function resultOf(connection: DuckDBConnection, sql: string) {
  const result = await connection.runAndReadAll(sql);
  return {
    names: result.columnNames(),
    types: result.columnTypes().map(String),
    rows: result.getRows().map((row) => row.map(cellText).join(' | ')),
  };
}

function cellText(value: unknown): string {
  if (value === null) return 'NULL';
  if (Object.is(value, -0)) return '-0';
  if (typeof value === 'number') return Number.isFinite(value) ? value.toPrecision(9) : `${value}`;
  return `'${String(value)}'`;
}
