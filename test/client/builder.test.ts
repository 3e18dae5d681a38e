import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { job, parquet } from '../../client/index.js';
import { parseSpecText, validateSpec } from '../../shared/spec-file.js';

const yaml = `
apiVersion: windrow/v1
kind: Job
metadata: { name: score, labels: { team: risk } }
params: { minAmount: 10 }
run: { attempts: 2 }
sources:
  orders: { parquet: data/*.parquet, unionByName: true }
steps:
  - { id: recent, filter: { from: orders, where: amount > $minAmount } }
  - { id: features, select: { from: recent, columns: { "*": true, ratio: amount / visits } } }
  - { id: named, sql: { query: select * from features where ratio > 1 } }
  - { id: mapped, map: { from: named, module: fn.ts, columns: { y: INTEGER } } }
  - { id: scored, infer: { from: mapped, model: m.onnx, inputs: { x: [ratio] }, outputs: { s: p } } }
  - { id: checked, expect: { from: scored, checks: [{ notNull: p }] } }
checkpoints: { keep: P1D }
deadLetters: { maxRows: 5 }
outputs:
  - { name: all, from: checked, parquet: out, mode: overwrite }
`;

const built = job('score')
  .labels({ team: 'risk' })
  .params({ minAmount: 10 })
  .run({ attempts: 2 })
  .source('orders', parquet('data/*.parquet', { unionByName: true }))
  .filter('recent', { from: 'orders', where: 'amount > $minAmount' })
  .select('features', { from: 'recent', columns: { '*': true, ratio: 'amount / visits' } })
  .sql('named', 'select * from features where ratio > 1')
  .map('mapped', { from: 'named', module: 'fn.ts', columns: { y: 'INTEGER' } })
  .infer('scored', {
    from: 'mapped',
    model: 'm.onnx',
    inputs: { x: ['ratio'] },
    outputs: { s: 'p' },
  })
  .expect('checked', { from: 'scored', checks: [{ notNull: 'p' }] })
  .checkpoints({ keep: 'P1D' })
  .deadLetters({ maxRows: 5 })
  .output({ name: 'all', from: 'checked', parquet: 'out', mode: 'overwrite' });

test('the builder makes the JSON that the YAML is', () => {
  const { input, spec } = parseSpecText(yaml);
  expect(built.toJSON()).toEqual(input);
  expect(validateSpec(built.toJSON())).toEqual(spec);
});

test('the builder makes every wide step as the YAML is', () => {
  const { input, spec } = parseSpecText(`
apiVersion: windrow/v1
kind: Job
metadata: { name: wide }
sources:
  orders: { parquet: orders.parquet }
  users: { parquet: users.parquet }
steps:
  - { id: both, join: { left: orders, right: users, keys: { user: id }, how: left, suffix: _user } }
  - { id: sums, aggregate: { from: both, by: [user], measures: { n: count(*) }, sets: rollup } }
  - { id: last, distinct: { from: both, keys: [user], order: [day desc] } }
  - { id: sorted, sort: { from: last, by: [day] } }
  - { id: few, limit: { from: sorted, rows: 10, order: [day] } }
  - { id: ranked, window: { from: few, orderBy: [day], columns: { place: rank() } } }
  - { id: all, union: { inputs: [ranked, few] } }
  - { id: some, sample: { from: all, fraction: 0.5, seed: 1 } }
  - { id: dealt, repartition: { from: some, partitions: 4 } }
outputs:
  - { from: dealt, parquet: out }
`);
  const builder = job('wide')
    .source('orders', parquet('orders.parquet'))
    .source('users', parquet('users.parquet'))
    .join('both', {
      left: 'orders',
      right: 'users',
      keys: { user: 'id' },
      how: 'left',
      suffix: '_user',
    })
    .aggregate('sums', { from: 'both', by: ['user'], measures: { n: 'count(*)' }, sets: 'rollup' })
    .distinct('last', { from: 'both', keys: ['user'], order: ['day desc'] })
    .sort('sorted', { from: 'last', by: ['day'] })
    .limit('few', { from: 'sorted', rows: 10, order: ['day'] })
    .window('ranked', { from: 'few', orderBy: ['day'], columns: { place: 'rank()' } })
    .union('all', { inputs: ['ranked', 'few'] })
    .sample('some', { from: 'all', fraction: 0.5, seed: 1 })
    .repartition('dealt', { from: 'some', partitions: 4 })
    .output({ from: 'dealt', parquet: 'out' });
  expect(builder.toJSON()).toEqual(input);
  expect(validateSpec(builder.toJSON())).toEqual(spec);
});

test('a join or union of what is not there yet does not compile', () => {
  const start = job('a').source('s', parquet('x.parquet'));
  // @ts-expect-error there is no step 'later'
  start.join('j', { left: 's', right: 'later', keys: ['id'] });
  // @ts-expect-error there is no step 'later'
  start.union('u', { inputs: ['s', 'later'] });
  expect(start.toJSON().steps).toBeUndefined();
});

test('a common beginning can be shared', () => {
  const start = job('a').source('s', parquet(['x.parquet']));
  start.filter('f', { from: 's', where: 'true' });
  expect(start.toJSON().steps).toBeUndefined();
});

test('an id that is not there yet does not compile', () => {
  const start = job('a').source('s', parquet('x.parquet'));
  // @ts-expect-error there is no step 'later'
  const wrong = start.filter('f', { from: 'later', where: 'true' });
  expect(() => validateSpec(wrong.output({ from: 'f', parquet: 'o' }).toJSON())).toThrow(
    /E_UNKNOWN_STEP/,
  );
});

test('a built job loads like a file of that directory', async () => {
  const loaded = await job('a')
    .source('s', parquet('x.parquet'))
    .output({ from: 's', parquet: 'out' })
    .load('somewhere');
  expect(JSON.parse(loaded.specJson)).toMatchObject({
    outputs: [{ parquet: resolve('somewhere/out') }],
  });
});
