import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { globSync } from 'tinyglobby';
import { expect, test } from 'vitest';
import { job, type JobBuilder, parquet } from '../../client/index.js';
import { jobSpecSchema, type JobSpecInput } from '../../shared/job-spec.js';
import { parseSpecText, validateSpec } from '../../shared/spec-file.js';
import { stepKinds, type StepKind } from '../../shared/step-spec.js';

const yaml = `
apiVersion: windrow/v1
kind: Job
metadata: { name: score, labels: { team: risk } }
params: { minAmount: 10 }
run: { attempts: 2 }
sources:
  orders: { parquet: data/*.parquet, unionByName: true }
steps:
  - { id: recent, filter: { from: orders, where: amount > $minAmount } }
  - { id: features, select: { from: recent, columns: { "*": true, ratio: amount / visits } } }
  - { id: named, sql: { query: select * from features where ratio > 1 } }
  - { id: mapped, map: { from: named, module: fn.ts, columns: { y: INTEGER } } }
  - { id: scored, infer: { from: mapped, model: m.onnx, inputs: { x: [ratio] }, outputs: { s: p } } }
  - { id: checked, expect: { from: scored, checks: [{ notNull: p }] } }
checkpoints: { keep: P1D }
deadLetters: { maxRows: 5 }
outputs:
  - { name: all, from: checked, parquet: out, mode: overwrite }
`;

const built = job('score')
  .labels({ team: 'risk' })
  .params({ minAmount: 10 })
  .run({ attempts: 2 })
  .source('orders', parquet('data/*.parquet', { unionByName: true }))
  .filter('recent', { from: 'orders', where: 'amount > $minAmount' })
  .select('features', { from: 'recent', columns: { '*': true, ratio: 'amount / visits' } })
  .sql('named', 'select * from features where ratio > 1')
  .map('mapped', { from: 'named', module: 'fn.ts', columns: { y: 'INTEGER' } })
  .infer('scored', {
    from: 'mapped',
    model: 'm.onnx',
    inputs: { x: ['ratio'] },
    outputs: { s: 'p' },
  })
  .expect('checked', { from: 'scored', checks: [{ notNull: 'p' }] })
  .checkpoints({ keep: 'P1D' })
  .deadLetters({ maxRows: 5 })
  .output({ name: 'all', from: 'checked', parquet: 'out', mode: 'overwrite' });

test('the builder makes the JSON that the YAML is', () => {
  const { input, spec } = parseSpecText(yaml);
  expect(built.toJSON()).toEqual(input);
  expect(validateSpec(built.toJSON())).toEqual(spec);
});

/** The same job by the builder: one call for each thing that the spec says. */
function rebuilt(input: JobSpecInput): JobSpecInput {
  const { metadata, params, run, checkpoints, shuffle, deadLetters } = input;
  let builder: JobBuilder<string> = job(metadata.name);
  if (metadata.labels) builder = builder.labels(metadata.labels);
  if (params) builder = builder.params(params);
  if (run) builder = builder.run(run);
  if (checkpoints) builder = builder.checkpoints(checkpoints);
  if (shuffle) builder = builder.shuffle(shuffle);
  if (deadLetters) builder = builder.deadLetters(deadLetters);
  for (const [id, { parquet: path, ...options }] of Object.entries(input.sources)) {
    builder = builder.source(id, parquet(path, options));
  }
  for (const { id, ...step } of input.steps ?? []) {
    const [[kind, body]] = Object.entries(step) as [[StepKind, never]];
    builder =
      kind === 'sql' ? builder.sql(id, (body as { query: string }).query) : builder[kind](id, body);
  }
  for (const output of input.outputs) builder = builder.output(output);
  return builder.toJSON();
}

const root = resolve(import.meta.dirname, '../..');
const read = (file: string): string => readFileSync(resolve(root, file), 'utf8');
const page = [...read('docs/SPEC.md').matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text]) => text!);
const jobs = [
  yaml,
  `${yaml.replace('steps:', `shuffle: { location: shuffle }\nsteps:`)}`,
  ...page.filter((text) => text.startsWith('apiVersion')),
  ...page.filter((text) => text.startsWith('- ')).map(jobOf),
  ...globSync('examples/**/*.yaml', { cwd: root })
    .map(read)
    .filter((text) => /^kind: Job$/m.test(text)),
];

/** A job around the steps of an example in docs/SPEC.md. */
function jobOf(steps: string): string {
  return `apiVersion: windrow/v1
kind: Job
metadata: { name: example }
params: { minAmount: 10 }
sources: { orders: { parquet: o.parquet }, users: { parquet: u.parquet, hive: { day: DATE } } }
steps:
${steps}
outputs: [{ from: ${/^- (?:\{ )?id: (\w+)/.exec(steps)![1]!}, parquet: out }]
`;
}

test('every job of the documents and examples can be built, whatever it says', () => {
  const said = new Set<string>();
  for (const text of jobs) {
    const input = parseSpecText(text).input as JobSpecInput;
    expect(rebuilt(input)).toEqual(input);
    for (const key of Object.keys(input)) said.add(key);
    for (const step of input.steps ?? []) for (const key of Object.keys(step)) said.add(key);
  }
  expect(
    [...stepKinds, ...Object.keys(jobSpecSchema.shape)].filter((key) => !said.has(key)),
  ).toEqual([]);
});

test('a join or union of what is not there yet does not compile', () => {
  const start = job('a').source('s', parquet('x.parquet'));
  // @ts-expect-error there is no step 'later'
  start.join('j', { left: 's', right: 'later', keys: ['id'] });
  // @ts-expect-error there is no step 'later'
  start.union('u', { inputs: ['s', 'later'] });
  expect(start.toJSON().steps).toBeUndefined();
});

test('a common beginning can be shared', () => {
  const start = job('a').source('s', parquet(['x.parquet']));
  start.filter('f', { from: 's', where: 'true' });
  expect(start.toJSON().steps).toBeUndefined();
});

test('an id that is not there yet does not compile', () => {
  const start = job('a').source('s', parquet('x.parquet'));
  // @ts-expect-error there is no step 'later'
  const wrong = start.filter('f', { from: 'later', where: 'true' });
  expect(() => validateSpec(wrong.output({ from: 'f', parquet: 'o' }).toJSON())).toThrow(
    /E_UNKNOWN_STEP/,
  );
});

test('a built job loads like a file of that directory', async () => {
  const loaded = await job('a')
    .source('s', parquet('x.parquet'))
    .output({ from: 's', parquet: 'out' })
    .load('somewhere');
  expect(JSON.parse(loaded.specJson)).toMatchObject({
    outputs: [{ parquet: resolve('somewhere/out') }],
  });
});
