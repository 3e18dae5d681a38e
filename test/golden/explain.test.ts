import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { explainJson, explainText } from '../../coordinator/planner/explain.js';
import type { JobSpecInput } from '../../shared/job-spec.js';
import { mlpModel } from '../../shared/onnx-model.js';
import type { JobPlan } from '../../shared/plan.js';
import { Workbench } from '../coordinator/analyse/workbench.js';

const here = import.meta.dirname;
const update = process.env['WINDROW_UPDATE_GOLDEN'] === '1';
let bench: Workbench;

beforeAll(async () => {
  bench = await Workbench.open();
  for (const day of ['2026-11-19', '2026-11-20']) {
    await bench.parquet(
      `orders/day=${day}/part.parquet`,
      `select i::bigint as order_id, (i % 50)::integer as user_id, (i * 0.25)::double as amount,
         (i % 9)::integer as visits, (20 + i % 40)::integer as age, ['DE', 'FR', 'US'][1 + i % 3] as country
       from range(6000) t(i)`,
      ', row_group_size 2048',
    );
  }
  await bench.parquet(
    'users.parquet',
    `select i::integer as user_id, ['gold', 'silver'][1 + i % 2] as tier from range(50) t(i)`,
  );
  const layer = {
    weights: new Float32Array(4),
    bias: new Float32Array(1),
    activation: 'sigmoid',
  } as const;
  bench.upload('churn.onnx', mlpModel([layer], { input: 'x', output: 'churn' }));
  bench.upload('tidy.mjs', 'export function row(r) { return r; }\n');
});
afterAll(() => bench.close());

const specs = readdirSync(here).filter((name) => name.endsWith('.yaml'));

async function planOf(name: string): Promise<JobPlan> {
  const text = readFileSync(join(here, name), 'utf8').replaceAll('$DIR', bench.directory);
  const { apiVersion: _, kind: __, metadata: ___, ...spec } = parse(text) as JobSpecInput;
  return (await bench.plan(spec)).plan;
}

function expectApproved(text: string, name: string): void {
  const explained = text.replaceAll(bench.directory, '$DIR');
  const approved = join(here, name);
  if (update) writeFileSync(approved, explained);
  expect(existsSync(approved), `${approved}: run with WINDROW_UPDATE_GOLDEN=1`).toBe(true);
  expect(explained).toBe(readFileSync(approved, 'utf8'));
}

test.each(specs)('the plan of %s is the approved one', async (name) => {
  expectApproved(explainText(await planOf(name)), name.replace(/\.yaml$/, '.txt'));
});

test('the plan of wide.yaml is the approved one for programs, too', async () => {
  const explained = explainJson(await planOf('wide.yaml'));
  expectApproved(`${JSON.stringify(explained, null, 2)}\n`, 'wide.json.txt');
});
