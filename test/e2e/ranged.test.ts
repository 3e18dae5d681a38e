/** Files that are ranged by a key: rows meet where they lie, whatever the files of the other side are cut like. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { unordered, WideCluster } from './wide-cluster.js';
import { pad } from './wide-tables.js';

let cluster: WideCluster;

/** Writes rows of `i` in [from, to) as one file. */
async function file(table: string, name: string, columns: string, from: number, to: number) {
  const target = cluster.place.write(`data/${table}/${name}.parquet`, '');
  await cluster.run(
    `copy (select ${columns} from range(${from}, ${to}) r(i))
     to '${target}' (format parquet, row_group_size 2048)`,
  );
}

beforeAll(async () => {
  cluster = await WideCluster.open();
  // About five MB each, so that each file is a chunk: keys repeat inside a file, and never across two.
  const left = `(i // 3)::integer as k, i as id, (hash(i) % 100)::integer as v, ${pad(32)} as pad`;
  const cuts = [0, 6000, 12_000, 18_000, 24_000];
  for (const [at, from] of cuts.entries()) {
    // Names do not follow the keys.
    await file('l', String((at * 3) % 5), left, from, from + 6000);
  }
  const right = `i::integer as k, case when hash(i) % 5 = 0 then null else (hash(i, 1) % 50)::integer end as w`;
  await file('r', 'b', right, 0, 2500);
  await file('r', 'a', right, 2600, 5000);
  await file('r', 'd', right, 5000, 9000);
  await file('r', 'c', right, 20_000, 21_000);
  for (const table of ['l', 'r']) await cluster.view(table, { parquet: `data/${table}/*.parquet` });
}, 60_000);
afterAll(() => cluster.close());

async function expectSame(query: string): Promise<readonly string[]> {
  const { output, view } = await cluster.job([{ id: 'answer', sql: { query } }]);
  expect(unordered(await cluster.published(output))).toEqual(
    unordered(await cluster.answer(query)),
  );
  return view.stages.map(({ chunks }) => `${chunks}`);
}

describe('rows of files that are ranged by what they are joined by', () => {
  it.each([
    ['inner', 'select l.id, l.v, r.w from l join r on l.k = r.k'],
    ['left', 'select l.id, r.k as rk, r.w from l left join r on l.k = r.k'],
    ['left with more conditions', 'select l.id, r.w from l left join r on l.k = r.k and r.w > l.v'],
    ['semi', 'select id from l where k in (select k from r where w > 10)'],
    ['filtered on both sides', 'select l.id from l join r on l.k = r.k where l.v < 10 and r.w = 7'],
    [
      'of one source twice',
      'select a.id, b.id as other from l a join l b on a.k = b.k where a.v > 90',
    ],
  ])('%s join', async (_kind, query) => {
    const chunks = await expectSame(query);
    expect(chunks).toEqual(['5']);
  });

  it.each([
    ['groups by the key', 'select k, count(*) as n, sum(v) as v from l group by k'],
    ['groups by the key and more', 'select k, v, max(id) as id from l group by k, v'],
    [
      'groups what is joined',
      'select l.k, sum(r.w) as w, count(*) as n from l join r on l.k = r.k group by l.k',
    ],
    ['distinct rows', 'select distinct k, v % 2 as odd from l'],
    [
      'a window over the key',
      'select id, row_number() over (partition by k order by id) as n from l',
    ],
  ])('%s', async (_what, query) => {
    const chunks = await expectSame(query);
    expect(chunks).toEqual(['5']);
  });

  it.each([
    ['anti', 'select id from l where not exists (select 1 from r where r.k = l.k and r.w > 10)'],
    ['right', 'select l.id, r.k from l right join r on l.k = r.k'],
    ['full', 'select l.id, r.k from l full join r on l.k = r.k'],
    ['by another column', 'select l.id, r.k from l join r on l.v = r.w where r.k < 200'],
    ['by an expression', 'select l.id from l join r on l.k + 1 = r.k'],
    [
      'and groups by another column',
      'select l.v, count(*) as n from l join r on l.k = r.k group by l.v',
    ],
  ])('%s: equal, too', async (_kind, query) => {
    await expectSame(query);
  });
});
