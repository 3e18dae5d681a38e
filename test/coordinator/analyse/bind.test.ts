import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { StepSpec } from '../../../shared/job-spec.js';
import type { ProgramStep } from '../../../shared/plan.js';
import { Workbench } from './workbench.js';

let bench: Workbench;
let orders: string;
const longName = 'n'.repeat(1024);

beforeAll(async () => {
  bench = await Workbench.open();
  orders = await bench.parquet(
    'orders.parquet',
    `select i::integer as id, (i * 1.5)::double as amount, 'u' || i as name, date '2026-01-01' + i::integer as day,
       timestamp '2026-01-01' + to_hours(i::integer) as seen, [i, i] as list, {'f': i, 'g': 'x'} as s, i % 2 = 0 as even,
       i as "we""ird", i as "${longName}"
     from range(10) t(i)`,
  );
});
afterAll(() => bench.close());

const params = {
  minAmount: 10,
  ratio: 0.5,
  city: "O'Hare",
  flag: true,
  nothing: null,
  big: 9007199254740991,
};

async function programOf(...steps: unknown[]): Promise<readonly ProgramStep[]> {
  const list = steps as StepSpec[];
  const { plan } = await bench.plan({
    params,
    sources: { orders: { parquet: orders } },
    steps: list,
    outputs: [{ from: list.at(-1)!.id, parquet: bench.path('out') }],
  });
  return plan.stages[0]!.program.steps;
}

async function whereOf(where: string): Promise<string> {
  const [step] = await programOf({ id: 'f', filter: { from: 'orders', where } });
  return step?.kind === 'filter' ? step.where : '';
}

describe('expressions are closed', () => {
  test.each([
    ['amount > $minAmount', '(amount > 10)'],
    ['amount > $MINAMOUNT', '(amount > 10)'],
    ['amount > $ratio', "(amount > CAST('0.5' AS DOUBLE))"],
    ['amount > 1e-2', "(amount > CAST('0.01' AS DOUBLE))"],
    ['amount > 1e2 + 0.5', "(amount > (CAST('100.0' AS DOUBLE) + 0.5))"],
    ['amount > 1.5e300', "(amount > CAST('1.5e300' AS DOUBLE))"],
    ['name = $city', `("name" = 'O''Hare')`],
    ['even = $flag', "(even = CAST('t' AS BOOLEAN))"],
    ['name is distinct from $nothing', '("name" IS DISTINCT FROM NULL)'],
    ['id < $big', '(id < 9007199254740991)'],
    ['id < 9223372036854775807', '(id < 9223372036854775807)'],
    ['seen < now()', "(seen < CAST('2026-11-22 02:00:00.123+00' AS TIMESTAMP WITH TIME ZONE))"],
    ['day < current_date', '("day" < CAST(\'2026-11-22\' AS DATE))'],
    ['orders.id = 1', '(id = 1)'],
    ['ID = 1', '(id = 1)'],
    ['s.f = 1', "(struct_extract(s, 'f') = 1)"],
    ['orders.s.f = 1', "(struct_extract(s, 'f') = 1)"],
    [
      'list_sum(list_transform(list, x -> x + id)) > 1',
      '(list_sum(list_transform(list, (x -> (x + id)))) > 1)',
    ],
    ['"we""ird" = 1 -- a comment', '("we""ird" = 1)'],
    [`${longName} = 1`, `(${longName} = 1)`],
  ])('%s', async (where, closed) => {
    expect(await whereOf(where)).toBe(closed);
  });

  test('random makes a stage that no other job reuses', async () => {
    const { plan } = await bench.plan({
      sources: { orders: { parquet: orders } },
      steps: [{ id: 'f', filter: { from: 'orders', where: 'random() < 0.5' } }],
      outputs: [{ from: 'f', parquet: bench.path('out') }],
    });
    expect(plan.stages[0]!.deterministic).toBe(false);
    expect(plan.notes.map((note) => note.kind)).toContain('nondeterministic');
  });

  test('the clock is part of what a stage depends on', async () => {
    const spec = {
      sources: { orders: { parquet: orders } },
      steps: [{ id: 'f', filter: { from: 'orders', where: 'seen < now()' } }],
      outputs: [{ from: 'f', parquet: bench.path('out') }],
    };
    const [first, second] = [await bench.plan(spec), await bench.plan(spec, { nowMs: 1 })];
    expect(first.plan.stages[0]!.digest).not.toBe(second.plan.stages[0]!.digest);
    const again = await bench.plan(spec);
    expect(again.plan.stages[0]!.digest).toBe(first.plan.stages[0]!.digest);
  });
});

describe('select', () => {
  test('keeps, replaces in place and adds columns, which may build on each other', async () => {
    const [step] = await programOf({
      id: 'x',
      select: {
        from: 'orders',
        columns: { '*': true, amount: 'amount * 2', twice: 'id * 2', four: 'twice * 2' },
      },
    });
    const columns = step?.kind === 'select' ? step.columns : [];
    expect(columns[1]).toEqual({ name: 'amount', expr: '(amount * 2)' });
    expect(columns.at(-1)).toEqual({ name: 'four', expr: '((id * 2) * 2)' });
  });
});

describe('a sql step', () => {
  test('is a filter and a projection', async () => {
    const steps = await programOf({
      id: 'q',
      sql: {
        query:
          'select o.id, amount + 1 as more, o.* exclude (id, amount, list, s) from orders o where more > 3',
      },
    });
    expect(steps.map((step) => [step.kind, step.id])).toEqual([
      ['filter', 'q'],
      ['select', 'q'],
    ]);
    expect(steps[0]).toMatchObject({ where: '((amount + 1) > 3)' });
  });

  test('stays SQL where only DuckDB can name its columns', async () => {
    const steps = await programOf({
      id: 'q',
      sql: { query: "select columns('a.*') from orders where id > $minAmount" },
    });
    expect(steps.map((step) => step.kind)).toEqual(['filter', 'sql']);
    expect(steps[1]).toMatchObject({ input: 'orders' });
  });
});

describe('what is wrong is refused with a code', () => {
  const filter = (where: string): unknown => ({ id: 'x', filter: { from: 'orders', where } });
  const query = (text: string): unknown => ({ id: 'x', sql: { query: text } });
  const select = (columns: Record<string, unknown>): unknown => ({
    id: 'x',
    select: { from: 'orders', columns },
  });
  test.each<[string, unknown, RegExp]>([
    ['E_UNKNOWN_COLUMN', filter('amout > 1'), /did you mean 'amount'/],
    ['E_UNKNOWN_COLUMN', select({ y: 'list_transform(list, z -> z + zz)' }), /zz/],
    ['E_UNKNOWN_PARAM', filter('amount > $minAmuont'), /did you mean 'minAmount'/],
    ['E_UNKNOWN_PARAM', filter('amount > ?'), /param '1'/],
    ['E_SQL_SYNTAX', filter('amount > '), /at character/],
    ['E_SQL_SYNTAX', filter('amount > 1 as x'), /more than one expression/],
    ['E_SQL_SYNTAX', filter('true from orders'), /more than one expression/],
    ['E_SQL_SYNTAX', filter('true, false'), /more than one expression/],
    ['E_SQL_BIND', filter('amount'), /must be BOOLEAN, but is DOUBLE/],
    ['E_SQL_BIND', filter("day + 'x' > 1"), /No function matches|Could not/],
    ['E_SQL_BIND', filter('no_such_function(id)'), /no_such_function/],
    ['E_SQL_BIND', select({ a: 'id', b: 'name - 1.5::date' }), /column b/],
    ['E_SQL_DENIED', filter("getenv('HOME') = 'x'"), /getenv/],
    ['E_SQL_DENIED', filter("current_setting('threads') = 'x'"), /current_setting/],
    ['E_SQL_DENIED', filter('current_user = name'), /current_user/],
    ['E_SQL_DENIED', filter('age(seen) > interval 1 day'), /name both times/],
    ['E_SQL_DENIED', filter("exists (from read_text('/etc/passwd'))"), /read_text/],
    ['E_SQL_DENIED', filter("(select count(*) from '/etc/x.csv') > 1"), /x\.csv/],
    ['E_SQL_DENIED', filter('sleep_ms(1000) is null'), /sleep_ms/],
    ['E_STEP_UNSUPPORTED', filter('id in (select id from orders)'), /subquery.*join step/],
    ['E_STEP_UNSUPPORTED', filter('sum(id) > 1'), /sum.*aggregate step/],
    ['E_STEP_UNSUPPORTED', filter('row_number() over () > 1'), /window function.*window step/],
    ['E_STEP_UNSUPPORTED', select({ y: 'unnest(list)' }), /number of rows.*sql step/],
    ['E_SQL_DENIED', query('select 1; select 2'), /2 statements/],
    ['E_SQL_DENIED', query('pragma version'), /only SELECT/],
    ['E_SQL_DENIED', query("attach 'x.db'"), /only SELECT/],
    ['E_SQL_DENIED', query("copy orders to '/tmp/x.csv'"), /only SELECT/],
    ['E_SQL_DENIED', query("select * from read_parquet('/tmp/x')"), /read_parquet/],
    ['E_SQL_DENIED', query("from '/etc/hosts.csv'"), /hosts\.csv/],
    ['E_SQL_DENIED', query('from information_schema.tables'), /tables/],
    ['E_SQL_DENIED', query("select * from query('select 1')"), /query/],
    ['E_UNKNOWN_STEP', query('select * from ordres'), /did you mean 'orders'/],
    ['E_STEP_UNSUPPORTED', query('select 1'), /reads no source/],
    ['E_DUPLICATE_COLUMN', query('select id, ID from orders'), /two columns/],
    ['E_DUPLICATE_COLUMN', select({ a: 'id', A: 'id' }), /two columns/],
    ['E_TYPE_UNSUPPORTED', select({ a: 'id::hugeint' }), /decimal\(38,0\)/],
    ['E_TYPE_UNSUPPORTED', select({ a: '[id::uhugeint]' }), /decimal\(38,0\)/],
  ])('%s: %j', async (code, step, message) => {
    const failure = await bench.refusal({
      params,
      sources: { orders: { parquet: orders } },
      steps: [step as StepSpec],
      outputs: [{ from: 'x', parquet: bench.path('out') }],
    });
    expect(failure).toMatchObject({ code, kind: 'invalidSpec' });
    expect(JSON.stringify(failure) + ` column ${failure.at?.column}`).toMatch(message);
  });

  test('E_SPEC_CYCLE when SQL closes a circle', async () => {
    const failure = await bench.refusal({
      sources: { orders: { parquet: orders } },
      steps: [
        { id: 'a', sql: { query: 'from b' } },
        { id: 'b', filter: { from: 'a', where: 'true' } },
      ],
      outputs: [{ from: 'b', parquet: bench.path('out') }],
    });
    expect(failure).toMatchObject({ code: 'E_SPEC_CYCLE' });
  });
});
