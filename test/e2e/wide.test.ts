/** Every kind of wide step with random options, as a job on two workers, against DuckDB and a statement written by hand. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, unordered, WideCluster } from './wide-cluster.js';
import {
  aggregates,
  distincts,
  type Drawn,
  joins,
  limits,
  sorts,
  unions,
  windows,
} from './wide-steps.js';
import { leftRows, rightRows } from './wide-tables.js';

const seed = 20_261_122;
let cluster: WideCluster;
beforeAll(async () => {
  cluster = await WideCluster.open();
  const sizes = { none: 0, one: 1, few: 40, many: 5000 };
  for (const [size, rows] of Object.entries(sizes)) {
    await cluster.source(`t_${size}`, leftRows(rows, seed), {
      files: rows > 40 ? 2 : 1 + (rows > 1 ? 2 : 0),
    });
    if (size !== 'many')
      await cluster.source(`u_${size}`, rightRows(rows, seed), { files: rows > 1 ? 2 : 1 });
  }
});
afterAll(() => cluster.close());

/** One job has a step and an output for each of the drawn ones. */
async function expectAll(drawn: readonly Drawn[]): Promise<void> {
  const steps = drawn.map(({ step }, at) => ({ id: `x${at}`, ...step }) as never);
  const folder = await cluster.outputs(
    steps,
    drawn.map((_, at) => `x${at}`),
  );
  for (const [at, { step, oracle, ordered }] of drawn.entries()) {
    const form = (answer: Answer): Answer => (ordered ? answer : unordered(answer));
    const found = await cluster.published(`${folder}/x${at}`);
    expect(form(found), `${JSON.stringify(step)}\n${oracle}`).toEqual(
      form(await cluster.answer(oracle)),
    );
  }
}

describe('random options of each kind give what SQL by hand gives', () => {
  const kinds: Record<string, [fc.Arbitrary<Drawn>, number]> = {
    join: [joins, 8],
    aggregate: [aggregates, 8],
    distinct: [distincts, 4],
    sort: [sorts, 4],
    limit: [limits, 4],
    window: [windows, 6],
    union: [unions, 4],
  };
  it.each(Object.entries(kinds))('%s', async (_kind, [steps, numRuns]) => {
    await fc.assert(fc.asyncProperty(fc.array(steps, { minLength: 3, maxLength: 3 }), expectAll), {
      numRuns,
      seed,
      endOnFailure: true,
    });
  });
});

describe('a sample', () => {
  const sample = async (from: string, fields: object): Promise<readonly string[]> => {
    const { output } = await cluster.job([{ id: 'x', sample: { from, ...fields } } as never]);
    return unordered(await cluster.published(output)).rows;
  };

  it('has exactly so many rows of those there are, each at most once', async () => {
    const found = await sample('t_many', { rows: 700, seed: 5 });
    expect(found).toHaveLength(700);
    expect(new Set(found).size).toBe(700);
    const all = new Set((await cluster.answer('from t_many')).rows);
    expect(found.filter((row) => !all.has(row))).toEqual([]);
    expect(await sample('t_few', { rows: 700 })).toHaveLength(40);
  });

  it('of a seed is the same however the rows lie in files, and another of another seed', async () => {
    const rows = leftRows(5000, seed);
    await cluster.source('t_other', rows, { files: 5 });
    const found = await sample('t_many', { fraction: 0.2, seed: 9 });
    expect(found.length).toBeGreaterThan(800);
    expect(found.length).toBeLessThan(1200);
    expect(await sample('t_other', { fraction: 0.2, seed: 9 })).toEqual(found);
    expect(await sample('t_other', { fraction: 0.2, seed: 10 })).not.toEqual(found);
  });
});

describe('a repartition', () => {
  const filesOf = (output: string): string[] =>
    cluster.manifest(output).files.map(({ name }) => cluster.place.path(output, name));

  it('has all rows, in as many files as it says', async () => {
    const { output } = await cluster.job([
      { id: 'x', repartition: { from: 't_many', partitions: 7 } },
    ]);
    expect(filesOf(output)).toHaveLength(7);
    expect(unordered(await cluster.published(output))).toEqual(
      unordered(await cluster.answer('from t_many')),
    );
  });

  it('by keys has rows that are equal in them in one file, NULL and NaN too', async () => {
    const { output } = await cluster.job([
      { id: 'x', repartition: { from: 't_many', keys: ['name', 'x'], partitions: 5 } },
    ]);
    const files = filesOf(output).map((path) => `'${path}'`);
    expect(files.length).toBeGreaterThan(1);
    const spread = await cluster.answer(
      `select name, x from read_parquet([${files.join(', ')}], filename = true)
       group by name, x having count(distinct filename) > 1`,
    );
    expect(spread.rows).toEqual([]);
    expect(unordered(await cluster.published(output))).toEqual(
      unordered(await cluster.answer('from t_many')),
    );
  });
});
