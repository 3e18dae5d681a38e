/** Outputs that keep what a job does not replace: more input, and a job that is done once more. */
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { JobView } from '../../shared/views.js';
import { type Ended, Workplace } from './workplace.js';

interface Result {
  readonly job: string;
  readonly state: string;
  readonly rows: JobView['rows'];
  readonly rowsReused: number;
}

const chunkRows = 10_240;
/** Rows of the second chunk that fail until there is a file. */
const module = `import { existsSync } from 'node:fs';
export function row({ i }) {
  if (i % 8n === 1n && i > ${chunkRows}n && !existsSync('SERVICE')) throw new Error('is down');
  return { i, p: Number(i % 3n) };
}
`;

let place: Workplace;
beforeEach(() => {
  place = new Workplace();
});
afterEach(() => place.close());

const run = (...args: string[]): Promise<Ended> =>
  place.windrow([...args, '--state', '.windrow', '--workers', '1']);

async function done(...args: string[]): Promise<Result> {
  const { stdout, stderr } = await run(...args);
  const line = stdout.trim().split('\n').at(-1) ?? '';
  expect(line, stderr).toMatch(/^\{/);
  const result = JSON.parse(line) as Result;
  expect(result.state, stderr).toBe('succeeded');
  return result;
}

const sourceOf = (files: string, name = 'job'): string => `apiVersion: windrow/v1
kind: Job
metadata: { name: ${name} }
sources: { numbers: { parquet: ${files} } }
steps:
`;

/** A job of rows that fail, and of what is made of the others. */
function writeJob(steps: string, output: string): void {
  place.write('down.mjs', module.replace("'SERVICE'", JSON.stringify(place.path('up'))));
  const map = `  - id: asked
    map: { from: numbers, module: down.mjs, columns: { i: BIGINT, p: INTEGER }, onError: deadLetter }
`;
  const outputs = `outputs: [{ from: last, parquet: out, mode: append${output} }]\n`;
  place.write('job.yaml', sourceOf('data/*.parquet') + map + steps + outputs);
}

/** Rows that another job put there, with keys that no other row has. */
async function others(name: string, from: number, columns: string, output = ''): Promise<void> {
  await place.sql(
    `copy (select range as i from range(${from}, ${from + 5})) to '${place.path(`${name}.parquet`)}'`,
  );
  const steps = `  - { id: last, select: { from: numbers, columns: { ${columns} } } }\n`;
  const outputs = `outputs: [{ from: last, parquet: out, mode: append${output} }]\n`;
  place.write(`${name}.yaml`, sourceOf(`${name}.parquet`, name) + steps + outputs);
  await done('run', `${name}.yaml`);
}

const published = (columns: string): Promise<Record<string, unknown>[]> =>
  place.sql(`select ${columns} from '${place.path('out')}/**/*.parquet'`);

it('a file more adds its rows alone, also where rows are divided among partitions', async () => {
  await place.numbers(100, 'data/a.parquet');
  await place.sql(
    `copy (select range + 100 as i from range(50)) to '${place.path('data', 'c.parquet')}'`,
  );
  const steps =
    '  - { id: last, select: { from: numbers, columns: { i: i, p: i % 3, h: i % 2 } } }\n';
  const outputs =
    'outputs: [{ from: last, parquet: out, mode: append, partitionBy: [p], targetFileSize: 64MB }]\n';
  place.write('job.yaml', sourceOf('data/*.parquet, unionByName: true') + steps + outputs);
  await done('run', 'job.yaml');
  const names = 'distinct filename';
  const before = await published(names);
  // It comes between the two.
  await place.sql(
    `copy (select range + 150 as i from range(25)) to '${place.path('data', 'b.parquet')}'`,
  );
  expect((await done('run', 'job.yaml')).rowsReused).toBe(150);
  expect(await published('count(*) n, count(distinct i) d, max(i) m')).toEqual([
    { n: '175', d: '175', m: '174' },
  ]);
  expect(await published(names)).toEqual(expect.arrayContaining(before));
});

it('after an upgrade the same rows are not added once more; other steps add theirs, and say so', async () => {
  await place.numbers(100, 'data/a.parquet');
  const write = (column: string, mode: string): void => {
    const steps = `  - { id: last, select: { from: numbers, columns: { i: i, p: ${column} } } }\n`;
    const outputs = `outputs: [{ from: last, parquet: out, mode: ${mode} }]\n`;
    place.write('job.yaml', sourceOf('data/*.parquet, unionByName: true') + steps + outputs);
  };
  write('i % 3', 'append');
  await done('run', 'job.yaml');
  // As it would lie there had an earlier version made it: its programs have other digests.
  const path = 'out/_windrow/manifest.json';
  const manifest = readFileSync(place.path(path), 'utf8');
  expect(manifest).toMatch(/"engine": "windrow [^"]*, duckdb v[^"]*"/);
  const earlier = manifest
    .replace(/"engine": "[^"]*"/, '"engine": "windrow 0.0.9, duckdb v1.4.0, onnxruntime 1.20.0"')
    .replace(/"program": "[^"]*"/, '"program": "0"');
  place.write(path, earlier);
  await place.sql(
    `copy (select range + 100 as i from range(50)) to '${place.path('data', 'b.parquet')}'`,
  );
  const refused = await run('run', 'job.yaml');
  expect(refused.code).toBe(2);
  expect(refused.stderr).toContain('error E_APPENDED_BEFORE: ');
  expect(refused.stderr).toMatch(/rows of 1 of the 2 files .* made by .* with windrow 0\.0\.9/);
  expect(await published('count(*) n')).toEqual([{ n: '100' }]);

  write('i % 7', 'append');
  const told = await run('run', 'job.yaml');
  expect(told.code).toBe(0);
  expect(told.stderr + told.stdout).toMatch(/rows of 1 of the 2 files .* made by other steps/);
  expect(await published('count(*) n')).toEqual([{ n: '250' }]);

  write('i % 3', 'overwrite');
  await done('run', 'job.yaml');
  expect(await published('count(*) n, count(distinct i) d')).toEqual([{ n: '150', d: '150' }]);
});

it('a run that is killed while it publishes is the one that is asked for again', async () => {
  await place.numbers(100);
  const steps = '  - { id: last, select: { from: numbers, columns: { i: i, made: now() } } }\n';
  const outputs = 'outputs: [{ from: last, parquet: out, mode: append }]\n';
  place.write('job.yaml', sourceOf('data/*.parquet') + steps + outputs);
  const args = ['run', 'job.yaml', '--state', '.windrow', '--workers', '1'];
  const killed = await place.windrow(args, { WINDROW_FAILPOINT: 'publish.manifest.before' });
  expect(killed.code).not.toBe(0);
  await done('run', 'job.yaml');
  expect(await published('count(*) n')).toEqual([{ n: '100' }]);
  // Another run, of another time.
  await done('run', 'job.yaml');
  expect(await published('count(*) n, count(distinct made) t')).toEqual([{ n: '200', t: '2' }]);
});

/** A file more, of the columns that `numbers` has. */
const more = (name: string, from: number, count: number): Promise<unknown> =>
  place.sql(
    `copy (select range as i, 0.5::double as a, 0.5::double as b from range(${from}, ${from + count}))
     to '${place.path('data', name)}'`,
  );

it('an older run is not done once more where a later one has published its rows, among others', async () => {
  const rows = 2 * chunkRows;
  await place.numbers(rows, 'data/a.parquet');
  const steps = '  - { id: last, select: { from: asked, columns: { i: i, p: p } } }\n';
  writeJob(steps, ', partitionBy: [p]');
  const first = await done('run', 'job.yaml');
  expect(first.rows.deadLettered).toBeGreaterThan(0);
  await more('b.parquet', rows, 100);
  const second = await done('run', 'job.yaml');
  const before = await published('count(*) n, count(distinct i) d');
  place.write('up', '');
  const refused = await run('retry', first.job, '--only-dead-letters');
  expect(refused.code).toBe(2);
  expect(refused.stderr).toContain('error E_RETRY_OUTPUT: ');
  expect(refused.stderr).toContain('another run has published rows of the same files since');
  expect(await published('count(*) n, count(distinct i) d')).toEqual(before);
  await done('retry', second.job, '--only-dead-letters');
  const all = String(rows + 100);
  expect(await published('count(*) n, count(distinct i) d')).toEqual([{ n: all, d: all }]);
});

it('a job that failed is done once more, whatever was done before it', async () => {
  await place.numbers(100, 'data/a.parquet');
  place.write('down.mjs', module.replace("'SERVICE'", JSON.stringify(place.path('up'))));
  const map = `  - id: last
    map: { from: numbers, module: down.mjs, columns: { i: BIGINT, p: INTEGER } }
`;
  const outputs = 'outputs: [{ from: last, parquet: out, mode: append }]\n';
  place.write('job.yaml', sourceOf('data/*.parquet') + map + outputs);
  await done('run', 'job.yaml');
  expect((await run('run', 'job.yaml')).stdout).toContain('"upToDate":true');
  await more('b.parquet', 20_000, 100);
  expect((await run('run', 'job.yaml')).code).toBe(1);
  place.write('up', '');
  await done('retry', 'job');
  expect(await published('count(*) n, count(distinct i) d')).toEqual([{ n: '200', d: '200' }]);
});

it('_SUCCESS that is missing beside an output that is up to date is written', async () => {
  await place.numbers(100);
  const outputs = 'outputs: [{ from: numbers, parquet: out, mode: append }]\n';
  place.write('job.yaml', sourceOf('data/*.parquet').replace('steps:\n', '') + outputs);
  const args = ['run', 'job.yaml', '--state', '.windrow', '--workers', '1'];
  const killed = await place.windrow(args, { WINDROW_FAILPOINT: 'publish.success.before' });
  expect(killed.code).not.toBe(0);
  rmSync(place.path('.windrow'), { recursive: true });
  expect(existsSync(place.path('out/_SUCCESS'))).toBe(false);
  await done('run', 'job.yaml');
  expect(existsSync(place.path('out/_SUCCESS'))).toBe(true);
  expect(await published('count(*) n')).toEqual([{ n: '100' }]);
});

it('dead letters of rows that are judged again stand once, however chunks are put together', async () => {
  const steps = `  - { id: last, expect: { from: made, checks: [{ predicate: "i % 10 <> 3", onFail: deadLetter }] } }
`;
  const made = '  - { id: made, select: { from: numbers, columns: { i: i, p: i % 3 } } }\n';
  const outputs =
    'outputs: [{ from: last, parquet: out, mode: overwritePartitions, partitionBy: [p] }]\n';
  place.write('job.yaml', sourceOf('data/*.parquet') + made + steps + outputs);
  mkdirSync(place.path('data'));
  for (const k of [0, 1, 2]) {
    await more(`${k}.parquet`, 100 * k, 100);
    const { rows } = await done('run', 'job.yaml');
    expect(rows.deadLettered).toBe(10 * (k + 1));
    const [dead] = await place.sql(
      `select count(*) n from '${place.path('out.dead')}/**/*.parquet'`,
    );
    expect(dead).toEqual({ n: String(10 * (k + 1)) });
  }
});

describe('dead letters of a job that are done once more', () => {
  const rows = 2 * chunkRows;
  const dead = chunkRows / 8;

  it('come beside rows of the same time, once, whatever is divided and however large', async () => {
    await place.numbers(rows);
    writeJob(
      '  - { id: last, select: { from: asked, columns: { i: i, p: p, made: now(), r: random() } } }\n',
      ', partitionBy: [p]',
    );
    await others(
      'first',
      1_000_000,
      'i: i, p: "7", made: now(), r: 0.5::double',
      ', partitionBy: [p]',
    );
    const { job, rows: counts } = await done('run', 'job.yaml');
    expect(counts.deadLettered).toBe(dead);
    place.write('up', '');
    const again = await done('retry', job, '--only-dead-letters');
    // Its rows are not made anew, random as they are.
    expect(again).toMatchObject({ rowsReused: chunkRows, rows: { out: rows, deadLettered: 0 } });
    expect(await published('count(*) n, count(distinct i) d, count(distinct made) t')).toEqual([
      { n: String(rows + 5), d: String(rows + 5), t: '2' },
    ]);
  });

  it('change what is made of all rows, and what was made of the others goes', async () => {
    await place.numbers(rows);
    writeJob(
      '  - { id: last, repartition: { from: asked, keys: [i], targetFileSize: 16KB } }\n',
      '',
    );
    await others('first', 1_000_000, 'i: i, p: "7"');
    const { job, rows: counts } = await done('run', 'job.yaml');
    expect(counts.deadLettered).toBe(dead);
    place.write('up', '');
    const again = await done('retry', job, '--only-dead-letters');
    expect(again.rows).toMatchObject({ in: rows, deadLettered: 0 });
    expect(await published('count(*) n, count(distinct i) d')).toEqual([
      { n: String(rows + 5), d: String(rows + 5) },
    ]);
  });
});
