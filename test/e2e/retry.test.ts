/** What comes after a run: again, only its dead letters, elsewhere, or from a program. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect } from '../../client/client.js';
import { startCoordinator } from '../../coordinator/main.js';
import type { JobView } from '../../shared/views.js';
import { Workplace } from './workplace.js';

interface Result {
  readonly event: string;
  readonly job: string;
  readonly state: string;
  readonly rows: JobView['rows'];
  readonly rowsInferred: number;
  readonly rowsReused: number;
  readonly upToDate: boolean;
}

const rows = 30_000;
const chunkRows = 10_240;
/** Two rows of the first chunk. */
const dead = 2;

describe('a job with dead letters', () => {
  const place = new Workplace();
  let first: Result;

  beforeAll(async () => {
    await place.numbers(rows);
    place.write(
      'job.yaml',
      `apiVersion: windrow/v1
kind: Job
metadata: { name: letters }
sources: { numbers: { parquet: data/*.parquet } }
steps:
  - id: checked
    expect:
      from: numbers
      onFail: deadLetter
      checks: [{ name: allowed, predicate: "i not in (5, 77)" }]
outputs: [{ from: checked, parquet: out, mode: overwrite }]
`,
    );
    first = await place.json<Result>(['run', 'job.yaml', '--workers', '1']);
  });
  afterAll(() => place.close());

  async function expectPublished(): Promise<void> {
    const [found] = await place.sql<{ n: string; d: string }>(
      `select count(*) n, count(distinct i) d from '${place.path('out')}/*.parquet'`,
    );
    expect(found).toEqual({ n: String(rows - dead), d: String(rows - dead) });
    const letters = await place.sql<{ row: string; code: string; row_json: string }>(
      `select row, code, row_json from '${place.path('out.dead')}/*.parquet' order by row`,
    );
    expect(letters.map(({ row }) => row)).toEqual(['5', '77']);
    expect(JSON.parse(letters[0]!.row_json)).toMatchObject({ i: 5 });
  }

  it('writes each with its row, once', async () => {
    expect(first.rows).toEqual({ in: rows, out: rows - dead, filtered: 0, deadLettered: dead });
    await expectPublished();
  });

  it('does only the chunks with dead letters again, and publishes the whole', async () => {
    const args = ['retry', first.job, '--only-dead-letters', '--state', '.windrow'];
    const again = await place.json<Result>(args);
    expect(again.state).toBe('succeeded');
    expect(again.upToDate).toBe(false);
    expect(again.rowsReused).toBe(rows - chunkRows);
    expect(again.rows).toEqual(first.rows);
    await expectPublished();
  });

  it('has nothing left to do when its spec is submitted again', async () => {
    const again = await place.json<Result>(['resubmit', first.job, '--state', '.windrow']);
    expect(again.upToDate).toBe(true);
    expect(again.rowsReused).toBe(rows);
  });

  it('is told where its dead letters lie when there are too many', async () => {
    const capped = readFileSync(place.path('job.yaml'), 'utf8')
      .replace('name: letters', 'name: capped')
      .replace('parquet: out', 'parquet: capped')
      .replace('(5, 77)', '(5, 78)');
    place.write('capped.yaml', `${capped}deadLetters: { maxRows: 1 }\n`);
    const { code, stderr } = await place.windrow(['run', 'capped.yaml', '--workers', '1']);
    expect(code).toBe(1);
    expect(stderr).toContain('error E_TOO_MANY_DEAD_LETTERS: ');
    const from = /from read_parquet\('[^']*'\)/.exec(stderr)?.[0];
    const letters = await place.sql<{ row: string }>(`select row ${from} order by row`);
    expect(letters.map(({ row }) => row)).toEqual(['5', '78']);
  });

  it('gives its rows to a program as Arrow batches', async () => {
    const coordinator = await startCoordinator({
      stateDirectory: place.path('.windrow'),
      embedded: true,
    });
    if ('busy' in coordinator) throw new Error('the state directory is busy');
    const client = connect(coordinator.endpoint);
    try {
      let count = 0;
      let sum = 0;
      for await (const batch of client.result('letters')) {
        count += batch.numRows;
        for (const value of batch.getChild('i')!) sum += Number(value);
      }
      expect(count).toBe(rows - dead);
      expect(sum).toBe((rows * (rows - 1)) / 2 - 5 - 77);
    } finally {
      client.close();
      await coordinator.stop();
    }
  });
});

describe('a job whose function reads what lies outside of it', () => {
  const place = new Workplace();
  afterAll(() => place.close());

  it('has the chunks with dead letters done again once that is mended', async () => {
    await place.numbers(rows);
    // Fails on two rows of the first chunk, until there is a file `ready`.
    place.write(
      'check.js',
      `import { existsSync } from 'node:fs';
const ready = () => existsSync(${JSON.stringify(place.path('ready'))});
export function row({ i }) {
  if ((i === 5n || i === 77n) && !ready()) throw new Error('not yet');
  return { checked: true };
}
`,
    );
    place.write(
      'job.yaml',
      `apiVersion: windrow/v1
kind: Job
metadata: { name: outside }
sources: { numbers: { parquet: data/*.parquet } }
steps:
  - id: checked
    map: { from: numbers, module: check.js, columns: { checked: BOOLEAN }, onError: deadLetter }
outputs: [{ from: checked, parquet: out, mode: overwrite }]
`,
    );
    const first = await place.json<Result>(['run', 'job.yaml', '--workers', '1']);
    expect(first.rows).toMatchObject({ out: rows - dead, deadLettered: dead });

    place.write('ready', '');
    const args = ['retry', first.job, '--only-dead-letters', '--state', '.windrow'];
    const mended = await place.windrow([...args, '--workers', '1']);
    expect(mended.stderr).not.toContain('check.js');
    const last = mended.stdout.trim().split('\n').at(-1) ?? '';
    const { state, rows: books, rowsReused } = JSON.parse(last) as Result;
    expect({ state, out: books.out, dead: books.deadLettered, rowsReused }).toEqual({
      state: 'succeeded',
      out: rows,
      dead: 0,
      rowsReused: rows - chunkRows,
    });
    const [published] = await place.sql<{ n: string; d: string }>(
      `select count(*) n, count(distinct i) d from '${place.path('out')}/*.parquet'`,
    );
    expect(published).toEqual({ n: String(rows), d: String(rows) });
  });
});

it('rewrites partitioned files from chunks that were done again', async () => {
  const place = new Workplace();
  try {
    await place.numbers(rows);
    place.write(
      'job.yaml',
      `apiVersion: windrow/v1
kind: Job
metadata: { name: parted }
sources: { numbers: { parquet: data/*.parquet } }
steps:
  - id: checked
    expect:
      from: numbers
      onFail: deadLetter
      checks: [{ name: allowed, predicate: "i not in (5, 77)" }]
  - { id: sided, select: { from: checked, columns: { "*": true, side: "i % 2" } } }
outputs: [{ from: sided, parquet: out, partitionBy: [side], mode: overwrite }]
`,
    );
    const first = await place.json<Result>(['run', 'job.yaml', '--workers', '1']);
    expect(first.rows).toEqual({ in: rows, out: rows - dead, filtered: 0, deadLettered: dead });
    const args = ['retry', first.job, '--only-dead-letters', '--state', '.windrow'];
    for (const again of [await place.json<Result>(args), await place.json<Result>(args)]) {
      expect(again.state).toBe('succeeded');
      expect(again.rows).toEqual(first.rows);
    }
    const [found] = await place.sql<{ n: string; d: string; sides: string }>(
      `select count(*) n, count(distinct i) d, count(distinct side) sides
       from read_parquet('${place.path('out')}/**/*.parquet', hive_partitioning = true)`,
    );
    expect(found).toEqual({ n: String(rows - dead), d: String(rows - dead), sides: '2' });
  } finally {
    await place.close();
  }
});
