import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { chooseDevice } from '../../../coordinator/analyse/devices.js';
import type { StepSpec } from '../../../shared/job-spec.js';
import { buildModel } from '../../../shared/onnx-model.js';
import type { InferStep } from '../../../shared/plan.js';
import { Workbench } from './workbench.js';

let bench: Workbench;
let data: string;
let model: string;

beforeAll(async () => {
  bench = await Workbench.open();
  data = await bench.parquet(
    'data.parquet',
    `select i::integer as a, i::decimal(9,2) as b, i % 2 = 0 as flag, 't' || i as text,
       [i::float, i::float] as list, [[[i::float]], [[i]]] as deep,
       array_value(array_value(i::float, 1), array_value(2::float, 3), array_value(i, i))::float[2][3] as grid, date '2026-01-01' as day, {'x': 1} as s from range(10) t(i)`,
  );
  model = bench.upload(
    'model.onnx',
    buildModel({
      inputs: [
        { name: 'pair', type: 'float32', dims: [null, 2] },
        { name: 'single', type: 'int64', dims: [null] },
        { name: 'words', type: 'string', dims: [null, 1] },
      ],
      outputs: [
        { name: 'score', type: 'float32', dims: [null, 1] },
        { name: 'label', type: 'int64', dims: [null] },
        { name: 'many', type: 'float16', dims: [null, 3] },
      ],
      nodes: [{ op: 'Identity', inputs: ['pair'], outputs: ['score'] }],
    }),
  );
});
afterAll(() => bench.close());

const good = { pair: ['a', 'b'], single: 'flag', words: 'text' };

function job(infer: Record<string, unknown>): Parameters<Workbench['plan']>[0] {
  const step = {
    id: 'm',
    infer: { from: 'd', model, inputs: good, outputs: { score: 'p' }, ...infer },
  };
  return {
    sources: { d: { parquet: data } },
    steps: [step as unknown as StepSpec],
    outputs: [{ from: 'm', parquet: bench.path('out') }],
  };
}

test('a model is bound to columns, and its outputs are scalars or lists by their shapes', async () => {
  const { plan } = await bench.plan(job({ outputs: { score: 'p', label: 'l', many: 'v' } }));
  const step = plan.stages[0]!.program.steps[0] as InferStep;
  expect(step.inputs.map(({ tensor, list }) => [tensor, list])).toEqual([
    ['pair', false],
    ['single', false],
    ['words', false],
  ]);
  expect(step.outputs.map(({ column }) => column.type)).toEqual(['FLOAT', 'BIGINT', 'FLOAT[]']);
  expect(plan.outputs[0]!.columns.slice(-3).map(({ name }) => name)).toEqual(['p', 'l', 'v']);
  expect(plan.notes).toContainEqual({
    kind: 'device',
    step: 'm',
    text: 'runs on cpu (no worker has a GPU that can be used)',
  });
});

test('a list column fills the width', async () => {
  const { plan } = await bench.plan(job({ inputs: { ...good, pair: 'list' } }));
  expect((plan.stages[0]!.program.steps[0] as InferStep).inputs[0]!.list).toBe(true);
});

describe('a nested column', () => {
  const gridModel = (...rest: (number | null)[]): string =>
    bench.upload(
      'grid.onnx',
      buildModel({
        inputs: [{ name: 'x', type: 'float32', dims: [null, ...rest] }],
        outputs: [{ name: 'y', type: 'float32', dims: [null, ...rest] }],
        nodes: [{ op: 'Identity', inputs: ['x'], outputs: ['y'] }],
      }),
    );
  const fed = (column: string, ...rest: (number | null)[]) =>
    job({ model: gridModel(...rest), inputs: { x: column }, outputs: { y: 'p' } });

  test.each([
    ['grid', [3, 2]],
    ['grid', [null, null]],
    ['deep', [2, 1, 1]],
    ['list', [1, 2]],
  ] as const)('%s fills [N, %j], which comes back as lists of lists', async (column, rest) => {
    const { plan } = await bench.plan(fed(column, ...rest));
    const step = plan.stages[0]!.program.steps[0] as InferStep;
    expect(step.inputs[0]!.list).toBe(true);
    expect(step.outputs[0]!.column.type).toBe(`FLOAT${'[]'.repeat(rest.length)}`);
  });

  test.each([
    ['grid', [6]],
    ['deep', [2, 1]],
  ] as const)('%s does not fill [N, %j]', async (column, rest) => {
    const failure = await bench.refusal(fed(column, ...rest));
    expect(failure).toMatchObject({
      code: 'E_MODEL_INPUT',
      hint: expect.stringMatching(/flatten/),
    });
  });
});

describe('a model that does not fit its columns is refused', () => {
  test.each<[string, Record<string, unknown>, RegExp]>([
    ['E_MODEL_INPUT', { inputs: { ...good, pairs: 'a' } }, /did you mean 'pair'/],
    ['E_MODEL_INPUT', { inputs: { pair: ['a', 'b'], single: 'a' } }, /'words' is fed by nothing/],
    ['E_MODEL_INPUT', { inputs: { ...good, pair: ['a'] } }, /takes 2 columns, 1 given/],
    ['E_MODEL_INPUT', { inputs: { ...good, pair: ['a', 'text'] } }, /'text' is VARCHAR/],
    ['E_MODEL_INPUT', { inputs: { ...good, pair: ['a', 'day'] } }, /'day' is DATE/],
    ['E_MODEL_INPUT', { inputs: { ...good, words: 'a' } }, /::varchar/],
    ['E_MODEL_INPUT', { inputs: { ...good, single: 'list' } }, /one value a row/],
    ['E_MODEL_INPUT', { inputs: { ...good, pair: ['list', 'a'] } }, /mixes list column/],
    ['E_UNKNOWN_COLUMN', { inputs: { ...good, single: 'flagg' } }, /did you mean 'flag'/],
    ['E_MODEL_OUTPUT', { outputs: { scores: 'p' } }, /did you mean 'score'/],
    ['E_MODEL_OUTPUT', { outputs: { score: 'TEXT' } }, /is there already/],
    ['E_MODEL_MISSING', { model: '/nowhere.onnx' }, /not uploaded/],
    ['E_DEVICE_UNAVAILABLE', { device: 'cuda' }, /workers have: cpu/],
  ])('%s %j', async (code, infer, message) => {
    const failure = await bench.refusal(job(infer));
    expect(failure).toMatchObject({ code, kind: 'invalidSpec', at: { step: 'm' } });
    expect(JSON.stringify(failure)).toMatch(message);
  });

  test('bytes that are no model', async () => {
    const failure = await bench.refusal(job({ model: bench.upload('bad.onnx', 'no model') }));
    expect(failure).toMatchObject({ code: 'E_MODEL_INVALID', at: { step: 'm' } });
  });
});

test.each([
  ['auto', ['cpu', 'webgpu', 'cuda'], ['cpu', 'cuda'], 'cuda'],
  ['auto', ['cpu', 'webgpu'], ['cpu', 'webgpu'], 'webgpu'],
  ['auto', ['cpu', 'webgpu'], ['cpu'], 'cpu'],
  ['gpu', ['cpu', 'webgpu'], ['cpu'], 'webgpu'],
  ['webgpu', ['cpu', 'webgpu'], ['cpu'], 'webgpu'],
  ['cpu', [], [], 'cpu'],
] as const)('device %s of %j, hardware %j, is %s', (requested, devices, hardware, device) => {
  expect(chooseDevice(requested, { known: true, devices, hardware })).toMatchObject({ device });
});
