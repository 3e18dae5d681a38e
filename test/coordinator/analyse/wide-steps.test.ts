/** Every kind of wide step gives what SQL written by hand gives. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WideBench, type StepBody } from './wide-bench.js';

let bench: WideBench;
beforeAll(async () => {
  bench = await WideBench.open();
});
afterAll(() => bench.close());

const join = (fields: object): StepBody => ({
  join: { left: 'orders', right: 'users', suffix: '_user', ...fields },
});
const aggregate = (fields: object): StepBody => ({ aggregate: { from: 'orders', ...fields } });
const window = (fields: object): StepBody => ({ window: { from: 'orders', ...fields } });

const left = 'o.id, o.user_id, o.amount, o.name, o.day, o.list, o.s';
const right = 'u.name as name_user, u.grp, u.level';

describe('a join', () => {
  test.each<[string, StepBody, string]>([
    [
      'is inner where it does not say, with the columns of the left, then of the right without keys',
      join({ keys: ['user_id'] }),
      `select ${left}, ${right} from orders o join users u on o.user_id = u.user_id`,
    ],
    [
      'keeps rows of the left, and conditions are part of the join',
      join({ keys: ['USER_ID'], how: 'left', where: 'amount > $minAmount and grp = 0' }),
      `select ${left}, ${right} from orders o
       left join users u on o.user_id = u.user_id and o.amount > 10 and u.grp = 0`,
    ],
    [
      'keeps the keys of the right',
      join({ keys: { id: 'user_id' }, how: 'right' }),
      `select u.user_id as id, o.user_id, o.amount, o.name, o.day, o.list, o.s, ${right}
       from orders o right join users u on o.id = u.user_id`,
    ],
    [
      'keeps the keys of both',
      join({ keys: { id: 'user_id' }, how: 'full' }),
      `select coalesce(o.id, u.user_id) as id, o.user_id, o.amount, o.name, o.day, o.list, o.s, ${right}
       from orders o full join users u on o.id = u.user_id`,
    ],
    [
      'keeps rows that have a partner, once',
      join({ keys: { user_id: 'level' }, how: 'semi', where: 'users.grp * 20 < orders.amount' }),
      `from orders o where exists (
         from users u where o.user_id = u.level and u.grp * 20 < o.amount)`,
    ],
    [
      'keeps rows that have none, NULL keys among them',
      join({ keys: ['user_id'], how: 'anti' }),
      `from orders o where not exists (from users u where o.user_id = u.user_id)`,
    ],
    [
      'makes all pairs',
      join({ how: 'cross', where: 'orders.id < users.level' }),
      `select ${left}, u.user_id as user_id_user, ${right} from orders o, users u where o.id < u.level`,
    ],
    [
      'lets NULL meet NULL where it is told to',
      join({ keys: ['user_id'], nullSafe: true }),
      `select ${left}, ${right} from orders o join users u on o.user_id is not distinct from u.user_id`,
    ],
  ])('%s', async (_what, body, oracle) => {
    const { sql, reads } = await bench.wide(body);
    expect(reads).toEqual(['orders', 'users']);
    const answer = await bench.answer(sql);
    expect(answer.rows.length).toBeGreaterThan(0);
    expect(answer).toEqual(await bench.answer(oracle));
  });
});

describe('an aggregate', () => {
  const sums = 'cast(sum(id) as decimal(38,0)) as total';
  test.each<[string, StepBody, string]>([
    [
      'has a row for each combination of columns and expressions',
      aggregate({
        by: ['user_id', { month: "strftime(day, '%d')" }],
        measures: { n: 'count(*)', total: 'sum(id)', mean: 'avg(amount)' },
      }),
      `select user_id, strftime(day, '%d') as month, count(*) as n, ${sums}, avg(amount) as mean
       from orders group by all`,
    ],
    [
      'has one row where it is over everything',
      aggregate({ measures: { n: 'count(*) filter (amount > $minAmount)', total: 'sum(id)' } }),
      `select count(*) filter (amount > 10) as n, ${sums} from orders`,
    ],
    [
      'keeps groups by their measures and by aggregates of the rows',
      aggregate({
        by: ['name'],
        measures: { amount: 'sum(amount)' },
        having: 'amount > $minAmount and max(id) > 57',
      }),
      `select name, sum(amount) as amount from orders
       group by name having sum(amount) > 10 and max(id) > 57`,
    ],
    [
      'groups by an expression that hides a column of its name',
      aggregate({ by: [{ day: 'day + 1' }], measures: { first_day: 'min(day)' }, sets: 'cube' }),
      `select day + 1 as day, min(orders.day) as first_day from orders group by cube (orders.day + 1)`,
    ],
    [
      'rolls up',
      aggregate({ by: ['name', 'day'], measures: { total: 'sum(id)' }, sets: 'rollup' }),
      `select name, day, ${sums} from orders group by rollup (name, day)`,
    ],
    [
      'has the sets it lists',
      aggregate({
        by: ['name', { d: 'day' }],
        measures: { total: 'sum(id)' },
        sets: [['name'], ['D'], []],
      }),
      `select name, day as d, ${sums} from orders group by grouping sets ((name), (day), ())`,
    ],
    [
      'builds measures on each other',
      aggregate({ by: ['name'], measures: { n: 'count(*)', twice: 'n * 2', r: 'n * 1e-2' } }),
      `select name, count(*) as n, count(*) * 2 as twice, count(*) * 1e-2 as r from orders group by name`,
    ],
  ])('%s', async (_what, body, oracle) => {
    const { sql, columns } = await bench.wide(body);
    const answer = await bench.answer(sql);
    expect(answer.rows.length).toBeGreaterThan(0);
    expect(answer).toEqual(await bench.answer(oracle));
    expect(columns.map(({ name, type }) => `${name} ${type}`)).toEqual(answer.columns);
  });
});

describe('a distinct', () => {
  test('of whole rows keeps each once', async () => {
    const { sql } = await bench.wide({ distinct: { from: 'days' } }, [
      { id: 'days', select: { from: 'orders', columns: { day: 'day', name: 'name' } } },
    ]);
    const oracle = 'select distinct day, name from orders';
    const own = `with days as (select day, name from orders) ${sql}`;
    expect(await bench.answer(own)).toEqual(await bench.answer(oracle));
  });

  test('of keys keeps the first row in its order, NULL keys being equal', async () => {
    const { sql } = await bench.wide({
      distinct: { from: 'orders', keys: ['USER_ID'], order: ['amount desc nulls last', 'id'] },
    });
    const oracle = `select distinct on (user_id) * from orders order by amount desc nulls last, id`;
    const answer = await bench.answer(sql);
    expect(answer.rows).toHaveLength(6);
    expect(answer).toEqual(await bench.answer(oracle));
  });
});

test('a sort has its order outermost, directions, NULLs and expressions in it', async () => {
  const by = ['amount % 4 desc nulls first', 'name', '-id asc'];
  const { sql } = await bench.wide({ sort: { from: 'orders', by } });
  const oracle = `from orders order by amount % 4 desc nulls first, name, -id`;
  expect(await bench.answer(sql, true)).toEqual(await bench.answer(oracle, true));
});

test('a sort stays outermost where sums become decimals', async () => {
  const before = [{ id: 'big', select: { from: 'orders', columns: { b: 'id::hugeint' } } }];
  const { sql, columns } = await bench.wide({ sort: { from: 'big', by: ['b desc'] } }, before);
  expect(columns).toEqual([{ name: 'b', type: 'DECIMAL(38,0)' }]);
  const own = `with big as (select id::hugeint as b from orders) ${sql}`;
  const oracle = `select id::decimal(38,0) as b from orders order by b desc`;
  expect(await bench.answer(own, true)).toEqual(await bench.answer(oracle, true));
  expect(sql).toMatch(/ORDER BY b DESC$/i);
});

test('a limit takes rows of an order, after an offset', async () => {
  const { sql } = await bench.wide({
    limit: { from: 'orders', rows: 5, offset: 2, order: ['amount desc nulls last', 'id'] },
  });
  const oracle = `from orders order by amount desc nulls last, id limit 5 offset 2`;
  expect(await bench.answer(sql, true)).toEqual(await bench.answer(oracle, true));
});

describe('a window', () => {
  test.each<[string, StepBody, string]>([
    [
      'puts its OVER behind every call that has none',
      window({
        partitionBy: ['user_id'],
        orderBy: ['day desc', 'id'],
        columns: {
          place: 'row_number()',
          previous: 'lag(id, 1, -1)',
          share: 'amount / sum(amount) over (partition by name)',
          mixed: 'count(*) * 1e-2 + coalesce(max(id), 0)',
          some: 'sum(id) filter (id > $minAmount)',
        },
      }),
      `select *, row_number() over w as place, lag(id, 1, -1) over w as previous,
         amount / sum(amount) over (partition by name) as share,
         count(*) over w * 1e-2 + coalesce(max(id) over w, 0) as mixed,
         cast(sum(id) filter (id > 10) over w as decimal(38,0)) as some
       from orders window w as (partition by user_id order by day desc, id)`,
    ],
    [
      'has a frame, with parameters in it',
      window({
        orderBy: ['id'],
        frame: 'rows between $before preceding and current row exclude current row',
        columns: { recent: 'avg(amount)' },
      }),
      `select *, avg(amount) over (
         order by id rows between 2 preceding and current row exclude current row) as recent
       from orders`,
    ],
    [
      'replaces a column where it stands, and reads the columns from before',
      window({ columns: { amount: 'max(amount)', rest: 'max(amount) - amount' } }),
      `select id, user_id, max(amount) over () as amount, name, day, list, s,
         max(amount) over () - amount as rest
       from orders`,
    ],
  ])('%s', async (_what, body, oracle) => {
    const { sql } = await bench.wide(body);
    expect(await bench.answer(sql)).toEqual(await bench.answer(oracle));
  });
});

describe('a union', () => {
  test('by name fills what an input lacks with NULL', async () => {
    const { sql, reads } = await bench.wide({ union: { inputs: ['orders', 'users'] } });
    expect(reads).toEqual(['orders', 'users']);
    const oracle = 'from orders union all by name from users';
    expect(await bench.answer(sql)).toEqual(await bench.answer(oracle));
  });

  test('by position takes the names of the first', async () => {
    const before = [
      { id: 'a', select: { from: 'orders', columns: { id: 'id', name: 'name' } } },
      { id: 'b', select: { from: 'users', columns: { level: 'level', other: 'name' } } },
    ];
    const { sql } = await bench.wide({ union: { inputs: ['a', 'b'], by: 'position' } }, before);
    const own = `with a as (select id, name from orders), b as (select level, name as other from users) ${sql}`;
    const oracle = 'select id, name from orders union all select level, name from users';
    expect(await bench.answer(own)).toEqual(await bench.answer(oracle));
  });

  test('reads an input that it names twice once, and keeps equal rows once where told to', async () => {
    const { sql, reads } = await bench.wide({
      union: { inputs: ['orders', 'orders'], distinct: true },
    });
    expect(reads).toEqual(['orders']);
    expect(await bench.answer(sql)).toEqual(await bench.answer('from orders'));
  });
});

describe('a sample', () => {
  const sample = async (fields: object, nowMs?: number): Promise<string[]> => {
    const options = nowMs === undefined ? {} : { nowMs };
    const step = await bench.wide({ sample: { from: 'orders', ...fields } }, [], options);
    return (await bench.answer(step.sql)).rows;
  };

  test('of a fraction has about so many rows, and all of them for 1', async () => {
    const { rows: all } = await bench.answer('from orders');
    expect(await sample({ fraction: 1, seed: 1 })).toEqual(all);
    const seeds = Array.from({ length: 10 }, (_, seed) => sample({ fraction: 0.5, seed }));
    const taken = (await Promise.all(seeds)).reduce((sum, rows) => sum + rows.length, 0);
    // 600 draws with p = 0.5: more than six standard deviations either way would be a defect.
    expect(Math.abs(taken - 300)).toBeLessThan(75);
  });

  test('of rows has exactly so many, all of them rows that are there', async () => {
    const { rows: all } = await bench.answer('from orders');
    const taken = await sample({ rows: 7, seed: 3 });
    expect(taken).toHaveLength(7);
    expect(all).toEqual(expect.arrayContaining(taken));
  });

  test('is the same for the same seed, wherever its rows lie, and another for another', async () => {
    const { sql } = await bench.wide({ sample: { from: 'orders', fraction: 0.5, seed: 7 } });
    const parts = ['id % 2 = 0', 'id % 2 = 1'].map(async (half) => {
      const own = `with orders as (select * from main.orders where ${half}) ${sql}`;
      return (await bench.answer(own)).rows;
    });
    const taken = (await Promise.all(parts)).flat().sort();
    expect(taken).toEqual(await sample({ fraction: 0.5, seed: 7 }));
    expect(taken).not.toEqual(await sample({ fraction: 0.5, seed: 8 }));
  });

  test('without a seed takes one from the time of the job', async () => {
    expect(await sample({ rows: 20 }, 1)).toEqual(await sample({ rows: 20, seed: 1 }));
    expect(await sample({ rows: 20 }, 1)).not.toEqual(await sample({ rows: 20 }, 2));
  });
});

test('a repartition gives the rows as they are and says how they are dealt out', async () => {
  const repartition = (fields: object) =>
    bench.wide({ repartition: { from: 'orders', ...fields } });
  const byKeys = await repartition({ keys: ['USER_id', 'day'], targetFileSize: '2MB' });
  expect(byKeys.layout).toEqual({ keys: ['user_id', 'day'], targetBytes: 2_000_000 });
  expect(await bench.answer(byKeys.sql)).toEqual(await bench.answer('from orders'));
  expect((await repartition({ partitions: 3 })).layout).toEqual({ partitions: 3 });
});

test('steps over wide steps are bound on what those give', async () => {
  const facts = await bench.facts({ filter: { from: 'sums', where: 'total > 10' } }, [
    { id: 'sums', aggregate: { from: 'both', by: ['grp'], measures: { total: 'sum(id)' } } },
    { id: 'both', join: { left: 'orders', right: 'users', keys: ['user_id'], suffix: '_u' } },
    { id: 'idle', sort: { from: 'orders', by: ['id'] } },
  ]);
  expect([...facts.wide.keys()]).toEqual(['both', 'sums', 'idle']);
  expect(facts.steps.get('x')?.columns).toEqual([
    { name: 'grp', type: 'BIGINT' },
    { name: 'total', type: 'DECIMAL(38,0)' },
  ]);
  expect(facts.notes).toEqual([
    { kind: 'warning', step: 'idle', text: 'feeds no output: it is not run' },
  ]);
});

describe('what other rows could be chosen for is not deterministic', () => {
  test.each<[StepBody, boolean]>([
    [{ limit: { from: 'orders', rows: 3 } }, false],
    [{ limit: { from: 'orders', rows: 3, order: ['id'] } }, true],
    [{ sample: { from: 'orders', rows: 3 } }, false],
    [{ sample: { from: 'orders', rows: 3, seed: 0 } }, true],
    [{ sort: { from: 'orders', by: ['random()'] } }, false],
    [{ sort: { from: 'orders', by: ['id'] } }, true],
    [aggregate({ measures: { f: 'first(id)' } }), false],
    [aggregate({ measures: { f: 'first(id order by day)' } }), true],
    [aggregate({ measures: { all: 'list(id)' } }), false],
    [aggregate({ measures: { all: 'list(id order by id)' } }), true],
    [aggregate({ measures: { all: 'list(id order by day)' } }), true],
    [aggregate({ measures: { all: 'sum(id)' } }), true],
    [window({ columns: { all: 'list(id)' } }), false],
    [window({ orderBy: ['id'], columns: { all: 'list(id)' } }), true],
    [{ distinct: { from: 'orders' } }, true],
    [join({ keys: ['user_id'], where: 'random() < 0.5' }), false],
    [{ sql: { query: 'select distinct on (name) * from orders' } }, false],
    [{ sql: { query: 'select distinct on (name) * from orders order by id' } }, true],
    [{ sql: { query: 'from orders where id in (select id from orders limit 3)' } }, false],
    [{ sql: { query: 'select count(*), uuid() from orders' } }, false],
    [{ sql: { query: 'from orders tablesample 10%' } }, false],
    [{ sql: { query: 'select any_value(id) from orders' } }, false],
    [{ sql: { query: 'select count(*) from orders' } }, true],
  ])('%j: %s', async (body, deterministic) => {
    expect((await bench.wide(body)).deterministic).toBe(deterministic);
  });
});
