/** Which stages jobs with queries have before anything has run, and what each of them reads. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stagesRead } from '../../../coordinator/planner/exchange-chunks.js';
import type { JobSpecInput } from '../../../shared/job-spec.js';
import { mlpModel } from '../../../shared/onnx-model.js';
import type { JobPlan, StagePlan } from '../../../shared/plan.js';
import { Workbench } from '../analyse/workbench.js';

let bench: Workbench;
beforeAll(async () => {
  bench = await Workbench.open();
  await bench.parquet(
    'orders.parquet',
    `select i::bigint as order_id, (i % 50)::integer as user_id, (i * 0.25)::double as amount,
       (i % 9)::integer as visits from range(1000) t(i)`,
  );
  await bench.parquet(
    'users.parquet',
    `select i::integer as user_id, 20 + i as age from range(50) t(i)`,
  );
  const layer = {
    weights: new Float32Array(2),
    bias: new Float32Array(1),
    activation: 'sigmoid',
  } as const;
  bench.upload('churn.onnx', mlpModel([layer], { input: 'x', output: 'churn' }));
});
afterAll(() => bench.close());

type Steps = NonNullable<JobSpecInput['steps']>;

async function planOf(steps: Steps, outputs: JobSpecInput['outputs']): Promise<JobPlan> {
  const { plan } = await bench.plan({
    sources: {
      orders: { parquet: bench.path('orders.parquet') },
      users: { parquet: bench.path('users.parquet') },
    },
    steps,
    outputs: outputs.map((output) => ({ ...output, parquet: bench.path(output.parquet) })),
  });
  return plan;
}

/** `id kind(what it reads) steps`, one line a stage. */
function shapeOf({ stages }: JobPlan): string[] {
  const reads = (stage: StagePlan): string => {
    const { input } = stage;
    if (input.kind === 'source') return input.source;
    if (input.kind !== 'query') return stagesRead(stage).join();
    return Object.values(input.tables)
      .map((table) => (table.kind === 'source' ? table.source : table.stages.join()))
      .join();
  };
  return stages.map((stage) => {
    const steps = stage.program.steps.map(({ id }) => id).filter((id) => id !== 'types');
    return [`${stage.id} ${stage.input.kind}(${reads(stage)})`, ...steps].join(' ');
  });
}
const publishes = ({ outputs }: JobPlan): string[] =>
  outputs.map(({ name, stage }) => `${name} ${stage}`);

const byUser: Steps[number] = {
  id: 'byUser',
  aggregate: { from: 'orders', by: ['user_id'], measures: { n: 'count(*)', most: 'max(amount)' } },
};
const scored = (from: string): Steps[number] => ({
  id: 'scored',
  infer: {
    from,
    model: bench.path('churn.onnx'),
    inputs: { x: ['user_id', 'n'] },
    outputs: { churn: 'churn' },
  },
});

describe('a query', () => {
  test('that one output alone reads is published as it stands', async () => {
    const plan = await planOf([byUser], [{ from: 'byUser', parquet: 'a' }]);
    expect(shapeOf(plan)).toEqual(['s0 query(orders)']);
    expect(publishes(plan)).toEqual(['byUser s0']);
    expect(plan.sources?.['orders']).toHaveLength(1);
    expect(plan.stages[0]).toMatchObject({ rows: 1000, taskStarts: [] });
  });

  test('of several steps is one, and says so', async () => {
    const plan = await planOf(
      [
        { id: 'joined', join: { left: 'orders', right: 'users', keys: ['user_id'] } },
        { id: 'adult', filter: { from: 'joined', where: 'age > 30' } },
        { id: 'byAge', aggregate: { from: 'adult', by: ['age'], measures: { n: 'count(*)' } } },
      ],
      [{ from: 'byAge', parquet: 'a' }],
    );
    expect(shapeOf(plan)).toEqual(['s0 query(orders,users)']);
    expect(plan.stages[0]?.rows).toBe(1050);
    expect(plan.notes.map(({ text }) => text)).toContain('s0 is one query of joined, adult, byAge');
  });

  test('that two outputs read runs once, and is kept for both', async () => {
    const plan = await planOf(
      [byUser],
      [
        { from: 'byUser', parquet: 'a' },
        { name: 'again', from: 'byUser', parquet: 'b', compression: 'zstd' },
      ],
    );
    expect(shapeOf(plan)).toEqual(['s0 query(orders)', 's1 stage(s0)', 's2 stage(s0)']);
    expect(publishes(plan)).toEqual(['byUser s1', 'again s2']);
  });

  test('whose rows are divided by values is kept before it is rewritten', async () => {
    const plan = await planOf([byUser], [{ from: 'byUser', parquet: 'a', partitionBy: ['n'] }]);
    expect(shapeOf(plan)).toEqual(['s0 query(orders)', 's1 stage(s0)']);
    expect(publishes(plan)).toEqual(['byUser s1']);
  });

  test('may be followed by a model, which has only what it needs kept', async () => {
    const plan = await planOf(
      [
        byUser,
        scored('byUser'),
        { id: 'only', select: { from: 'scored', columns: { churn: 'churn' } } },
      ],
      [{ from: 'only', parquet: 'a' }],
    );
    expect(shapeOf(plan)).toEqual(['s0 query(orders)', 's1 stage(s0) scored only']);
    expect(plan.stages[0]?.program.sink.columns.map(({ name }) => name)).toEqual(['user_id', 'n']);
  });

  test('may follow a model, which runs once for all that read its rows', async () => {
    const small: Steps[number] = {
      id: 'narrow',
      select: { from: 'orders', columns: { user_id: 'user_id', n: 'visits' } },
    };
    const means: Steps[number] = {
      id: 'means',
      aggregate: { from: 'scored', by: ['user_id'], measures: { mean: 'avg(churn)' } },
    };
    const plan = await planOf(
      [small, scored('narrow'), means],
      [
        { from: 'scored', parquet: 'a' },
        { from: 'means', parquet: 'b' },
      ],
    );
    expect(shapeOf(plan)).toEqual([
      's0 source(orders) narrow scored',
      's1 stage(s0)',
      's2 query(s0)',
    ]);
    expect(publishes(plan)).toEqual(['scored s1', 'means s2']);
    expect(plan.stages[2]?.rows).toBe(0);
  });

  test('that another query and an output read is kept for both, before them', async () => {
    const top: Steps[number] = {
      id: 'top',
      aggregate: { from: 'byUser', measures: { most: 'max(n)' } },
    };
    const plan = await planOf(
      [byUser, top],
      [
        { from: 'top', parquet: 'b' },
        { from: 'byUser', parquet: 'a' },
      ],
    );
    expect(shapeOf(plan)).toEqual(['s0 query(orders)', 's1 stage(s0)', 's2 query(s0)']);
    expect(publishes(plan)).toEqual(['top s2', 'byUser s1']);
  });

  test('keeps of a result that others read no more than they read', async () => {
    const two = ['n', 'most'].map((name): Steps[number] => ({
      id: `top_${name}`,
      aggregate: { from: 'byUser', measures: { value: `max(${name})` } },
    }));
    const plan = await planOf(
      [byUser, ...two],
      two.map(({ id }) => ({ from: id, parquet: id })),
    );
    expect(shapeOf(plan)).toEqual(['s0 query(orders)', 's1 query(s0)', 's2 query(s0)']);
    expect(plan.stages[0]?.program.sink.columns.map(({ name }) => name)).toEqual(['n', 'most']);
  });
});

test('what an output holds is another thing once anything behind its query is', async () => {
  const identity = async (steps: Steps): Promise<string> =>
    (await planOf(steps, [{ from: 'byUser', parquet: 'a' }])).outputs[0]!.identity;
  const same = await identity([byUser]);
  expect(await identity([byUser])).toBe(same);
  const other: Steps[number] = {
    id: 'byUser',
    aggregate: {
      from: 'orders',
      by: ['user_id'],
      measures: { n: 'count(*)', most: 'min(amount)' },
    },
  };
  expect(await identity([other])).not.toBe(same);
  await bench.parquet(
    'orders.parquet',
    `select i::bigint as order_id, (i % 50)::integer as user_id, (i * 0.25)::double as amount,
       (i % 9)::integer as visits from range(1001) t(i)`,
  );
  expect(await identity([byUser])).not.toBe(same);
});
