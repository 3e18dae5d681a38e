import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { shownStep } from '../../../coordinator/analyse/unique.js';
import { Workbench } from './workbench.js';

let bench: Workbench;
beforeAll(async () => {
  bench = await Workbench.open();
  await bench.parquet(
    'orders.parquet',
    `select 1::bigint as id, 1::bigint as user_id, 1.5::double as amount, 'x' as country, date '2026-01-01' as day`,
  );
  await bench.parquet(
    'users.parquet',
    `select 1::bigint as user_id, 2::bigint as friend_id, 'x' as name, 'y' as country`,
  );
});
afterAll(() => bench.close());

const page = readFileSync(new URL('../../../docs/SPEC.md', import.meta.url), 'utf8');
const examples = [...page.matchAll(/```yaml\n(- [\s\S]*?)```/g)].map(([, text]) => text ?? '');

test.each(examples)('an example in docs/SPEC.md is bound:\n%s', async (text) => {
  const steps = parse(text) as { id: string }[];
  const { wide } = await bench.facts({
    params: { minAmount: 10 },
    sources: {
      orders: { parquet: bench.path('orders.parquet') },
      users: { parquet: bench.path('users.parquet') },
    },
    steps: steps as never,
    outputs: [{ from: steps[0]!.id, parquet: bench.path('out') }],
  });
  expect([...wide.keys()].map(shownStep).sort()).toEqual(steps.map(({ id }) => id).sort());
});
