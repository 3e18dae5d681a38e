/** Jobs of several steps, wide ones among them, on two workers: against DuckDB and statements written by hand. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mlpModel } from '../../shared/onnx-model.js';
import { type StepInput, unordered, WideCluster } from './wide-cluster.js';
import { chainsOf, ends, links } from './wide-chains.js';
import { leftRows, rightRows, pad } from './wide-tables.js';

let cluster: WideCluster;
const seed = 7;

beforeAll(async () => {
  cluster = await WideCluster.open();
  await cluster.source('t', leftRows(5000, seed), { files: 2 });
  await cluster.source('u', rightRows(40, seed), { files: 2 });
  await cluster.source('numbers', `select i as id, i % 10 as a, i % 4 as b from range(6000) r(i)`, {
    files: 3,
  });
  // y = a - b / 2 + 3, without rounding for these values.
  const layer = {
    weights: Float32Array.of(1, -0.5),
    bias: Float32Array.of(3),
    activation: 'none' as const,
  };
  cluster.place.write('model.onnx', mlpModel([layer], { input: 'x', output: 'y' }));
});
afterAll(() => cluster.close());

const infer = (from: string): StepInput => ({
  id: 'scored',
  infer: {
    from,
    model: 'model.onnx',
    inputs: { x: ['a', 'b'] },
    outputs: { y: 'score' },
    device: 'cpu',
  },
});

describe('chains of steps', () => {
  it('of random kinds give what one statement with all of them gives', async () => {
    await fc.assert(
      fc.asyncProperty(chainsOf(links, ends), async ({ steps, oracle }) => {
        await cluster.expectRows(steps, oracle);
      }),
      {
        numRuns: 12,
        seed: 20_261_122,
        endOnFailure: true,
      },
    );
  });

  it('a join before a model, a window and an aggregation after it', async () => {
    await cluster.expectRows(
      [
        { id: 'joined', join: { left: 'numbers', right: 'u', keys: { a: 'k' } } },
        infer('joined'),
        {
          id: 'ranked',
          window: {
            from: 'scored',
            partitionBy: ['no'],
            orderBy: ['score desc', 'id'],
            columns: { nth: 'row_number()' },
          },
        },
        { id: 'best', filter: { from: 'ranked', where: 'nth <= 20' } },
        {
          id: 'sums',
          aggregate: {
            from: 'best',
            by: ['label'],
            measures: { n: 'count(*)', total: 'sum(score)' },
          },
        },
      ],
      `with scored as (
         select n.*, u.* exclude (k), n.a - n.b / 2 + 3 as score from numbers n join u on n.a = u.k),
       best as (from scored qualify row_number() over (partition by no order by score desc, id) <= 20)
       select label, count(*) as n, sum(score) as total from best group by label`,
    );
  });

  it('a model after an aggregation, a sort after the model, and its rows in that order', async () => {
    const { output } = await cluster.job([
      { id: 'groups', aggregate: { from: 'numbers', by: ['a', 'b'], measures: { n: 'count(*)' } } },
      infer('groups'),
      { id: 'ordered', sort: { from: 'scored', by: ['score desc', 'a', 'b'] } },
    ]);
    expect(await cluster.published(output)).toEqual(
      await cluster.answer(
        `select a, b, count(*) as n, (a - b / 2 + 3)::float as score from numbers
         group by a, b order by score desc, a, b`,
      ),
    );
  });

  // A Bloom filter is over bytes: to it -0 is no 0.
  it('what is written with -0 is found again as 0', async () => {
    const zeros = `select id, case when a > 4 then a else -(b * 0.0::double) end as zero from numbers`;
    const { output } = await cluster.job([{ id: 'zeros', sql: { query: zeros } }]);
    const files = `read_parquet('${cluster.place.path(output)}/*.parquet')`;
    const found = await cluster.run(`select count(*) from ${files} where zero = 0`);
    expect(found.getRows()).toEqual([[3000n]]);
  });

  it('one step feeds two outputs and another step, and is done once', async () => {
    const steps: StepInput[] = [
      { id: 'placed', join: { left: 'numbers', right: 'u', keys: { a: 'k' }, how: 'left' } },
      infer('placed'),
      {
        id: 'per_label',
        aggregate: { from: 'scored', by: ['label'], measures: { n: 'count(*)' } },
      },
    ];
    const outputs = [
      { name: 'all', from: 'scored', parquet: 'out/shared/all' },
      { name: 'parts', from: 'scored', parquet: 'out/shared/parts', partitionBy: ['b'] },
      { name: 'labels', from: 'per_label', parquet: 'out/shared/labels' },
    ];
    const { view } = await cluster.job(steps, { outputs });
    const scored = `select n.*, u.* exclude (k), (n.a - n.b / 2 + 3)::float as score
      from numbers n left join u on n.a = u.k`;
    const expected = unordered(await cluster.answer(scored));
    expect(unordered(await cluster.published('out/shared/all'))).toEqual(expected);
    const parts = await cluster.published('out/shared/parts');
    expect(parts.rows).toHaveLength(expected.rows.length);
    expect(unordered(await cluster.published('out/shared/labels'))).toEqual(
      unordered(
        await cluster.answer(`select label, count(*) as n from (${scored}) group by label`),
      ),
    );
    expect(view.rowsInferred).toBe(expected.rows.length);
  });
});

describe('sources', () => {
  it('columns of hive folders are join keys, groups and order', async () => {
    for (const [day, region] of [
      ['2026-01-01', 'north'],
      ['2026-01-01', 'south'],
      ['2026-01-02', 'north'],
      ['2026-01-03', '__HIVE_DEFAULT_PARTITION__'],
    ] as const) {
      const path = cluster.place.write(`data/hive/day=${day}/region=${region}/a.parquet`, '');
      await cluster.run(
        `copy (select i as id from range(3000) r(i) where hash(i, '${day}${region}') % 3 = 0) to '${path}' (format parquet, row_group_size 2048)`,
      );
    }
    await cluster.view('hive', { parquet: 'data/hive/*/*/*.parquet' });
    await cluster.source(
      'days',
      `select date '2026-01-01' + i::integer as day, 'day ' || i as called from range(2) r(i)`,
      { files: 1 },
    );
    await cluster.expectRows(
      [
        { id: 'named', join: { left: 'hive', right: 'days', keys: ['day'], how: 'full' } },
        {
          id: 'sums',
          aggregate: {
            from: 'named',
            by: ['region', 'called'],
            measures: { n: 'count(id)', total: 'sum(id)', last: 'max(day)' },
          },
        },
      ],
      `select region, called, count(id) as n, sum(id) as total, max(coalesce(h.day, d.day)) as last
       from hive h full join days d on h.day = d.day group by region, called`,
    );
    const { output } = await cluster.job([
      { id: 'ordered', sort: { from: 'hive', by: ['day desc', 'region nulls first', 'id'] } },
    ]);
    expect(await cluster.published(output)).toEqual(
      await cluster.answer('from hive order by day desc, region nulls first, id'),
    );
  });

  it('files that lack columns, or have them in capitals, are joined and grouped with NULL there', async () => {
    const first = cluster.place.write('data/drift/1.parquet', '');
    const second = cluster.place.write('data/drift/2.parquet', '');
    await cluster.run(`copy (select i as id, i % 5 as a from range(4000) r(i)) to '${first}'`);
    await cluster.run(
      `copy (select 'n' || i % 3 as name, i as ID from range(4000, 6000) r(i)) to '${second}'`,
    );
    await cluster.view('drift', { parquet: 'data/drift/*.parquet', unionByName: true });
    await cluster.expectRows(
      [
        {
          id: 'joined',
          join: { left: 'drift', right: 'u', keys: { a: 'k' }, how: 'left', suffix: '_u' },
        },
        {
          id: 'sums',
          aggregate: {
            from: 'joined',
            by: ['name', 'a', 'name_u'],
            measures: { n: 'count(*)', low: 'min(id)' },
          },
        },
      ],
      `select d.name, d.a, u.name as name_u, count(*) as n, min(id) as low
       from drift d left join u on d.a = u.k group by all`,
    );
  });
});

describe('outputs of wide steps', () => {
  it('in folders have each row in its folder', async () => {
    const output = 'out/folders';
    await cluster.job(
      [{ id: 'joined', join: { left: 't', right: 'u', keys: ['k'], how: 'left', suffix: '_u' } }],
      { outputs: [{ from: 'joined', parquet: output, partitionBy: ['day', 'b'] }] },
    );
    const columns = 'id, name, no, label, day, b';
    const path = cluster.place.path(output);
    const found = await cluster.answer(
      `select ${columns} from read_parquet('${path}/**/*.parquet', hive_partitioning = true)`,
    );
    const expected = await cluster.answer(
      `select t.id, t.name, u.no, u.label, t.day, t.b from t left join u on t.k = u.k`,
    );
    expect(unordered(found).rows).toEqual(unordered(expected).rows);
    const folders = cluster
      .manifest(output)
      .files.map(({ name }) => name.split('/').slice(0, -1).join('/'));
    const [distinct] = (
      await cluster.answer('select count(*) as n from (select distinct day, b from t)')
    ).rows;
    expect(`'${new Set(folders).size}'`).toBe(distinct);
  });

  it('of a target size are joined to files of about it', async () => {
    await cluster.source(
      'padded',
      `select i as id, i % 40 as g, ${pad(8)} as pad from range(6000) r(i)`,
      {
        files: 2,
      },
    );
    const steps: StepInput[] = [
      { id: 'dealt', repartition: { from: 'padded', partitions: 8 } },
      { id: 'ordered', sort: { from: 'padded', by: ['id desc'] } },
      { id: 'small', repartition: { from: 'padded', targetFileSize: '100KB' } },
      { id: 'keyed', repartition: { from: 'padded', keys: ['g'], targetFileSize: '200KB' } },
    ];
    const outputs = [
      { name: 'plain', from: 'dealt', parquet: 'out/plain' },
      { name: 'sized', from: 'dealt', parquet: 'out/sized', targetFileSize: '500KB' },
      { name: 'cut', from: 'ordered', parquet: 'out/cut', targetFileSize: '100KB' },
      { name: 'small', from: 'small', parquet: 'out/small' },
      { name: 'keyed', from: 'keyed', parquet: 'out/keyed' },
    ];
    await cluster.job(steps, { outputs });
    const expected = unordered(await cluster.answer('from padded'));
    for (const output of ['out/plain', 'out/sized', 'out/small', 'out/keyed'])
      expect(unordered(await cluster.published(output))).toEqual(expected);
    expect(cluster.manifest('out/plain').files).toHaveLength(8);
    const { length } = cluster.manifest('out/sized').files;
    expect(length).toBeGreaterThan(1);
    expect(length).toBeLessThan(8);
    const sizes = (output: string): number[] =>
      cluster.manifest(output).files.map(({ bytes }) => bytes);
    for (const size of sizes('out/small')) {
      expect(size).toBeGreaterThan(50_000);
      expect(size).toBeLessThan(150_000);
    }
    // Some groups are in one file that would be evener in two.
    for (const size of sizes('out/keyed')) expect(size).toBeLessThan(400_000);
    expect(sizes('out/keyed').length).toBeGreaterThan(4);
    const [together] = (
      await cluster.answer(
        `select count(distinct g) = 40 and count(*) = 40 from (select distinct g, filename from read_parquet('${cluster.place.path('out/keyed')}/*.parquet', filename = true))`,
      )
    ).rows;
    expect(together).toBe("'true'");
    const names = cluster.manifest('out/cut').files.map(({ name }) => name);
    expect(names.length).toBeGreaterThan(2);
    expect([...names].sort()).toEqual(names);
    expect(await cluster.published('out/cut')).toEqual(
      await cluster.answer('from padded order by id desc'),
    );
  });
});

describe('queries in SQL', () => {
  const queries: Record<string, string> = {
    'with a common table that is read twice': `with s as (select k, sum(d) as total, count(*) as n from t group by k)
      select a.k, a.total, b.n from s a join s b on a.k = b.k + 1`,
    'with a correlated subquery': `select id, (select max(w) from u where u.k = t.k and u.day <= t.day) as w from t`,
    'with EXISTS and NOT IN': `select id, name from t where exists (from u where u.name = t.name) and k not in (select k8 from u where k8 is not null and w > 0)`,
    'with NOT IN over NULL': `select id from t where k not in (select k from u)`,
    'with set operations': `(select k, name from t intersect select k, name from u) union all (select k, name from u except all select k, name from t)`,
    'with grouping sets and grouping()': `select k, b, grouping(k, b) as g, count(*) as n, sum(distinct tiny) as s from t group by cube (k, b)`,
    'with QUALIFY and an order with a limit': `select id, k, row_number() over (partition by k order by d desc, id) as nth from t qualify nth <= 3 order by k nulls first, nth limit 17 offset 2`,
    'with an ASOF join': `select t.id, u.no from (select id, tz from t) t asof join (select no, tz from u where no % 7 = 0) u on t.tz >= u.tz`,
    'with a join on inequalities': `select u.no, v.no as other from u join u v on u.w < v.w and u.day > v.day`,
    'with lists unnested': `select id, unnest(l) as e from t`,
    'with a pivot by hand': `select day, count(*) filter (k = 3) as threes, sum(d) filter (k is null) as unknown from t group by day having count(*) > 0`,
    'with a scalar subquery': `select id, d - (select avg(d) from t)::decimal(12,2) as off from t where d > (select median(d) from t)`,
    'with VALUES joined': `select v.what, count(*) as n from t join (values (1, 'one'), (3, 'three')) v(k, what) on t.k = v.k group by v.what`,
    'over nothing': `select k, count(*) as n from t where id < 0 group by k`,
    'over nothing at all': `select count(*) as n, sum(d) as total, max(name) as high from t where id < 0`,
    'over nothing, in sets': `select k, b, grouping(k, b) as g, count(*) as n, median(d) as m from t where id < 0 group by rollup (k, b)`,
    'with values counted once': `select count(distinct d) as n, sum(distinct d) as total, count(*) as many, max(name) as high from t`,
  };
  it.each(Object.entries(queries))('%s', async (_what, query) => {
    await cluster.expectRows([{ id: 'answer', sql: { query } }], query);
  });
});
