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
