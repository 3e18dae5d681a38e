/** Inputs that are too large to be read whole by every chunk: rows meet by their keys, and are as DuckDB's. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobView } from '../../client/index.js';
import { WideCluster } from './wide-cluster.js';
import { pad } from './wide-tables.js';

let cluster: WideCluster;
beforeAll(async () => {
  cluster = await WideCluster.open();
});
afterAll(() => cluster.close());

/** As `Answer`, of rows that are too long to be shown. */
async function digest(sql: string): Promise<unknown> {
  return cluster.answer(
    `select count(*) as n, sum(hash(r)::hugeint) as sum, bit_xor(hash(r)) as bits from (${sql}) r`,
  );
}

describe('sides that are too large to be read whole', () => {
  beforeAll(async () => {
    // Each side is more than the 64 MiB up to which it would be read by every chunk of the other.
    const large = (columns: string): string =>
      `select i as id, ${columns}, ${pad(32)} as pad from range(80000) r(i)`;
    await cluster.source(
      'big',
      large(
        `case when i % 9 = 0 then null when i % 4 = 0 then 7 else (hash(i) % 30000)::integer end as k`,
      ),
      { files: 3, rowGroupRows: 10_240 },
    );
    await cluster.source(
      'other',
      large(`case when i % 11 = 0 then null else (hash(i, 5) % 30000)::integer end as k`),
      { files: 3, rowGroupRows: 10_240 },
    );
  });

  /** The left, the right, and once more the right where its text turned out to be longer than usual. */
  function expectDivided(view: JobView): void {
    expect(['s0_1 s0_2 s0', 's0_1 s0_2 s0_3 s0']).toContain(
      view.stages.map(({ id }) => id).join(' '),
    );
    expect(view.stages.at(-1)!.chunks).toBeGreaterThan(1);
  }

  it.each(['inner', 'left', 'full'] as const)(
    'both sides of a join that is %s are divided by their keys, and meet',
    async (how) => {
      const { view, output } = await cluster.job([
        { id: 'met', join: { left: 'big', right: 'other', keys: ['k'], how, suffix: '_other' } },
      ]);
      const key = how === 'full' ? 'coalesce(b.k, o.k)' : 'b.k';
      expect(await digest(`from read_parquet('${cluster.place.path(output)}/*.parquet')`)).toEqual(
        await digest(
          `select b.id, ${key} as k, b.pad, o.id as id_other, o.pad as pad_other
           from big b ${how} join other o on b.k = o.k`,
        ),
      );
      expectDivided(view);
    },
  );

  it('rows that are divided by the key of a join are grouped and ranked by it where they are', async () => {
    const { view, output } = await cluster.job([
      { id: 'met', join: { left: 'big', right: 'other', keys: ['k'], suffix: '_other' } },
      {
        id: 'grouped',
        aggregate: {
          from: 'met',
          by: ['k'],
          measures: {
            n: 'count(*)',
            ids: 'sum(id * id_other)',
            low: 'min(pad)',
            high: 'max(pad_other)',
          },
        },
      },
    ]);
    expect(await digest(`from read_parquet('${cluster.place.path(output)}/*.parquet')`)).toEqual(
      await digest(
        `select b.k, count(*) as n, sum(b.id * o.id)::decimal(38,0) as ids, min(b.pad) as low, max(o.pad) as high
         from big b join other o on b.k = o.k group by b.k`,
      ),
    );
    // Dividing once more for the groups would be a stage after the join.
    expectDivided(view);
  });

  it('a sort of more than a chunk holds is in order through all files', async () => {
    const { output } = await cluster.job([
      { id: 'sorted', sort: { from: 'big', by: ['pad desc'] } },
    ]);
    const files = cluster
      .manifest(output)
      .files.map(({ name }) => `'${cluster.place.path(output, name)}'`);
    expect(
      (await cluster.answer(`select id from read_parquet([${files.join(', ')}])`)).rows,
    ).toEqual((await cluster.answer('select id from big order by pad desc')).rows);
  });
});
