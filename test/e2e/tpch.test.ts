/** All of TPC-H from SQL text, through a coordinator and two workers: DuckDB's answers, and several chunks to each of its scans. */
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { differenceOf, answerOf } from '../../bench/tpch/answer.js';
import { generateTpch, tableGlob } from '../../bench/tpch/generate.js';
import { queryName, queryNumbers, queryText } from '../../bench/tpch/queries.js';
import { tables } from '../../bench/tpch/tables.js';
import { WideCluster } from './wide-cluster.js';

/** Large enough for files that are ranged by their keys to be more than one chunk. */
const scale = 0.1;
let cluster: WideCluster;

beforeAll(async () => {
  cluster = await WideCluster.open();
  const folder = cluster.place.path('tpch');
  await generateTpch({ scale, folder });
  for (const table of tables) {
    const glob = tableGlob(folder, table);
    await cluster.view(table, { parquet: path.relative(cluster.place.directory, glob) });
  }
}, 120_000);
afterAll(() => cluster.close());

test.each(queryNumbers.map((number) => [queryName(number), number] as const))(
  '%s gives what DuckDB gives',
  async (_name, number) => {
    const query = queryText(number, scale);
    const { output, view } = await cluster.job([{ id: 'answer', sql: { query } }]);
    expect(view.stages.length).toBeGreaterThan(1);
    const files = cluster
      .manifest(output)
      .files.map(({ name }) => `'${cluster.place.path(output, name)}'`);
    const found = await cluster.run(`from read_parquet([${files.join(', ')}])`);
    const expected = await cluster.run(query);
    expect(differenceOf(answerOf(expected), answerOf(found))).toBeUndefined();
  },
);
