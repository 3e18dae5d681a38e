/** Wide steps that cannot be meant, and rows that they fail on: the code, the step, what to do, and nothing published. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobSpecInput } from '../../shared/job-spec.js';
import { duckdb, expectFailed, expectInvalid, Place } from './place.js';

type Step = NonNullable<JobSpecInput['steps']>[number];

let place: Place;
beforeAll(async () => {
  place = await Place.open();
  await duckdb(`
    copy (select (i * 3)::bigint as id, 'user-' || (i % 50) as name, i::varchar as code,
        date '2026-01-01' + (i % 9)::integer as since, [i] as tags
      from range(400) t(i)) to '${place.path('users.parquet')}' (format parquet)`);
});
afterAll(() => place.close());

/** Over both sources; the last of the steps is written. */
function specOf(name: string, steps: readonly Step[], change: Partial<JobSpecInput> = {}): string {
  return place.spec(name, {
    sources: {
      orders: { parquet: place.path('data.parquet') },
      users: { parquet: place.path('users.parquet') },
    },
    steps: [...steps],
    ...change,
  });
}

const join = (fields: object): Step => ({
  id: 'a',
  join: { left: 'orders', right: 'users', keys: ['id'], suffix: '_user', ...fields },
});
const aggregate = (fields: object): Step => ({
  id: 'a',
  aggregate: { from: 'orders', by: ['name'], measures: { n: 'count(*)' }, ...fields },
});
const window = (fields: object): Step => ({
  id: 'a',
  window: { from: 'orders', columns: { n: 'count(*)' }, ...fields },
});

const everything = Array.from({ length: 8 }, (_, at) => `orders o${at}`).join(', ');

describe('a wide step is refused before any work, with its name and a hint', () => {
  const cases: [what: string, step: Step, code: string, ...says: RegExp[]][] = [
    ['a key that is not there', join({ keys: ['nmae'] }), 'E_UNKNOWN_COLUMN', /nmae/, /name/],
    [
      'a key that the right lacks',
      join({ keys: { amount: 'amonut' } }),
      'E_UNKNOWN_COLUMN',
      /users\.amonut/,
    ],
    [
      'keys of types that never meet',
      join({ keys: { id: 'code' } }),
      'E_TYPE_MISMATCH',
      /orders\.id is BIGINT, users\.code is VARCHAR/,
    ],
    ['a list as the key of a number', join({ keys: { id: 'tags' } }), 'E_TYPE_MISMATCH', /tags/],
    [
      'two columns of one name without a suffix',
      join({ suffix: undefined }),
      'E_DUPLICATE_COLUMN',
      /both orders and users have 'name'/,
    ],
    [
      'a condition over a column that both sides have',
      join({ where: "name = 'user-1'" }),
      'E_AMBIGUOUS_COLUMN',
      /orders\.name or users\.name/,
    ],
    [
      'a condition that aggregates',
      join({ where: 'sum(amount) > 1' }),
      'E_STEP_UNSUPPORTED',
      /sum\(\)/,
      /aggregate step/,
    ],
    [
      'columns of other types under one name',
      { id: 'a', union: { inputs: ['orders', 'dates'] } },
      'E_TYPE_MISMATCH',
      /'id' is BIGINT, but DATE in dates/,
    ],
    [
      'inputs of another width by position',
      { id: 'a', union: { inputs: ['orders', 'dates'], by: 'position' } },
      'E_TYPE_MISMATCH',
      /orders has 5 columns, dates 1/,
    ],
    [
      'columns of other types in one position',
      { id: 'a', union: { inputs: ['orders', 'users'], by: 'position' } },
      'E_TYPE_MISMATCH',
      /'amount' is DOUBLE, but VARCHAR in users/,
    ],
    [
      'an aggregate in a filter',
      { id: 'a', filter: { from: 'orders', where: 'sum(amount) > 10' } },
      'E_STEP_UNSUPPORTED',
      /sum/,
      /aggregate step/,
    ],
    [
      'a window function in a select',
      { id: 'a', select: { from: 'orders', columns: { n: 'row_number() over ()' } } },
      'E_STEP_UNSUPPORTED',
      /column n/,
      /window step/,
    ],
    [
      'a measure that is a column',
      aggregate({ measures: { x: 'amount' } }),
      'E_SQL_BIND',
      /amount/,
    ],
    [
      'a measure of no column',
      aggregate({ measures: { x: 'sum(amuont)' } }),
      'E_UNKNOWN_COLUMN',
      /'amount'/,
    ],
    ['a group by no column', aggregate({ by: ['contry'] }), 'E_UNKNOWN_COLUMN', /contry/],
    [
      'a group by an aggregate',
      aggregate({ by: [{ x: 'max(id)' }] }),
      'E_STEP_UNSUPPORTED',
      /max\(\)/,
    ],
    ['a set of what is no group', aggregate({ sets: [['age']] }), 'E_SPEC_INVALID', /age/],
    [
      'having over a column of the rows',
      aggregate({ having: 'amount > 1' }),
      'E_SQL_BIND',
      /amount/,
    ],
    [
      'a join of everything with everything that would never end',
      { id: 'a', sql: { query: `select count(*) as n from ${everything}` } },
      'E_JOIN_EXPLODES',
      /about \de\+\d\d pairs of rows/,
    ],
    [
      'a window that needs an order',
      window({ columns: { n: 'lag(id)' } }),
      'E_WINDOW_ORDER',
      /lag/,
      /orderBy/,
    ],
    [
      'a frame that is none',
      window({ frame: 'rows betwixt', orderBy: ['id'] }),
      'E_SQL_SYNTAX',
      /frame: 'rows betwixt' is no window frame/,
    ],
    [
      'an order by no column',
      { id: 'a', sort: { from: 'orders', by: ['agee desc'] } },
      'E_UNKNOWN_COLUMN',
      /'age'/,
    ],
    [
      'an order that is none',
      { id: 'a', sort: { from: 'orders', by: ['age descending'] } },
      'E_SQL_SYNTAX',
      /age/,
    ],
    [
      'chunks by no column',
      { id: 'a', repartition: { from: 'orders', keys: ['nmae'] } },
      'E_UNKNOWN_COLUMN',
      /nmae/,
    ],
  ];
  it.concurrent.each(cases)('%s', async (what, step, code, ...says) => {
    const dates: Step = { id: 'dates', select: { from: 'users', columns: { id: 'since' } } };
    const spec = specOf(what, [dates, step]);
    const where = code === 'E_SPEC_INVALID' ? /steps\[1\]/ : /step a/;
    await expectInvalid(place, spec, { code, says: [where, /hint: /, ...says] });
  });

  it.concurrent('a model over a column that a join made text', async () => {
    const scored: Step = {
      id: 'scored',
      infer: {
        from: 'a',
        model: place.path('model.onnx'),
        inputs: { x: ['code', 'age'] },
        outputs: { y: 'score' },
      },
    };
    const spec = specOf('model over text', [join({}), scored]);
    await expectInvalid(place, spec, {
      code: 'E_MODEL_INPUT',
      says: [/step scored/, /code/, /hint: /],
    });
  });

  it.concurrent('a folder by a column that the groups do not have', async () => {
    const spec = specOf('folder', [aggregate({})], {
      outputs: [{ from: 'a', parquet: 'out', partitionBy: ['age'] }],
    });
    await expectInvalid(place, spec, { code: 'E_UNKNOWN_COLUMN', says: [/age/, /hint: /] });
  });
});

describe('a row that a wide step fails on fails the job, with the step and a hint', () => {
  // Fails on the one row without visits.
  const number = "cast(case when visits is null then name else '1' end as integer)";
  const cases: [what: string, step: Step][] = [
    [
      'in the condition of a join',
      join({ keys: { age: 'id' }, where: `${number.replace('name', 'orders.name')} > 0` }),
    ],
    ['in a measure', aggregate({ measures: { x: `sum(${number})` } })],
    ['in a group', aggregate({ by: [{ x: number }] })],
    ['in an order', { id: 'a', sort: { from: 'orders', by: [number] } }],
    ['in the order of a limit', { id: 'a', limit: { from: 'orders', rows: 5, order: [number] } }],
    ['in a window', window({ columns: { x: `max(${number})` } })],
    [
      'in a query',
      { id: 'a', sql: { query: `select name, max(${number}) as x from orders group by name` } },
    ],
  ];
  it.concurrent.each(cases)('%s', async (what, step) => {
    const { failure, ended } = await expectFailed(
      place,
      specOf(`cast ${what}`, [step]),
      'E_SQL_RUNTIME',
    );
    expect(failure.at?.step, JSON.stringify(failure)).toBe('a');
    expect(failure.hint).toBeTruthy();
    expect(failure.message).toMatch(/'user-49'.*it fails for the row/);
    expect(ended.stderr).toMatch(/step a/);
  });
});

it('a sum that overflows in one row is told with its step, its file and that row', async () => {
  const measures = { x: 'sum(id + case when visits is null then 9223372036854775807 else 0 end)' };
  const { failure } = await expectFailed(
    place,
    specOf('overflow', [aggregate({ measures })]),
    'E_SQL_RUNTIME',
  );
  expect(failure.at).toMatchObject({ step: 'a', file: place.path('data.parquet'), row: 31234 });
  expect(failure.message).toMatch(/Overflow.*it fails for the row \{.*"id":31234/);
  expect(failure.hint).toBeTruthy();
});

it('a sum that overflows by many rows is told with its step, its measure and the group', async () => {
  const value = `case when name = 'user-7' then 900000000000000000000000000000000000 else 1 end`;
  const steps: Step[] = [
    { id: 'large', sql: { query: `select name, (${value})::DECIMAL(38,0) as value from orders` } },
    {
      id: 'a',
      aggregate: {
        from: 'large',
        by: ['name'],
        measures: { n: 'count(*)', total: 'sum(value)::DECIMAL(38,0)', mean: 'avg(value)' },
      },
    },
  ];
  const { failure } = await expectFailed(place, specOf('overflows', steps), 'E_SQL_RUNTIME');
  expect(failure.at).toMatchObject({ step: 'large, a', column: 'sum(value)' });
  expect(failure.message).toMatch(/the largest, as DOUBLE, is in the row \{.*"user-7"/);
  expect(failure.hint).toMatch(/sum\(x::DOUBLE\)/);
});

describe('a join that explodes', () => {
  it('ends at the time a task may take, and says in which stage', async () => {
    const steps: Step[] = [
      join({ how: 'cross', keys: undefined, where: 'orders.id * users.id % 7 <> 8' }),
      { id: 'more', join: { left: 'a', right: 'orders', how: 'cross', suffix: '_again' } },
      {
        id: 'n',
        aggregate: {
          from: 'more',
          by: ['code'],
          measures: { n: 'count(*)', x: 'sum(amount * amount_again)' },
        },
      },
    ];
    const spec = specOf('explodes', steps, { run: { taskTimeout: 'PT3S', attempts: 1 } });
    const { failure } = await expectFailed(place, spec, 'E_TASK_TIMEOUT');
    expect(failure.message).toMatch(/task \d+ in stage s0\w* took too long/);
    expect(failure.hint).toBeTruthy();
  });
});
