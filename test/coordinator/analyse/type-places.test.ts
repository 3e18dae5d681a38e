/** A type that no file can hold is refused with the step that makes it, wherever it is met. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Workbench } from './workbench.js';

let bench: Workbench;
beforeAll(async () => {
  bench = await Workbench.open();
  await bench.parquet('t.parquet', 'select i as id, i % 3 as part from range(20) t(i)');
});
afterAll(() => bench.close());

const made = (z: string) => ({
  id: 'made',
  select: { from: 't', columns: { '*': true as const, z } },
});
const last = { id: 'last', filter: { from: 'between', where: 'id > 2' } };

test.each([
  ['union_value(num := id)', { filter: { from: 'made', where: 'part > 0' } }, /UNION.*Parquet/],
  ['union_value(num := id)', { sort: { from: 'made', by: ['part'] } }, /UNION.*Parquet/],
  ['[union_value(num := id)]', { expect: { from: 'made', checks: [{ unique: 'id' }] } }, /UNION/],
  ['id::variant', { sort: { from: 'made', by: ['z::bigint'] } }, /VARIANT cannot travel/],
  ["'POINT(1 2)'::geometry", { distinct: { from: 'made' } }, /GEOMETRY.*bytes/],
  ["'101'::bit", { limit: { from: 'made', rows: 3, order: ['id'] } }, /BIT.*text/],
])('%s, met in %j', async (z, step, says) => {
  const failure = await bench.refusal({
    sources: { t: { parquet: bench.path('t.parquet') } },
    steps: [made(z), { id: 'between', ...step } as never, last],
    outputs: [{ from: 'last', parquet: bench.path('out') }],
  });
  expect(failure).toMatchObject({ code: 'E_TYPE_UNSUPPORTED', at: { step: 'made', column: 'z' } });
  expect(failure.message).toMatch(says);
  expect(failure.hint).toMatch(/cast it/);
});

test('what an unused step makes is not blamed', async () => {
  const failure = await bench.refusal({
    sources: { t: { parquet: bench.path('t.parquet') } },
    steps: [
      { id: 'unused', select: { from: 't', columns: { z: "'1'::bit" } } },
      { id: 'used', select: { from: 't', columns: { z: "'1'::bit" } } },
    ],
    outputs: [{ from: 'used', parquet: bench.path('out') }],
  });
  expect(failure.at).toEqual({ step: 'used', column: 'z' });
});
