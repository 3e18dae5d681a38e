/** Several outputs of one step: its rows are computed once, whatever becomes of them afterwards. */
import { rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobView } from '../../shared/views.js';
import { Workplace } from './workplace.js';

interface Told {
  readonly event: string;
  readonly state?: string;
  readonly stage?: string;
  readonly chunks?: number;
  readonly rowsTotal?: number;
  readonly rowsDone?: number;
  readonly rows?: JobView['rows'];
  readonly rowsReused?: number;
}

const rows = 100_000;
const sourceChunks = 10;

const spec = `apiVersion: windrow/v1
kind: Job
metadata: { name: shared }
sources: { numbers: { parquet: data/*.parquet } }
steps:
  - { id: kept, filter: { from: numbers, where: "i % 10 <> 3" } }
  - { id: sided, select: { from: kept, columns: { i: i, side: "i % 2" } } }
outputs:
  - { name: plain, from: sided, parquet: out/plain, mode: overwrite }
  - { name: bySide, from: sided, parquet: out/bySide, partitionBy: [side], mode: overwrite }
  - { name: copy, from: sided, parquet: out/copy, mode: overwrite }
`;

describe('a job with three outputs of one step, one of them partitioned', () => {
  const place = new Workplace();
  let told: Told[];

  async function run(): Promise<Told[]> {
    const { stdout, stderr, code } = await place.windrow(['run', 'job.yaml', '--workers', '2']);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    return stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Told);
  }

  beforeAll(async () => {
    await place.numbers(rows);
    place.write('job.yaml', spec);
    told = await run();
  });
  afterAll(() => place.close());

  it('reads and computes each row once, on two slots', async () => {
    const submitted = told.find(({ event }) => event === 'submitted');
    expect(submitted?.rowsTotal).toBe(rows);
    const done = told.filter(({ event, state }) => event === 'stage' && state === 'done');
    expect(done.map(({ stage, chunks }) => [stage, chunks])).toEqual([
      ['s0', sourceChunks],
      ['s1', 1],
    ]);
    for (const { rowsDone } of told) expect(rowsDone ?? 0).toBeLessThanOrEqual(rows);
    const files = await place.sql<{ file: string }>(
      `select distinct filename as file from read_parquet('${place.path('out/plain')}/*.parquet', filename = true)`,
    );
    expect(files).toHaveLength(sourceChunks);
  });

  it('puts all its rows into each output', async () => {
    for (const output of ['plain', 'bySide', 'copy']) {
      const [found] = await place.sql<{ n: string; d: string; s: string }>(
        `select count(*) n, count(distinct i) d, count(distinct side) s
         from read_parquet('${place.path('out', output)}/**/*.parquet', hive_partitioning = true)`,
      );
      expect([output, found]).toEqual([
        output,
        { n: String((rows * 9) / 10), d: String((rows * 9) / 10), s: '2' },
      ]);
    }
  });

  it('makes an output that was removed from the chunks of the others', async () => {
    rmSync(place.path('out/bySide'), { recursive: true });
    const again = (await run()).find(({ event }) => event === 'result');
    expect(again).toMatchObject({ state: 'succeeded', rowsReused: rows });
    const [found] = await place.sql<{ n: string }>(
      `select count(*) n from '${place.path('out/bySide')}/**/*.parquet'`,
    );
    expect(found?.n).toBe(String((rows * 9) / 10));
  });
});
