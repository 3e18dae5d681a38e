/** What is wrong with a wide step is refused with a code, the place and what to do. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WideBench, type StepBody } from './wide-bench.js';

let bench: WideBench;
beforeAll(async () => {
  bench = await WideBench.open();
});
afterAll(() => bench.close());

type Case = [code: string, body: StepBody, says: RegExp, column?: string];

/** Checks the code, that step and column are named, and what is said. */
async function expectRefusal([code, body, says, column]: Case, before: unknown[] = []) {
  const failure = await bench.refusal(body, before);
  expect(failure).toMatchObject({ kind: 'invalidSpec', code });
  expect(failure.at).toEqual({ step: 'x', ...(column === undefined ? {} : { column }) });
  expect(failure.hint).toMatch(/\w/);
  expect(`${failure.message}; ${failure.hint}`).toMatch(says);
}

const query = (text: string): StepBody => ({ sql: { query: text } });
const join = (fields: object): StepBody => ({
  join: { left: 'orders', right: 'users', keys: ['user_id'], suffix: '_u', ...fields },
});
const aggregate = (fields: object): StepBody => ({
  aggregate: { from: 'orders', by: ['name'], measures: { n: 'count(*)' }, ...fields },
});
const window = (fields: object): StepBody => ({
  window: { from: 'orders', columns: { n: 'sum(id)' }, ...fields },
});

describe('a query', () => {
  test.each<Case>([
    ['E_UNKNOWN_COLUMN', query('select amuont from orders, users'), /did you mean 'amount'/],
    ['E_UNKNOWN_COLUMN', query('select o.amuont from orders o, users'), /o has no.*'amount'/],
    ['E_UNKNOWN_COLUMN', query('select id from orders, users order by lvl'), /mean 'level'/],
    ['E_UNKNOWN_COLUMN', query('select * exclude (grrp) from orders, users'), /mean 'grp'/],
    ['E_UNKNOWN_COLUMN', query('select count(*) from orders group by nme'), /mean 'name'/],
    ['E_UNKNOWN_COLUMN', query('select s.g, count(*) from orders group by all'), /'g'; write.* f/],
    ['E_UNKNOWN_COLUMN', query('select max(rowid) from orders'), /rowid/],
    ['E_UNKNOWN_STEP', query('select x.id from orders, users'), /'x'; write.*orders, users/],
    ['E_UNKNOWN_STEP', query('from orders join usrs using (user_id)'), /did you mean 'users'/],
    ['E_UNKNOWN_STEP', query('from orders, (with q as (from users) from q), q'), /'q'/],
    ['E_AMBIGUOUS_COLUMN', query('select name from orders, users'), /orders.name or users.name/],
    [
      'E_AMBIGUOUS_COLUMN',
      query('select current_date from (select day as current_date, * from orders)'),
      /column and the clock.*today\(\)/,
    ],
    ['E_DUPLICATE_COLUMN', query('from orders join users using (user_id)'), /'name'; give/],
    ['E_TYPE_MISMATCH', query('select count(*) from orders where list > day'), /DATE.*cast/],
    ['E_TYPE_MISMATCH', query('select id from orders union select id, id from orders'), /columns/],
    // DuckDB binds these, and fails at the first row.
    [
      'E_TYPE_MISMATCH',
      query('select o.id from orders o, users u where o.list = u.user_id'),
      /'user_id' is \w+ where BIGINT\[\]/,
    ],
    [
      'E_TYPE_MISMATCH',
      query('select list from orders union all select id from orders'),
      /'id' is/,
    ],
    ['E_TYPE_MISMATCH', query('select id from orders, users where day = orders.user_id'), /DATE/],
    ['E_TYPE_MISMATCH', query('select count(*) from orders group by s::integer'), /'s' is STRUCT/],
    ['E_TYPE_MISMATCH', query('select count([]::integer) as n from orders'), /INTEGER is needed/],
    ['E_TYPE_UNSUPPORTED', query('select distinct row(id) as r from orders'), /without names/, 'r'],
    [
      'E_TYPE_MISMATCH',
      query('select count([list]::date[][]) from orders'),
      /BIGINT\[\]\[\] where DATE/,
    ],
    ['E_SQL_BIND', query('select id from orders where sum(amount) > 1'), /aggregates.*HAVING/],
    ['E_SQL_BIND', query('select id from orders where rank() over (order by id) < 3'), /QUALIFY/],
    ['E_SQL_BIND', query('select id, sum(amount) from orders'), /'id' is not one of the groups/],
    ['E_SQL_BIND', query('select sum(max(id)) from orders'), /nested.*in a step before/],
    ['E_SQL_BIND', query('select count(*), row_number() from orders'), /row_number.*OVER/],
    ['E_SQL_BIND', query('select sum(name) from orders'), /sum\(VARCHAR\).*cast/],
    ['E_WINDOW_ORDER', query('select row_number() over () from orders'), /row_number.*ORDER BY/],
    ['E_WINDOW_ORDER', query('select lag(id) over (partition by name) from orders'), /lag/],
    ['E_WINDOW_ORDER', query('from orders qualify rank() over (partition by id) = 1'), /rank/],
    ['E_WINDOW_ORDER', query('select sum(id) over (rows 3 preceding) from orders'), /sum/],
    ['E_UNKNOWN_PARAM', query('select count(*) > $minAmuont from orders'), /'minAmount'/],
    ['E_STEP_UNSUPPORTED', query('from orders positional join users'), /join by a key/],
    ['E_STEP_UNSUPPORTED', query('pivot orders on name using count(*)'), /depends on rows.*IN/],
    ['E_STEP_UNSUPPORTED', query('from range(5)'), /reads no source/],
    ['E_STEP_UNSUPPORTED', query('values (1)'), /reads no source/],
    ['E_SQL_DENIED', query("select getenv('HOME'), count(*) from orders"), /getenv/],
    ['E_SQL_DENIED', query('select user, count(*) from orders group by 1'), /user/],
    ['E_SQL_DENIED', query("select max(current_setting('threads')) from orders"), /setting/],
    ['E_SQL_DENIED', query('select max(age(day)) from orders'), /name both times/],
    ['E_SQL_DENIED', query('with q as (from duckdb_settings()) from q, orders'), /settings/],
    ['E_SQL_DENIED', query("from orders where name in (from read_text('/etc/x'))"), /read_text/],
    [
      'E_SQL_DENIED',
      query("select (select content from read_text('/x')) from orders"),
      /read_text/,
    ],
    ['E_SQL_DENIED', query("from orders, '/etc/hosts.csv'"), /hosts/],
    ['E_SQL_DENIED', query('from (with "y.csv" as (from users) from "y.csv"), "y.csv"'), /y\.csv/],
    ['E_SQL_DENIED', query('from orders, (describe orders)'), /descriptions/],
    ['E_SQL_DENIED', query('from orders, (show tables)'), /descriptions/],
    ['E_SQL_DENIED', query('select count(*) from main.orders'), /orders/],
    [
      'E_COLUMN_RESERVED',
      query('select count(*) as __windrow_n from orders'),
      /own/,
      '__windrow_n',
    ],
  ])('%s: %j', (...refusal) => expectRefusal(refusal));
});

describe('a join', () => {
  test.each<Case>([
    ['E_UNKNOWN_COLUMN', join({ keys: ['user_idd'] }), /'user_id'/, 'orders.user_idd'],
    ['E_UNKNOWN_COLUMN', join({ keys: { id: 'usr_id' } }), /'user_id'/, 'users.usr_id'],
    ['E_UNKNOWN_COLUMN', join({ where: 'orders.amuont > 1' }), /did you mean 'amount'/],
    ['E_AMBIGUOUS_COLUMN', join({ where: "name = 'x'" }), /orders.name or users.name/],
    [
      'E_TYPE_MISMATCH',
      join({ keys: { name: 'level' } }),
      /orders.name is VARCHAR.*UTINYINT.*cast/,
    ],
    ['E_TYPE_MISMATCH', join({ keys: { list: 'name' } }), /BIGINT\[\].*VARCHAR/],
    ['E_DUPLICATE_COLUMN', join({ suffix: undefined }), /both orders and users.*_users/, 'name'],
    ['E_SQL_BIND', join({ where: 'amount' }), /must be BOOLEAN, but is DOUBLE/],
    ['E_SQL_SYNTAX', join({ where: 'true) or (true' }), /character 5/],
    ['E_STEP_UNSUPPORTED', join({ where: 'sum(amount) > 1' }), /aggregate step/],
    ['E_STEP_UNSUPPORTED', join({ where: 'id in (select 1)' }), /semi or anti/],
    ['E_STEP_UNSUPPORTED', join({ where: 'rank() over (order by id) = 1' }), /window step/],
    ['E_STEP_UNSUPPORTED', join({ where: 'unnest(list) = 1' }), /sql step/],
    ['E_SQL_DENIED', join({ where: "getenv('HOME') = 'x'" }), /getenv/],
  ])('%s: %j', (...refusal) => expectRefusal(refusal));
});

describe('an aggregate', () => {
  test.each<Case>([
    ['E_UNKNOWN_COLUMN', aggregate({ by: ['nme'] }), /'name'/],
    ['E_UNKNOWN_COLUMN', aggregate({ measures: { m: 'sum(amuont)' } }), /'amount'/, 'm'],
    ['E_UNKNOWN_COLUMN', aggregate({ by: [{ d: 'dayy + 1' }] }), /'day'/, 'd'],
    ['E_DUPLICATE_COLUMN', aggregate({ measures: { NAME: 'count(*)' } }), /'NAME'/],
    ['E_SQL_BIND', aggregate({ measures: { m: 'amount' } }), /'amount' is not one of/, 'm'],
    [
      'E_SQL_BIND',
      aggregate({ measures: { n: 'count(*)', twice: 'n * 2', m: 'summ(id)' } }),
      /no function summ/,
      'm',
    ],
    ['E_STEP_UNSUPPORTED', aggregate({ measures: { m: '*' } }), /name one column/, 'm'],
    ['E_STEP_UNSUPPORTED', aggregate({ measures: { m: 'max(columns(*))' } }), /columns/, 'm'],
    ['E_SQL_BIND', aggregate({ measures: { m: 'summ(id)' } }), /no function summ/, 'm'],
    ['E_SQL_BIND', aggregate({ measures: { m: 'sum(name)' } }), /sum\(VARCHAR\)/, 'm'],
    ['E_SQL_SYNTAX', aggregate({ measures: { m: 'count(*), 1' } }), /one expression/, 'm'],
    ['E_SQL_SYNTAX', aggregate({ having: 'n > 1 order by 1' }), /one expression/],
    ['E_STEP_UNSUPPORTED', aggregate({ by: [{ s: 'sum(id)' }] }), /aggregate step/, 's'],
    ['E_STEP_UNSUPPORTED', aggregate({ measures: { m: 'sum(id) over ()' } }), /window step/, 'm'],
    ['E_STEP_UNSUPPORTED', aggregate({ measures: { m: '(select 1)' } }), /sql step/, 'm'],
    ['E_UNKNOWN_PARAM', aggregate({ having: 'n > $x' }), /\$?'x'/],
    ['E_SQL_BIND', aggregate({ having: 'n' }), /must be BOOLEAN, but is BIGINT.*compare/],
    ['E_SQL_BIND', aggregate({ having: 'name' }), /must be BOOLEAN, but is VARCHAR/],
    ['E_SQL_BIND', aggregate({ having: 'sum(amount) - n' }), /must be BOOLEAN, but is DOUBLE/],
  ])('%s: %j', (...refusal) => expectRefusal(refusal));
});

describe('an order', () => {
  const sort = (...by: string[]): StepBody => ({ sort: { from: 'orders', by } });
  const distinct = (fields: object): StepBody => ({ distinct: { from: 'orders', ...fields } });
  test.each<Case>([
    ['E_UNKNOWN_COLUMN', sort('id', 'nme desc'), /'name'/],
    ['E_UNKNOWN_COLUMN', distinct({ keys: ['nme'], order: ['id'] }), /'name'/],
    ['E_UNKNOWN_COLUMN', distinct({ keys: ['id'], order: ['nme'] }), /'name'/],
    ['E_UNKNOWN_COLUMN', { limit: { from: 'orders', rows: 1, order: ['nme'] } }, /'name'/],
    ['E_SQL_SYNTAX', sort('id, name'), /'id, name' is more than one/],
    ['E_SQL_SYNTAX', sort('id limit 3'), /'id limit 3' is more than one/],
    [
      'E_SQL_SYNTAX',
      sort('id desc nulls sideways'),
      /^by: syntax error.*nulls first or nulls last/,
    ],
    ['E_SQL_SYNTAX', sort('id descending'), /character 4/],
    ['E_STEP_UNSUPPORTED', sort('sum(id)'), /sum/],
    ['E_STEP_UNSUPPORTED', sort('all'), /name one column/],
    ['E_SQL_DENIED', sort("getenv('HOME')"), /getenv/],
  ])('%s: %j', (...refusal) => expectRefusal(refusal));
});

describe('a window', () => {
  test.each<Case>([
    ['E_WINDOW_ORDER', window({ columns: { n: 'row_number()' } }), /row_number.*orderBy/, 'n'],
    ['E_WINDOW_ORDER', window({ partitionBy: ['name'], columns: { n: 'lag(id)' } }), /lag/, 'n'],
    ['E_WINDOW_ORDER', window({ columns: { n: 'rank() over (partition by id)' } }), /rank/, 'n'],
    [
      'E_SQL_SYNTAX',
      window({ orderBy: ['id'], columns: { n: 'first_value(name ignore nulls)' } }),
      /OVER of its own/,
      'n',
    ],
    ['E_UNKNOWN_COLUMN', window({ orderBy: ['nme'] }), /'name'/],
    ['E_UNKNOWN_COLUMN', window({ partitionBy: ['nme'] }), /'name'/],
    ['E_UNKNOWN_COLUMN', window({ columns: { n: 'sum(amuont)' } }), /'amount'/, 'n'],
    ['E_SQL_BIND', window({ columns: { n: 'sum(name)' } }), /sum\(VARCHAR\)/, 'n'],
    [
      'E_SQL_BIND',
      window({ columns: { n: 'count(*)', twice: 'n * 2', m: 'summ(id)' } }),
      /no function summ/,
      'm',
    ],
    ['E_SQL_SYNTAX', window({ orderBy: ['id'], frame: 'rows 3' }), /'rows 3' is no window frame/],
    ['E_SQL_SYNTAX', window({ orderBy: ['id'], frame: '), (select 1' }), /is no window frame/],
    [
      'E_SQL_SYNTAX',
      window({ orderBy: ['id'], frame: ') + count(*) over (' }),
      /is no window frame/,
    ],
    ['E_SQL_SYNTAX', window({ orderBy: ['id'], frame: ', id desc' }), /is no window frame/],
    [
      'E_SQL_SYNTAX',
      window({ orderBy: ['id'], frame: 'rows between x and y' }),
      /^frame: 'rows between x and y' is no window frame; .*preceding/,
    ],
    ['E_STEP_UNSUPPORTED', window({ partitionBy: ['sum(id)'] }), /sum/],
    ['E_STEP_UNSUPPORTED', window({ columns: { n: '(select 1)' } }), /sql step/, 'n'],
  ])('%s: %j', (...refusal) => expectRefusal(refusal));
});

describe('a union or repartition', () => {
  const renamed = { id: 'other', select: { from: 'orders', columns: { '*': true, id: 'name' } } };
  test.each<Case>([
    ['E_TYPE_MISMATCH', { union: { inputs: ['orders', 'users'], by: 'position' } }, /7 columns.*4/],
    ['E_TYPE_MISMATCH', { union: { inputs: ['orders', 'other'] } }, /'id' is INTEGER.*other/, 'id'],
    ['E_UNKNOWN_COLUMN', { repartition: { from: 'orders', keys: ['nme'] } }, /'name'/],
  ])('%s: %j', (...refusal) => expectRefusal(refusal, [renamed]));
});

test('a circle through joins is refused with its steps', async () => {
  const failure = await bench.refusal({ join: { left: 'a', right: 'users', keys: ['user_id'] } }, [
    { id: 'a', sql: { query: 'from users where user_id in (select user_id from x)' } },
  ]);
  expect(failure).toMatchObject({
    code: 'E_SPEC_CYCLE',
    message: expect.stringMatching(/a → x → a/),
  });
});
