/** Models that are missing, broken or do not fit the columns; rows that do not fit the model. */
import { symlinkSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobSpecInput } from '../../shared/job-spec.js';
import { buildModel } from '../../shared/onnx-model.js';
import { ModelProto, TensorProto_DataLocation } from '../../shared/gen/onnx.js';
import { expectFailed, expectInvalid, Place, type Refusal, windrow } from './place.js';

let place: Place;
beforeAll(async () => {
  place = await Place.open();
  place.write('text.onnx', 'these are not the weights you are looking for');
  const good = buildModel(identityOf('float32', ['N', 2]));
  place.write('cut.onnx', good.subarray(0, good.length - 7));
  place.write('strings.onnx', buildModel(identityOf('string', ['N', 1])));
  place.write('matrix.onnx', buildModel(identityOf('float32', ['N', 2, 3])));
  place.write('outside.onnx', withExternalData('../secret.bin'));
  place.write('absent.onnx', withExternalData('weights.bin'));
  place.write('linked.onnx', withExternalData('link.bin'));
  place.write('short.onnx', withExternalData('short.bin'));
  place.write('short.bin', new Uint8Array(7));
  place.write(
    'unknown.onnx',
    buildModel({
      ...identityOf('float32', ['N', 2]),
      nodes: [{ op: 'NoSuchOperator', inputs: ['x'], outputs: ['y'] }],
    }),
  );
  place.write('elsewhere/real.bin', new Uint8Array(8));
  symlinkSync(place.path('elsewhere/real.bin'), place.path('link.bin'));
});
afterAll(() => place.close());

function identityOf(type: 'float32' | 'string', dims: (number | string)[]) {
  return {
    inputs: [{ name: 'x', type, dims }],
    outputs: [{ name: 'y', type, dims }],
    nodes: [{ op: 'Identity', inputs: ['x'], outputs: ['y'] }],
  };
}

/** `y = x + w` where `w` lies in another file. */
function withExternalData(location: string): Uint8Array {
  const bytes = buildModel({
    inputs: [{ name: 'x', type: 'float32', dims: ['N', 2] }],
    outputs: [{ name: 'y', type: 'float32', dims: ['N', 2] }],
    initializers: [{ name: 'w', type: 'float32', dims: [2], data: new Float32Array(2) }],
    nodes: [{ op: 'Add', inputs: ['x', 'w'], outputs: ['y'] }],
  });
  const model = ModelProto.decode(bytes);
  const [weights] = model.graph!.initializer;
  weights!.rawData = Buffer.alloc(0);
  weights!.floatData = [];
  weights!.dataLocation = TensorProto_DataLocation.EXTERNAL;
  weights!.externalData = [{ key: 'location', value: location }];
  return ModelProto.encode(model).finish();
}

type Infer = Partial<
  Extract<NonNullable<JobSpecInput['steps']>[number], { infer: unknown }>['infer']
>;

function inferring(name: string, infer: Infer): string {
  const whole = {
    from: 'orders',
    model: '../model.onnx',
    inputs: { x: ['amount', 'age'] },
    outputs: { y: 'score' },
    ...infer,
  };
  return place.spec(name, { steps: [{ id: 'scored', infer: whole }] });
}

interface ModelCase extends Refusal {
  readonly name: string;
  readonly infer: Infer;
}

const cases: ModelCase[] = [
  {
    name: 'a model that is not there',
    infer: { model: '../nowhere.onnx' },
    code: 'E_MODEL_MISSING',
    says: [/nowhere\.onnx/],
  },
  {
    name: 'a text',
    infer: { model: '../text.onnx' },
    code: 'E_MODEL_INVALID',
    says: [/text\.onnx/],
  },
  {
    name: 'half a model',
    infer: { model: '../cut.onnx' },
    code: 'E_MODEL_INVALID',
    says: [/cut\.onnx/],
  },
  { name: 'a directory', infer: { model: '..' }, code: 'E_MODEL_INVALID', says: [/regular file/] },
  {
    name: 'an input the model lacks',
    infer: { inputs: { z: ['amount', 'age'] } },
    code: 'E_MODEL_INPUT',
    says: [/'?z'?/, /x/],
  },
  {
    name: 'an output the model lacks',
    infer: { outputs: { probability: 'score' } },
    code: 'E_MODEL_OUTPUT',
    says: [/probability/, /y/],
  },
  {
    name: 'a column that is not there',
    infer: { inputs: { x: ['amuont', 'age'] } },
    code: 'E_UNKNOWN_COLUMN',
    says: [/amuont/, /amount/],
  },
  {
    name: 'text for numbers',
    infer: { inputs: { x: ['amount', 'name'] } },
    code: 'E_MODEL_INPUT',
    says: [/name/, /VARCHAR/, /float32/],
  },
  {
    name: 'numbers for text',
    infer: { model: '../strings.onnx', inputs: { x: ['amount'] } },
    code: 'E_MODEL_INPUT',
    says: [/amount/, /string/],
  },
  {
    name: 'too many columns',
    infer: { inputs: { x: ['amount', 'age', 'id'] } },
    code: 'E_MODEL_INPUT',
    says: [/3/, /2/],
  },
  {
    name: 'columns for a matrix',
    infer: { model: '../matrix.onnx' },
    code: 'E_MODEL_INPUT',
    says: [/rank|dimension|\[N, ?2, ?3\]|list/i],
  },
  {
    name: 'external data outside',
    infer: { model: '../outside.onnx' },
    code: 'E_MODEL_EXTERNAL',
    says: [/\.\.\/secret\.bin/],
  },
  {
    name: 'external data that is missing',
    infer: { model: '../absent.onnx' },
    code: 'E_MODEL_EXTERNAL',
    says: [/weights\.bin/],
  },
  {
    name: 'external data behind a link',
    infer: { model: '../linked.onnx' },
    code: 'E_MODEL_EXTERNAL',
    says: [/link\.bin/, /regular file/],
  },
  {
    name: 'external data that is cut off',
    infer: { model: '../short.onnx' },
    code: 'E_MODEL_EXTERNAL',
    says: [/short\.bin.* has 7 bytes, its tensors end at 8/],
  },
  {
    name: 'a device that is absent',
    infer: { device: 'cuda' },
    code: 'E_DEVICE_UNAVAILABLE',
    says: [/cuda/],
  },
];

describe('a step is refused for', () => {
  it.concurrent.each(cases)('$name', async ({ name, infer, code, says }) => {
    await expectInvalid(place, inferring(name, infer), {
      code,
      says: [/step scored/, /hint: /, ...says],
    });
  });
});

it('a model that only ONNX Runtime refuses fails the job with its step and its own path', async () => {
  const spec = inferring('unknown operator', { model: '../unknown.onnx' });
  const { failure } = await expectFailed(place, spec, 'E_MODEL_INVALID');
  expect(failure).toMatchObject({
    kind: 'badData',
    at: { step: 'scored', file: place.path('unknown.onnx') },
  });
  expect(failure.message).toMatch(/NoSuchOperator/);
  expect(failure.message).not.toMatch(/blobs/);
});

describe('a row without a value', () => {
  const inputs = { x: ['amount', 'visits'] };

  it.concurrent('fails the job with its file, row group, row, step and column', async () => {
    const spec = inferring('null fails', { inputs });
    const { failure } = await expectFailed(place, spec, 'E_NULL_INPUT');
    expect(failure).toMatchObject({
      kind: 'badData',
      at: { step: 'scored', file: place.path('data.parquet'), rowGroup: 3, row: 31234 },
    });
    expect(failure.message).toMatch(/visits/);
    expect(failure.hint).toMatch(/onNull/);
  });

  it.concurrent('becomes a dead letter where the spec says so', async () => {
    const spec = inferring('null dies', { inputs, onNull: 'deadLetter' });
    const run = await windrow(['run', spec, '--workers', '1']);
    expect(run.code, run.stderr).toBe(0);
    const result: unknown = JSON.parse(run.stdout.trim().split('\n').at(-1)!);
    expect(result).toMatchObject({ rows: { in: 50_000, out: 49_999, deadLettered: 1 } });
  });
});
