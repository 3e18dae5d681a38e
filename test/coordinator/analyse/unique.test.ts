/** Uniqueness as a query: the same answers as counting over all rows, and only keys are exchanged. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ExpectOperator } from '../../../coordinator/planner/facts.js';
import { WideBench } from './wide-bench.js';

let bench: WideBench;
beforeAll(async () => {
  bench = await WideBench.open();
});
afterAll(() => bench.close());

const checks = (...list: object[]) => ({ expect: { from: 'orders', checks: list } });
const hidden = '_windrow_unique_x';

describe('rows that are alone', () => {
  test.each([
    [['id'], 'true'],
    [['name'], 'count(*) over (partition by name) = 1'],
    [
      ['user_id', 'amount'],
      'user_id is null or amount is null or count(*) over (partition by user_id, amount) = 1',
    ],
    [['list'], 'count(*) over (partition by list) = 1'],
    [['s', 'day'], 'count(*) over (partition by s, day) = 1'],
  ])('by %j are those that SQL counts once', async (columns, alone) => {
    const facts = await bench.facts(checks({ unique: columns }));
    const found = await bench.answer(facts.wide.get(hidden)!.sql);
    const list = columns.join(', ');
    const wanted = await bench.answer(
      `select * exclude (u), u as "unique (${list})", if(u, null, count(*) over (partition by ${list})) as "times (${list})"
       from (select *, ${alone} as u from orders)`,
    );
    expect(found).toEqual(wanted);
  });

  test('are judged by columns of their own, which the step drops again', async () => {
    const facts = await bench.facts(
      checks(
        { unique: 'ID' },
        { notNull: 'id' },
        { name: 'pair', unique: ['name', 'day'], onFail: 'warn' },
      ),
    );
    const step = facts.steps.get('x')!;
    expect(step.from).toBe(hidden);
    const [operator, drop] = step.operators as [ExpectOperator, unknown];
    expect(operator.step.checks).toEqual([
      {
        name: 'unique1',
        predicate: '"unique (id)"',
        example: `'id = ' || cast("id" as VARCHAR) || ', in ' || "times (id)" || ' rows'`,
        action: 'fail',
      },
      { name: 'notNull2', predicate: '(id IS NOT NULL)', action: 'fail' },
      expect.objectContaining({ predicate: '"unique (name, day)"', action: 'warn' }),
    ]);
    expect(drop).toMatchObject({ kind: 'select', columns: facts.sources.get('orders')!.columns });
    expect(step.columns).toEqual(facts.sources.get('orders')!.columns);
    expect(facts.queries.get(hidden)).toMatchObject({ steps: ['x'], deterministic: true });
  });

  test('are told in a column that no other is called', async () => {
    const before = [
      { id: 'b', select: { from: 'orders', columns: { id: true, 'Unique (id)': 'id' } } },
    ];
    const facts = await bench.facts({ expect: { from: 'b', checks: [{ unique: 'id' }] } }, before);
    const names = facts.wide.get(hidden)!.columns.map(({ name }) => name);
    expect(names).toEqual(['id', 'Unique (id)', "unique (id)'", 'times (id)']);
  });

  test('are looked for in rows that are kept, as they must be the same twice', async () => {
    const before = [
      { id: 'g', aggregate: { from: 'orders', by: ['day'], measures: { s: 'sum(amount)' } } },
    ];
    const facts = await bench.facts({ expect: { from: 'g', checks: [{ unique: 's' }] } }, before);
    expect([...facts.queries.keys()]).toEqual(['g', hidden]);
    expect(facts.queries.get(hidden)!.tables.map(({ id }) => id)).toEqual(['g']);
  });
});

test('a column that is not there is refused at the step', async () => {
  const failure = await bench.refusal(checks({ unique: ['id', 'nmae'] }));
  expect(failure).toMatchObject({ code: 'E_UNKNOWN_COLUMN', at: { step: 'x' } });
  expect(failure.hint).toMatch(/name/);
});
