/** The same job on one worker and on eight, in one, two and seven files: the same rows. */
import { expect, it } from 'vitest';
import { type Answer, type StepInput, unordered, WideCluster } from './wide-cluster.js';
import { leftRows, rightRows } from './wide-tables.js';

const steps: StepInput[] = [
  { id: 'joined', join: { left: 't', right: 'u', keys: ['k'], how: 'left', suffix: '_u' } },
  {
    id: 'ranked',
    window: {
      from: 'joined',
      partitionBy: ['k', 'name'],
      orderBy: ['id desc', 'no'],
      columns: { nth: 'row_number()', before: 'lag(d)' },
    },
  },
  {
    id: 'sums',
    sql: {
      query: `select r.k, r.nth % 5 as fifth, count(*) as n, count(distinct r.id) as ids, sum(r.d) as total,
          median(r.tiny) as middle, max(u.label) as label
        from ranked r left join u on u.no = r.nth group by r.k, fifth having n > 1`,
    },
  },
];

/** Of as many workers, with the rows in as many files. */
async function rowsWith(workers: number, files: number): Promise<Answer> {
  const cluster = await WideCluster.open(workers);
  try {
    await cluster.source('t', leftRows(6000, 11), { files });
    await cluster.source('u', rightRows(60, 11), { files });
    const { output } = await cluster.job(steps);
    return unordered(await cluster.published(output));
  } finally {
    await cluster.close();
  }
}

it.each([1, 2, 7])('with the rows in %s files', async (files) => {
  const one = await rowsWith(1, files);
  expect(one.rows.length).toBeGreaterThan(20);
  expect(await rowsWith(8, files)).toEqual(one);
});
