/** Kills while pages are copied from the source: what is published is the source, and a score a row. */
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readWholeFooter } from '../../shared/parquet-footer.js';
import { childrenOf, duckdb, filesBelow, killGroup, rowGroupRows, sampleRows } from './engine.js';
import { Undisturbed, workers } from './undisturbed.js';

const chaos = new Undisturbed();

/** The input without dictionaries, which DuckDB makes of few values unless told not to: they tell who wrote a page. */
async function makeForeign(directory: string): Promise<void> {
  for (const part of ['part-0', 'part-1']) {
    const [from, to] = ['data', 'foreign'].map((folder) =>
      join(directory, folder, `${part}.parquet`),
    );
    mkdirSync(join(directory, 'foreign'), { recursive: true });
    await duckdb(
      `copy (from read_parquet('${from}')) to '${to}' (format parquet, dictionary_size_limit 1, row_group_size ${rowGroupRows})`,
    );
    expect(statSync(to!).size).toBeGreaterThan(2 ** 20);
  }
}

/** Hands all columns through. */
function keepingSpec(directory: string): string {
  const features = ['amount', 'visits', ...Array.from({ length: 12 }, (_, k) => `f${k}`)];
  const path = join(directory, 'keeping.yaml');
  writeFileSync(
    path,
    `apiVersion: windrow/v1
kind: Job
metadata: { name: keeping }
sources:
  orders: { parquet: foreign/*.parquet }
steps:
  - { id: scored, infer: { from: orders, model: model.onnx, inputs: { x: [${features.join(', ')}] }, outputs: { y: score } } }
outputs:
  - { from: scored, parquet: out }
`,
  );
  return path;
}

it.each(['everything', 'a worker', 'all workers'])(
  'nothing is lost or doubled: %s killed half-way',
  async (victim) => {
    const { directory } = chaos;
    const spec = keepingSpec(directory);
    await makeForeign(directory);
    let run = chaos.run(spec, workers);
    await chaos.untilWritten(6, run);
    if (victim === 'everything') {
      killGroup(run);
      expect((await run.done).signal).toBe('SIGKILL');
      run = chaos.run(spec, workers);
    } else {
      const pids = childrenOf(run.child.pid!);
      for (const pid of victim === 'a worker' ? pids.slice(0, 1) : pids)
        process.kill(pid, 'SIGKILL');
    }
    const { code, result } = await run.done;
    expect(code).toBe(0);
    expect(result?.rows).toMatchObject({ in: sampleRows, out: sampleRows });
    const digest = (files: string): Promise<unknown[]> =>
      duckdb(
        `select count(*) as rows, count(distinct id) as ids, bit_xor(hash(o.id, o.name, o.amount, o.age, o.visits, o.f0, o.f11)) as hash
         from read_parquet('${join(directory, files)}') o`,
      );
    expect(await digest('out/*.parquet')).toEqual(await digest('data/*.parquet'));
    const [unscored] = await duckdb(
      `select count(*) - count(score) as n from read_parquet('${join(directory, 'out/*.parquet')}')`,
    );
    expect(unscored).toEqual({ n: '0' });
    for (const name of filesBelow(join(directory, 'out'))) {
      if (!name.endsWith('.parquet')) continue;
      const { metadata } = await readWholeFooter(join(directory, 'out', name));
      const leaves = metadata.row_groups[0]!.columns.map(({ meta_data: meta }) => meta);
      const visits = leaves.find((meta) => meta?.path_in_schema[0] === 'visits');
      expect(visits?.encodings).toEqual(['PLAIN']);
    }
  },
);
