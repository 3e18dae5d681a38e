/** A function is mended after a run: its dead letters are done again by it, and nothing else. */
import { existsSync, readdirSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import type { JobView } from '../../shared/views.js';
import { type Ended, type Started, Workplace } from './workplace.js';

interface Result {
  readonly job: string;
  readonly state: string;
  readonly rows: JobView['rows'];
  readonly rowsReused: number;
  readonly upToDate: boolean;
}

const chunkRows = 10_240;
const chunks = 4;
const rows = chunks * chunkRows;
/** Two in the first chunk, one in the third. */
const bad = [5, 77, 20_500];

const resultOf = ({ stdout, stderr }: Ended): Result => {
  const line = stdout.trim().split('\n').at(-1) ?? '';
  expect(line, stderr).toMatch(/^\{/);
  return JSON.parse(line) as Result;
};

/** A function that fails on these rows, says which version it is, and may wait for a file. */
function moduleOf(version: number, failing: readonly number[], waitsFor?: string): string {
  const waits = `while (!existsSync(${JSON.stringify(waitsFor)})) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
  }`;
  return `import { existsSync } from 'node:fs';
const failing = new Set([${failing.map((row) => `${row}n`).join(', ')}]);
export function row({ i }) {
  if (i === 20500n) { ${waitsFor === undefined ? '' : waits} }
  if (failing.has(i)) throw new Error('version ${version} cannot do ' + i);
  return { twice: i * 2n, version: ${version} };
}
`;
}

const jobOf = (output: string, more = ''): string => `apiVersion: windrow/v1
kind: Job
metadata: { name: mended }
sources: { numbers: { parquet: data/*.parquet } }
steps:
  - id: doubled
    map:
      from: numbers
      module: double.js
      columns: { twice: BIGINT, version: INTEGER }
      onError: deadLetter
${more}outputs: [{ from: ${more === '' ? 'doubled' : 'scored'}, parquet: out, ${output} }]
`;
const scored =
  '  - { id: scored, infer: { from: doubled, model: model.onnx, inputs: { x: [a, b] }, outputs: { y: score } } }\n';

class Mending extends Workplace {
  async first(output: string): Promise<Result> {
    await this.numbers(rows);
    this.write('double.js', moduleOf(1, bad));
    this.write('job.yaml', jobOf(output));
    const first = resultOf(await this.run('run', 'job.yaml'));
    expect(first.rows).toMatchObject({ in: rows, out: rows - 3, deadLettered: 3 });
    return first;
  }

  run(...args: string[]): Promise<Ended> {
    return this.windrow([...args, '--state', '.windrow', '--workers', '1']);
  }

  retry(job: string): Promise<Ended> {
    return this.run('retry', job, '--only-dead-letters');
  }

  /** Rows published, those that are right, and the version of the code for each chunk. */
  async published(): Promise<{ n: string; d: string; versions: string[] }> {
    const [all] = await this.sql<{ n: string; d: string }>(
      `select count(*) n, count(distinct i) filter (twice = 2 * i) d
       from '${this.path('out')}/**/*.parquet'`,
    );
    const versions = await this.sql<{ of: string }>(
      `select string_agg(distinct version::varchar, ' ' order by version::varchar) "of"
       from '${this.path('out')}/**/*.parquet' group by i // ${chunkRows} order by i // ${chunkRows}`,
    );
    return { ...all!, versions: versions.map(({ of }) => of) };
  }

  deadLetterFiles(): string[] {
    if (!existsSync(this.path('out.dead'))) return [];
    return readdirSync(this.path('out.dead')).filter((name) => name.endsWith('.parquet'));
  }
}

const whole = { n: String(rows), d: String(rows) };

describe('dead letters of a function that is mended', () => {
  const place = new Mending();
  afterAll(() => place.close());

  it('are done again by it, fix by fix, while all other chunks stay', async () => {
    const first = await place.first('mode: overwrite');

    place.write('double.js', 'export function row( {');
    const broken = await place.retry(first.job);
    expect(broken.code).toBe(2);
    expect(broken.stderr).toContain('error E_MAP_MODULE: ');
    expect(broken.stderr).toContain(place.path('double.js'));

    // Killed when the first of its two chunks is done and the other is under way.
    place.write('double.js', moduleOf(2, [20_500], place.path('go')));
    const args = ['retry', first.job, '--only-dead-letters', '--state', '.windrow'];
    const killed = place.start([...args, '--workers', '1']);
    await killed.says(/"chunksDone":3,/);
    process.kill(-killed.child.pid!, 'SIGKILL');
    await killed.ended;
    place.write('go', '');
    const told = await place.retry(first.job);
    const second = resultOf(told);
    expect(told.stderr).toContain(`${place.path('double.js')}: changed since job ${first.job}`);
    expect(told.stderr).toContain('chunks without dead letters stay as they are');
    expect(second).toMatchObject({ state: 'succeeded', rowsReused: 3 * chunkRows });
    expect(second.rows).toEqual({ in: rows, out: rows - 1, filtered: 0, deadLettered: 1 });
    expect((await place.published()).versions).toEqual(['2', '1', '2', '1']);

    place.write('double.js', moduleOf(3, []));
    const third = resultOf(await place.retry(second.job));
    expect(third).toMatchObject({ state: 'succeeded', rowsReused: 3 * chunkRows });
    expect(third.rows).toEqual({ in: rows, out: rows, filtered: 0, deadLettered: 0 });
    expect(await place.published()).toEqual({ ...whole, versions: ['2', '1', '3', '1'] });
    expect(place.deadLetterFiles()).toEqual([]);

    const nothing = await place.retry(third.job);
    expect(nothing.code).toBe(2);
    expect(nothing.stderr).toContain('error E_NOTHING_TO_RETRY: ');

    // What the spec is now was only done of one chunk.
    expect(resultOf(await place.run('run', 'job.yaml'))).toMatchObject({
      upToDate: false,
      rowsReused: chunkRows,
    });
    expect(await place.published()).toEqual({ ...whole, versions: ['3', '3', '3', '3'] });
    expect(resultOf(await place.run('run', 'job.yaml')).upToDate).toBe(true);
  });
});

it('rows and dead letters of earlier code do not stay beside new ones that are appended', async () => {
  const place = new Mending();
  try {
    const first = await place.first('mode: append');
    expect(place.deadLetterFiles()).toHaveLength(2);
    place.write('double.js', moduleOf(2, []));
    const again = resultOf(await place.retry(first.job));
    expect(again).toMatchObject({ state: 'succeeded', rowsReused: 2 * chunkRows });
    expect(await place.published()).toEqual({ ...whole, versions: ['2', '1', '2', '1'] });
    expect(place.deadLetterFiles()).toEqual([]);

    // What version 2 put there was of the same run.
    place.write('double.js', moduleOf(3, []));
    expect(resultOf(await place.retry(first.job)).state).toBe('succeeded');
    expect(await place.published()).toEqual({ ...whole, versions: ['3', '1', '3', '1'] });
  } finally {
    await place.close();
  }
});

it('a mended model does what the mended function does, also when the coordinator is killed', async () => {
  const place = new Mending();
  const start = async (listen: string): Promise<{ server: Started; address: string }> => {
    const args = ['coordinator', '--listen', listen, '--state', 'state', '--allow-root', '.'];
    const server = place.start([...args, '--allow-code']);
    return { server, address: (await server.says(/ready on (\S+:\d+)/))[1]! };
  };
  try {
    await place.numbers(rows);
    place.model();
    place.write('double.js', moduleOf(1, bad));
    place.write('job.yaml', jobOf('mode: overwrite', scored));
    const { server, address } = await start('127.0.0.1:0');
    place.start(['worker', '--coordinator', address, '--slots', '1', '--pool', 'cpu']);
    const ask = (...args: string[]): Promise<Ended> =>
      place.windrow([...args, '--connect', address]);
    const view = async (job: string): Promise<JobView> =>
      JSON.parse((await ask('get', job, '-o', 'json')).stdout) as JobView;
    const first = (await ask('submit', 'job.yaml')).stdout.trim();
    await ask('wait', first);
    expect((await view(first)).rows.deadLettered).toBe(3);
    const all = `'${place.path('out')}/*.parquet'`;
    await place.sql(`copy (select i, score from ${all}) to '${place.path('before.parquet')}'`);

    place.model(1);
    place.write('double.js', moduleOf(2, [], place.path('go')));
    const retried = await ask('retry', first, '--only-dead-letters');
    expect(retried.stderr).toContain(
      `${place.path('model.onnx')}, ${place.path('double.js')}: changed`,
    );
    const second = retried.stdout.trim();
    while ((await view(second)).progress.chunksDone < 3)
      await new Promise((go) => setTimeout(go, 50));
    process.kill(-server.child.pid!, 'SIGKILL');
    await server.ended;
    await start(address);
    place.write('go', '');
    expect((await ask('wait', second)).code).toBe(0);
    expect((await view(second)).rows).toMatchObject({ out: rows, deadLettered: 0 });
    expect(await place.published()).toEqual({ ...whole, versions: ['2', '1', '2', '1'] });
    const kept = await place.sql(
      `select i // ${chunkRows} as c, bool_and(n.score = b.score) same,
         bool_or(n.score = b.score) one
       from ${all} n join '${place.path('before.parquet')}' b using (i) group by c order by c`,
    );
    expect(kept).toMatchObject([{ one: false }, { same: true }, { one: false }, { same: true }]);
  } finally {
    await place.close();
  }
});
