import { describe, expect, test } from 'vitest';
import { WindrowError } from '../../shared/failure.js';
import { AttributeProto, ModelProto } from '../../shared/gen/onnx.js';
import { mlpModel } from '../../shared/onnx-model.js';
import { readOnnxSignature } from '../../shared/onnx-signature.js';

const mlp = mlpModel(
  [{ weights: new Float32Array(6), bias: new Float32Array(2), activation: 'relu' }],
  { input: 'x', output: 'y' },
);

describe('a signature', () => {
  test('names inputs and outputs with types and free dimensions', () => {
    expect(readOnnxSignature(mlp)).toMatchObject({
      inputs: [{ name: 'x', type: 'float32', dims: [null, 3] }],
      outputs: [{ name: 'y', type: 'float32', dims: [null, 2] }],
      externalFiles: [],
      opsetVersion: 17,
    });
  });

  test('leaves out weights that are listed as inputs, and knows shapes that are not given', () => {
    const model = ModelProto.decode(mlp);
    const graph = model.graph!;
    graph.input.push({ ...graph.input[0]!, name: graph.initializer[0]!.name });
    const output = graph.output[0]!.type!.value;
    if (output?.$case === 'tensorType') output.value.shape = undefined;
    const signature = readOnnxSignature(ModelProto.encode(model).finish());
    expect(signature.inputs.map((input) => input.name)).toEqual(['x']);
    expect(signature.outputs[0]).toEqual({ name: 'y', type: 'float32' });
  });

  test('lists external data of weights and of constants inside attributes', () => {
    const model = ModelProto.decode(mlp);
    const graph = model.graph!;
    graph.initializer[0]!.externalData = [
      { key: 'location', value: 'b.bin' },
      { key: 'offset', value: '100' },
      { key: 'length', value: '12' },
    ];
    const tensor = {
      ...graph.initializer[1]!,
      externalData: [{ key: 'location', value: 'a.bin' }],
    };
    graph.node[0]!.attribute.push(AttributeProto.fromPartial({ name: 'value', t: tensor }));
    const signature = readOnnxSignature(ModelProto.encode(model).finish());
    expect(signature.externalFiles).toEqual([
      { name: 'a.bin', bytes: 8 },
      { name: 'b.bin', bytes: 112 },
    ]);
  });
});

describe('what is not a model is refused', () => {
  test.each<[string, Uint8Array]>([
    ['nothing', new Uint8Array(0)],
    ['text', Buffer.from('this is not a model, it is text')],
    ['half a model', mlp.subarray(0, mlp.length / 2)],
    ['zeros', new Uint8Array(100)],
  ])('%s', (_, bytes) => {
    try {
      readOnnxSignature(bytes);
    } catch (error) {
      expect(error).toBeInstanceOf(WindrowError);
      expect((error as WindrowError).failure.code).toBe('E_MODEL_INVALID');
      return;
    }
    throw new Error('it was taken for a model');
  });
});
