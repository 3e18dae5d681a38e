/** How all of TPC-H is cut into stages, on files a thousand times as large as those that lie here. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { generateTpch, tableGlob } from '../../bench/tpch/generate.js';
import { queryName, queryNumbers, queryText } from '../../bench/tpch/queries.js';
import { tables } from '../../bench/tpch/tables.js';
import { explainJson, explainText } from '../../coordinator/planner/explain.js';
import type { ExplainedStage } from '../../coordinator/planner/explain.js';
import type { InputFile, JobPlan } from '../../shared/plan.js';
import { Workbench } from '../coordinator/analyse/workbench.js';

const here = path.join(import.meta.dirname, 'tpch');
const document = path.resolve(import.meta.dirname, '../../docs/TPCH.md');
const update = process.env['WINDROW_UPDATE_GOLDEN'] === '1';
const smallest = 0.01;
const times = 1000;
let bench: Workbench;
let folder: string;

beforeAll(async () => {
  bench = await Workbench.open();
  folder = path.join(bench.directory, 'tpch');
  await generateTpch({ scale: smallest, folder });
  mkdirSync(here, { recursive: true });
}, 60_000);
afterAll(() => bench.close());

function larger(file: InputFile): InputFile {
  const { bytes, rowGroupRows } = file;
  return { ...file, bytes: bytes * times, rowGroupRows: rowGroupRows.map((rows) => rows * times) };
}

async function planOf(number: number): Promise<JobPlan> {
  const sources = Object.fromEntries(
    tables.map((table) => [table, { parquet: tableGlob(folder, table) }]),
  );
  const query = queryText(number, smallest * times);
  const { plan } = await bench.plan({
    sources,
    steps: [{ id: 'answer', sql: { query } }],
    outputs: [{ from: 'answer', parquet: '/out' }],
  });
  const large = Object.entries(plan.sources ?? {}).map(
    ([name, files]) => [name, files.map(larger)] as const,
  );
  return { ...plan, sources: Object.fromEntries(large) };
}

function expectApproved(text: string, approved: string): void {
  const explained = text.replaceAll(bench.directory, '$DIR');
  if (update) writeFileSync(approved, explained);
  expect(existsSync(approved), `${approved}: run with WINDROW_UPDATE_GOLDEN=1`).toBe(true);
  expect(explained).toBe(readFileSync(approved, 'utf8'));
}

test.each(queryNumbers.map((number) => [queryName(number), number] as const))(
  'the plan of %s is the approved one, and no large table is read in one place',
  async (name, number) => {
    const plan = await planOf(number);
    expectApproved(explainText(plan), path.join(here, `${name}.txt`));
    for (const { inputs } of explainJson(plan).stages) {
      const gathered = inputs.filter(({ exchange }) => exchange === 'gather');
      expect(
        gathered.map(({ from }) => from).filter((from) => tables.includes(from as never)),
      ).toEqual([]);
    }
  },
);

test('the table in docs/TPCH.md says so', async () => {
  const rows: string[] = [];
  for (const number of queryNumbers) {
    const { stages } = explainJson(await planOf(number));
    rows.push(`| ${queryName(number)} | ${stages.length} | ${waysOf(stages)} | ${endOf(stages)} |`);
  }
  const text = `${opening}\n${rows.join('\n')}\n`;
  if (update) writeFileSync(document, text);
  expect(readFileSync(document, 'utf8')).toBe(text);
});

/** How many inputs come in which way. */
function waysOf(stages: readonly ExplainedStage[]): string {
  const counts = new Map<string, number>();
  for (const { exchange } of stages.flatMap(({ inputs }) => inputs)) {
    if (exchange !== 'none') counts.set(exchange, (counts.get(exchange) ?? 0) + 1);
  }
  return ['hash', 'range', 'broadcast', 'gather']
    .flatMap((way) => (counts.has(way) ? [`${counts.get(way)} ${way}`] : []))
    .join(', ');
}

/** What is done in one place: the last order or sum, over rows that others have put together. */
function endOf(stages: readonly ExplainedStage[]): string {
  const gathering = stages.filter(({ inputs }) =>
    inputs.some(({ exchange }) => exchange === 'gather'),
  );
  return gathering.length === 0 ? 'nothing' : gathering.map(({ id }) => id).join(', ');
}

const opening = `# TPC-H in stages

How the 22 queries of TPC-H are cut into stages from their SQL text, as \`windrow explain\` says before anything has run; written by \`test/golden/tpch.test.ts\`, which also keeps each plan (\`test/golden/tpch\`). True sizes decide while a job runs, and may choose a broadcast where a hash is expected here. Every table is read by as many chunks as it has rows for. What a stage gathers is what earlier stages have aggregated, or the first rows of each of their chunks.

| query | stages | exchanges | stages that gather |
| ----- | ------ | --------- | ------------------ |`;
