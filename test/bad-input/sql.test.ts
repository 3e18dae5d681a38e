/** SQL that is wrong, or reaches for what is not its own: refused before any work, with the step. */
import { afterAll, beforeAll, describe, it } from 'vitest';
import { verbHere } from '../verb-here.js';
import { expectInvalid, Place, type Refusal, windrow } from './place.js';

let place: Place;
beforeAll(async () => {
  place = await Place.open();
});
afterAll(() => place.close());

interface SqlCase extends Partial<Refusal> {
  readonly sql: string;
}

/** Whatever they are, the step is named and there is a hint. */
const always = [/step a/, /hint: /];

describe('a query is refused', () => {
  const cases: SqlCase[] = [
    { sql: "select * from read_text('/etc/hostname')" },
    { sql: "select * from 'other.csv'" },
    { sql: "select * from '/etc/passwd'" },
    { sql: "select * from read_parquet('/data/other.parquet')" },
    { sql: "select * from read_csv('/etc/passwd')" },
    { sql: "select * from glob('/*')" },
    { sql: 'select * from duckdb_settings()' },
    { sql: 'select * from information_schema.tables' },
    { sql: "select *, (select content from read_text('/etc/hostname')) as c from orders" },
    { sql: "select * from orders where name in (select content from read_text('/etc/hostname'))" },
    { sql: "copy orders to '/tmp/stolen.csv'" },
    { sql: "attach '/tmp/other.db' as other" },
    { sql: 'install httpfs' },
    { sql: 'set enable_external_access = true' },
    { sql: 'pragma database_list' },
    { sql: 'select * from orders; select 1' },
    { sql: 'drop table orders' },
    { sql: "select query('select 1') from orders" },
    { sql: 'select * frm orders', code: 'E_SQL_SYNTAX', says: [/character/] },
    { sql: '', code: 'E_SPEC_INVALID', says: [/query/] },
    { sql: 'select * from ordres', code: 'E_UNKNOWN_STEP', says: [/'ordres'/, /orders/] },
    { sql: 'select amuont from orders', code: 'E_UNKNOWN_COLUMN', says: [/amuont/, /amount/] },
    { sql: 'select * from a', code: 'E_SPEC_CYCLE', says: [/a → a/] },
    { sql: 'select count(*) from orders, a', code: 'E_SPEC_CYCLE', says: [/a → a/] },
    { sql: 'select 1', code: 'E_STEP_UNSUPPORTED', says: [/reads no source/] },
    { sql: 'with q as (from duckdb_settings()) select count(*) from q, orders' },
    { sql: "select count(*) from orders, '/etc/hosts.csv'" },
    { sql: "select count(*), getenv('HOME') from orders" },
    { sql: 'select count(*) from orders, (show tables)' },
    {
      sql: 'select name from orders join (select name, age from orders) o using (age)',
      code: 'E_AMBIGUOUS_COLUMN',
      says: [/orders\.name or o\.name/],
    },
    {
      sql: 'select sum(amuont) from orders',
      code: 'E_UNKNOWN_COLUMN',
      says: [/amuont/, /'amount'/],
    },
    {
      sql: 'select lag(id) over (partition by name) as before from orders',
      code: 'E_WINDOW_ORDER',
      says: [/lag/, /ORDER BY/],
    },
    {
      sql: 'select id from orders where sum(amount) > 1 group by id',
      code: 'E_SQL_BIND',
      says: [/aggregates/, /HAVING/],
    },
    { sql: 'select id, count(*) from orders', code: 'E_SQL_BIND', says: [/'id'/, /group by/] },
  ];
  it.concurrent.each(cases)('$sql', async ({ sql, code, says }) => {
    const spec = place.spec(`query ${sql}`, { steps: [{ id: 'a', sql: { query: sql } }] });
    const own = code === 'E_SPEC_INVALID' ? [] : always;
    await expectInvalid(place, spec, {
      code: code ?? 'E_SQL_DENIED',
      says: [...own, ...(says ?? [])],
    });
  });

  it.concurrent('where steps read each other in a circle through their SQL', async () => {
    const spec = place.spec('circle', {
      steps: [
        { id: 'a', sql: { query: 'select * from c' } },
        { id: 'b', filter: { from: 'a', where: 'id > 1' } },
        { id: 'c', sql: { query: 'select id from b where id < 9' } },
      ],
    });
    const refusal = { code: 'E_SPEC_CYCLE', says: [/a → c → b → a/, /hint: /] };
    // As users type it: the process ends by itself.
    await expectInvalid(place, spec, refusal, windrow);
  });
});

describe('a step is refused', () => {
  it.concurrent('whose column is a word of SQL, with a hint to quote it', async () => {
    const spec = place.spec('reserved word', {
      steps: [
        { id: 'named', select: { from: 'orders', columns: { '*': true, at: 'id' } } },
        { id: 'a', filter: { from: 'named', where: 'at > 5' } },
      ],
    });
    await expectInvalid(place, spec, { code: 'E_SQL_SYNTAX', says: [/step a/, /"at", in double/] });
  });

  it.concurrent('that counts rows before other steps drop some', async () => {
    const spec = place.spec('early count', {
      steps: [
        { id: 'a', expect: { from: 'orders', checks: [{ rowCount: { min: 1 } }] } },
        { id: 'b', filter: { from: 'a', where: 'id > 5' } },
      ],
    });
    await expectInvalid(place, spec, { code: 'E_STEP_UNSUPPORTED', says: [/rowCount/, ...always] });
  });
});

describe('a wide step is refused', () => {
  const cases: { step: Record<string, unknown>; code: string; says: RegExp }[] = [
    {
      step: { join: { left: 'orders', right: 'named', keys: { id: 'name' } } },
      code: 'E_TYPE_MISMATCH',
      says: /orders\.id is BIGINT, named\.name is VARCHAR/,
    },
    {
      step: { join: { left: 'orders', right: 'named', keys: ['name'] } },
      code: 'E_DUPLICATE_COLUMN',
      says: /'id'.*suffix: _named/s,
    },
    {
      step: { join: { left: 'orders', right: 'named' } },
      code: 'E_SPEC_INVALID',
      says: /inner needs keys/,
    },
    {
      step: { aggregate: { from: 'orders', by: ['name'], measures: { n: 'sum(amuont)' } } },
      code: 'E_UNKNOWN_COLUMN',
      says: /column n.*'amount'/s,
    },
    {
      step: {
        aggregate: { from: 'orders', by: ['name'], measures: { n: 'count(*)' }, having: 'n' },
      },
      code: 'E_SQL_BIND',
      says: /must be BOOLEAN, but is BIGINT/,
    },
    {
      step: { expect: { from: 'orders', checks: [{ unique: ['id', 'nmae'] }] } },
      code: 'E_UNKNOWN_COLUMN',
      says: /'nmae'.*'name'/s,
    },
    {
      step: { expect: { from: 'orders', checks: [{ unique: ['id', 'ID'] }] } },
      code: 'E_SPEC_INVALID',
      says: /'ID' is there twice.*name each column once|'id' is there twice/s,
    },
    {
      step: { distinct: { from: 'orders', keys: ['name'] } },
      code: 'E_SPEC_INVALID',
      says: /keys need an order/,
    },
    {
      step: { window: { from: 'orders', columns: { place: 'rank()' } } },
      code: 'E_WINDOW_ORDER',
      says: /column place.*orderBy/s,
    },
    {
      step: { union: { inputs: ['orders', 'named'], by: 'position' } },
      code: 'E_TYPE_MISMATCH',
      says: /orders has 5 columns, named 2/,
    },
    {
      step: { sort: { from: 'orders', by: ['id; drop table orders'] } },
      code: 'E_SQL_DENIED',
      says: /only SELECT/,
    },
  ];
  it.concurrent.each(cases)('$step', async ({ step, code, says }) => {
    const spec = place.spec(`wide ${JSON.stringify(step)}`, {
      steps: [
        { id: 'named', select: { from: 'orders', columns: { id: 'id', name: 'name' } } },
        { id: 'a', ...step } as never,
      ],
    });
    const own = code === 'E_SPEC_INVALID' ? [/steps\[1\]/, /hint: /] : always;
    await expectInvalid(place, spec, { code, says: [...own, says] });
  });
});

describe('a type that no file can hold is refused', () => {
  const sorted = { id: 'sorted', sort: { from: 'a', by: ['id'] } };
  const cases = [
    { made: 'union_value(num := id)', says: /UNION/ },
    { made: 'id::variant', says: /VARIANT/ },
    { made: "'POINT(1 2)'::geometry", says: /GEOMETRY/ },
  ];
  it.concurrent.each(cases)('$made', async ({ made, says }) => {
    const columns = { id: 'id', odd: made };
    const spec = place.spec(`type ${made}`, {
      steps: [{ id: 'a', select: { from: 'orders', columns } }, sorted],
    });
    const where = [/column odd/, ...always];
    await expectInvalid(place, spec, { code: 'E_TYPE_UNSUPPORTED', says: [says, ...where] });
  });
});

it('a param that is not there is refused with its place, no data looked at', async () => {
  const spec = place.spec('unknown param', {
    params: { min: 1 },
    sources: { orders: { parquet: 'none.parquet' } },
    steps: [{ id: 'a', filter: { from: 'orders', where: 'amount > $mn' } }],
  });
  const refusal = { code: 'E_UNKNOWN_PARAM', says: [/job\.json:1:\d+: /, /'mn'/, /'min'/] };
  await expectInvalid(place, spec, refusal, (args) => verbHere([...args, '--spec-only']));
});

describe('an expression is refused', () => {
  const cases: SqlCase[] = [
    { sql: "getenv('HOME') = 'x'" },
    { sql: "list_transform(['HOME'], x -> getenv(x))[1] = 'x'" },
    { sql: `"getenv"('HOME') = 'x'` },
    { sql: "main.getenv('HOME') = 'x'" },
    { sql: "current_setting('temp_directory') = 'x'" },
    {
      sql: "list_transform([1], x -> (select max(content) from read_text('/etc/hostname'))) is null",
    },
    { sql: "exists (from read_text('/etc/hostname'))" },
    { sql: 'amuont > 1', code: 'E_UNKNOWN_COLUMN', says: [/amuont/, /amount/] },
    { sql: 'amount > )', code: 'E_SQL_SYNTAX', says: [/character/] },
    { sql: 'amount', code: 'E_SQL_BIND', says: [/BOOLEAN/] },
    { sql: 'amont(amount) > 1', code: 'E_SQL_BIND', says: [/amont/] },
    { sql: "name > 1::integer and age + 'x' > 2", code: 'E_SQL_BIND', says: [/age|VARCHAR|x/] },
    { sql: 'sum(amount) > 1', code: 'E_STEP_UNSUPPORTED', says: [/sum/, /aggregate step/] },
    { sql: 'rank() over (order by id) = 1', code: 'E_STEP_UNSUPPORTED', says: [/window step/] },
    { sql: 'id in (select id from orders)', code: 'E_STEP_UNSUPPORTED', says: [/semi or anti/] },
  ];
  it.concurrent.each(cases)('$sql', async ({ sql, code, says }) => {
    const spec = place.spec(`where ${sql}`, {
      params: { min: 1 },
      steps: [{ id: 'a', filter: { from: 'orders', where: sql } }],
    });
    await expectInvalid(place, spec, {
      code: code ?? 'E_SQL_DENIED',
      says: [...always, ...(says ?? [])],
    });
  });
});
