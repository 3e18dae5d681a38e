/** `windrow preview` of sources that lie in several files and row groups. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Workplace } from './workplace.js';

let place: Workplace;

beforeAll(async () => {
  place = new Workplace();
  for (const file of [0, 1]) {
    const path = place.write(`data/${file}.parquet`, '');
    await place.sql(
      `copy (select ${file} * 10000 + range as id from range(10000)) to '${path}' (format parquet, row_group_size 2048)`,
    );
  }
  place.write(
    'job.json',
    JSON.stringify({
      apiVersion: 'windrow/v1',
      kind: 'Job',
      metadata: { name: 'p' },
      params: { min: 0 },
      sources: { s: { parquet: 'data/*.parquet' } },
      steps: [
        { id: 'late', filter: { from: 's', where: 'id >= $min' } },
        { id: 'ordered', sort: { from: 'late', by: ['id desc'] } },
      ],
      outputs: [{ name: 'result', from: 'ordered', parquet: 'out' }],
    }),
  );
});
afterAll(() => place.close());

async function shown(...args: string[]): Promise<{ ids: number[]; stderr: string }> {
  const { code, stdout, stderr } = await place.windrow([
    'preview',
    'job.json',
    '-o',
    'json',
    ...args,
  ]);
  expect(code, stderr).toBe(0);
  return { ids: (JSON.parse(stdout) as { id: number }[]).map(({ id }) => id), stderr };
}

it('has as many rows as are wanted, of several row groups and files', async () => {
  const { ids, stderr } = await shown('--step', 's', '--rows', '10000');
  expect(ids).toEqual(Array.from({ length: 10_000 }, (_, id) => id));
  expect(stderr).toBe('computed over the first rows of each source, at least 10,000 of them\n');
});

it('begins where filters let rows through, be it in the last file', async () => {
  expect((await shown('--step', 'late', '--set', 'min=19997')).ids).toEqual([19997, 19998, 19999]);
  expect((await shown('--step', 'late', '--set', 'min=99999')).ids).toEqual([]);
});

it('takes outputs by their names', async () => {
  const { ids } = await shown('--step', 'result', '--rows', '2');
  // A sort right over a source reads its first file whole.
  expect(ids).toEqual([9999, 9998]);
  const { code, stderr } = await place.windrow(['preview', 'job.json', '--step', 'resul']);
  expect([code, stderr]).toEqual([2, expect.stringMatching(/E_UNKNOWN_STEP[^]*'result'/)]);
});
