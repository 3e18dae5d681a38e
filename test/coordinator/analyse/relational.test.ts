import { expect, test } from 'vitest';
import { serialiseQuery } from '../../../coordinator/analyse/relational.js';

const input = {
  name: 'events',
  rows: 1_000_000_000,
  columns: [
    { name: 'id', type: 'BIGINT' },
    { name: 'seen', type: 'TIMESTAMP WITH TIME ZONE' },
    { name: 'small', type: 'TINYINT' },
    { name: 'price', type: 'DECIMAL(4,3)' },
    { name: 'tags', type: 'VARCHAR[]' },
    { name: 'shape', type: 'STRUCT("a b" INTEGER, c MAP(VARCHAR, DOUBLE))' },
  ],
  distinct: new Map([['small', 100_000_000]]),
};

test('an input of a thousand million rows is planned from a few made-up ones', async () => {
  const before = process.memoryUsage().rss;
  const plan = await serialiseQuery(
    [input],
    'select seen, count(*) as n from events group by seen',
  );
  expect(plan).toMatchObject({
    ok: true,
    columns: [
      { name: 'seen', type: 'TIMESTAMP WITH TIME ZONE' },
      { name: 'n', type: 'BIGINT' },
    ],
  });
  expect(process.memoryUsage().rss - before).toBeLessThan(256 * 2 ** 20);
});

test('a query that is wrong comes back with the words and the place', async () => {
  const plan = await serialiseQuery([input], 'select nothing from events');
  expect(plan).toMatchObject({ ok: false, type: 'binder', position: 7 });
  const text = await serialiseQuery([input], 'select from from');
  expect(text).toMatchObject({ ok: false, type: 'parser' });
});

test('no file of this machine can be read and no setting changed', async () => {
  const read = await serialiseQuery([input], `select * from read_text('/etc/hostname')`);
  expect(read.ok).toBe(false);
  const set = await serialiseQuery([input], `set lock_configuration = false`);
  expect(set.ok).toBe(false);
});

test('functions that change between calls or between queries are known', async () => {
  const plan = await serialiseQuery([input], 'select 1');
  if (!plan.ok) throw new Error(plan.message);
  expect(['random', 'now', 'UUID', 'abs'].map(plan.isVolatile)).toEqual([true, true, true, false]);
});
