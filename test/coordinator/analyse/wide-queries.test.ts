/** Whole queries of `sql` steps: closed, they give the rows that they gave before. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { queryName, queryNumbers, queryText } from '../../../bench/tpch/queries.js';
import { preparation, rowsSql, sizeOf, tables } from '../../../bench/tpch/tables.js';
import { BindDatabase } from '../../../coordinator/analyse/bind-database.js';
import type { BindContext } from '../../../coordinator/analyse/bind.js';
import { parseQuery } from '../../../coordinator/analyse/parsed-query.js';
import type { RelationalInput } from '../../../coordinator/analyse/relational.js';
import { closeWideQuery } from '../../../coordinator/analyse/wide-query.js';
import { bindWide } from '../../../coordinator/analyse/wide.js';
import type { WideStep } from '../../../coordinator/planner/facts.js';
import { WindrowError } from '../../../shared/failure.js';
import { supported } from '../planner/relational/queries.js';
import { openOracle, resultOf, type Oracle } from '../planner/relational/tables.js';
import { WideBench } from './wide-bench.js';

const nowMs = Date.UTC(2026, 10, 22, 2, 0, 0, 123);

/** Binds queries over the tables of an oracle. */
async function openBinder(inputs: readonly RelationalInput[]) {
  const database = await BindDatabase.open();
  await database.lock();
  for (const { name, columns } of inputs) await database.createRelation(name, columns);
  const known = new Set(inputs.map(({ name }) => name));
  const context: BindContext = { database, params: {}, nowMs, known, usesClock: () => undefined };
  const bind = async (query: string): Promise<WideStep> => {
    const parsed = await parseQuery({ id: 'x', sql: { query } }, context);
    const reads = parsed.reads.map((id) => {
      return { id, columns: inputs.find(({ name }) => name === id)!.columns };
    });
    return bindWide(await closeWideQuery(parsed, reads, context), context);
  };
  return { bind, close: () => database.close() };
}

type Binder = Awaited<ReturnType<typeof openBinder>>;

describe('a query over small tables', () => {
  let oracle: Oracle;
  let binder: Binder;
  beforeAll(async () => {
    oracle = await openOracle();
    binder = await openBinder(oracle.inputs);
  });
  afterAll(() => {
    binder.close();
    oracle.close();
  });

  /** What is refused on purpose, although SQL takes it: columns of one name, no table at all. */
  const refused = new Set(['E_DUPLICATE_COLUMN', 'E_STEP_UNSUPPORTED']);

  test.each(supported)('gives the same rows closed: $sql', async ({ sql, ordered }) => {
    const bound = await binder.bind(sql).catch((error: unknown) => {
      if (!(error instanceof WindrowError)) throw error;
      expect(refused).toContain(error.failure.code);
    });
    if (!bound) return;
    const expected = await resultOf(oracle.connection, sql);
    const actual = await resultOf(oracle.connection, bound.sql);
    if (ordered !== true) for (const each of [expected, actual]) each.rows.sort();
    expect(actual.rows, bound.sql).toEqual(expected.rows);
    // What has no name has its text for one, which DuckDB writes in several ways.
    const named = (names: readonly string[]) => names.map((name) => /^\w*$/.exec(name)?.[0]);
    expect(named(actual.names)).toEqual(named(expected.names));
    const described = await oracle.connection.runAndReadAll(`describe ${bound.sql}`);
    expect(bound.columns).toEqual(
      described.getRows().map(([name, type]) => ({ name: String(name), type: String(type) })),
    );
  });

  test('most of them are not refused', async () => {
    const bound = await Promise.allSettled(supported.map(({ sql }) => binder.bind(sql)));
    const rejected = bound.filter(({ status }) => status === 'rejected');
    expect(rejected.length).toBeLessThan(supported.length / 4);
  });
});

describe('TPC-H', () => {
  const scale = 0.01;
  let oracle: Oracle;
  let binder: Binder;
  beforeAll(async () => {
    const statements = tables.map(
      (table) => `create table ${table} as ${rowsSql(table, scale, 0, sizeOf(table, scale).rows)}`,
    );
    oracle = await openOracle([...preparation(), ...statements], {});
    binder = await openBinder(oracle.inputs);
  }, 120_000);
  afterAll(() => {
    binder.close();
    oracle.close();
  });

  test.each(queryNumbers.map((number) => [queryName(number), number] as const))(
    '%s gives the same rows in the same order closed',
    async (_, number) => {
      const sql = queryText(number, scale);
      const bound = await binder.bind(sql);
      const [expected, actual] = [
        await resultOf(oracle.connection, sql),
        await resultOf(oracle.connection, bound.sql),
      ];
      expect(actual.rows, bound.sql).toEqual(expected.rows);
      expect(bound.columns.map(({ name }) => name)).toEqual(expected.names);
    },
  );
});

describe('a query of a step', () => {
  let bench: WideBench;
  beforeAll(async () => {
    bench = await WideBench.open();
  });
  afterAll(() => bench.close());
  const query = (text: string) => ({ sql: { query: text } });

  test('has parameters and the clock bound anywhere in it, and its columns named as written', async () => {
    const { sql, columns, deterministic } = await bench.wide(
      query(`with recent as (select *, now() from orders where amount > $minAmount)
        select count(*) as n, current_date, max("now()") + to_days($before),
          (select max(level) from users where grp < $ratio + 1e-2) as top
        from recent group by all limit $before`),
    );
    expect(deterministic).toBe(false);
    expect(columns.map(({ name }) => name)).toEqual([
      'n',
      'current_date',
      '(max("now()") + to_days($before))',
      'top',
    ]);
    const oracle = `select count(*) as n, date '2026-11-22' as current_date,
      timestamptz '2026-11-22 02:00:00.123+00' + to_days(2) as "(max(""now()"") + to_days($before))",
      6::utinyint as top from orders where amount > 10`;
    expect(await bench.answer(sql)).toEqual(await bench.answer(oracle));
  });

  test('may call the clock what it is called anyway', async () => {
    const { sql } = await bench.wide(
      query(`select current_date as current_date, max(current_date - day) as age, now() as now
        from orders group by all`),
    );
    const oracle = `select date '2026-11-22' as current_date, max(date '2026-11-22' - day) as age,
      timestamptz '2026-11-22 02:00:00.123+00' as now from orders`;
    expect(await bench.answer(sql)).toEqual(await bench.answer(oracle));
  });

  test.each([
    `select grp, today, yesterday from (pivot users on name in ('today', 'yesterday') using count(*) group by grp)`,
    `select current_date from (pivot users on name in ('current') using count(*) as date, sum(level) as n group by grp)`,
    `select today from (select * rename (name as today) from orders) join users using (user_id)`,
    `select what, now from (unpivot (select id, amount from orders) on amount into name what value now) where now > 3 group by all`,
    `select now from (select unnest({'now': id}) from orders) group by now`,
  ])('takes no column of its own for the clock: %s', async (text) => {
    await expect(bench.wide(query(text))).rejects.toMatchObject({
      failure: { code: 'E_AMBIGUOUS_COLUMN' },
    });
  });

  test('warns that it reads the clock', async () => {
    const { notes } = await bench.facts(query('select max(day) < today() as late from orders'));
    expect(notes.filter(({ kind }) => kind === 'warning')).toEqual([
      { kind: 'warning', step: 'x', text: expect.stringContaining('reads the clock') as string },
    ]);
  });

  test('warns of more rows than anybody may expect', async () => {
    const notesOf = async (text: string) => (await bench.facts(query(text))).notes;
    const many = 'from orders a, orders b, orders c, orders d, orders e';
    const [note] = await notesOf(`select max(a.name || f.name) as n ${many}, orders f`);
    expect(note).toEqual({
      kind: 'warning',
      step: 'x',
      text: expect.stringMatching(
        /about 4.7e\+10 rows, 2239 GB, of 60 that are read: join by/,
      ) as string,
    });
    // More than a hundred times the input.
    expect(await notesOf(`select count(*) as n ${many}`)).toHaveLength(1);
    expect(await notesOf(`select count(*) as n ${many} where a.id = e.id`)).toEqual([]);
  });

  test('calls its tables as the spec does, WITH queries that hide them aside', async () => {
    const { sql, reads } = await bench.wide(
      query(`with users as (select user_id from USERS where grp = 0),
          again as (select * from users)
        select ORDERS.id from Orders join again using (user_id) order by all`),
    );
    expect(reads).toEqual(['users', 'orders']);
    expect(sql).toMatch(/FROM users WHERE/);
    expect(sql).toMatch(/FROM orders/);
    const oracle = `select o.id from orders o join users u using (user_id) where u.grp = 0`;
    expect(await bench.answer(sql)).toEqual(await bench.answer(oracle));
  });

  test('may call itself in WITH RECURSIVE', async () => {
    const { sql, reads } = await bench.wide(
      query(`with recursive chain as (
          select user_id, level from users where level = 0
          union all select u.user_id, u.level from users u join chain c on u.level = c.level + 2)
        select * from chain`),
    );
    expect(reads).toEqual(['users']);
    const oracle = 'select user_id, level from users where level % 2 = 0';
    expect(await bench.answer(sql)).toEqual(await bench.answer(oracle));
  });

  test('over one relation that makes a row of each stays a pass over its rows', async () => {
    const rowWise = 'select id, amount * 2 as twice from orders where amount > $minAmount';
    const facts = await bench.facts(query(rowWise));
    expect(facts.steps.get('x')?.operators.map(({ kind }) => kind)).toEqual(['filter', 'select']);
    expect(facts.wide.size).toBe(0);
  });

  test('over one relation may take a struct apart, which stays a pass over its rows, too', async () => {
    const facts = await bench.facts(query('select s.*, id from orders where id > 1'));
    expect(facts.wide.size).toBe(0);
    expect(facts.steps.get('x')?.columns.map(({ name }) => name)).toEqual(['f', 'id']);
  });

  test.each([
    'select count(*) from orders',
    'select id, count(*) over () as n from orders',
    'select id from orders where id in (select level from users)',
    'select id, unnest(list) as item from orders',
    'select geomean(amount) as g from orders',
    'select wavg(amount, id) as g from orders',
    "select id, regexp_split_to_table(name, ' ') as word from orders",
    'select distinct id from orders',
    'select id from orders order by id',
    'select o.id from orders o(id)',
    'from orders using sample 3',
    'with q as (from orders) from q',
  ])('is wide: %s', async (text) => {
    expect((await bench.wide(query(text))).reads).toContain('orders');
  });

  test('names a column as DuckDB does where the clock is in it, whenever the job runs', async () => {
    const text = query('select max(day) - today(), count(*) from orders');
    const [first, second] = [await bench.wide(text), await bench.wide(text, [], { nowMs: 1 })];
    expect(first.columns).toEqual(second.columns);
    expect(first.sql).not.toBe(second.sql);
  });
});
