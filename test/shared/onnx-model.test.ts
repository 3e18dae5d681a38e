import { InferenceSession, Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { buildModel, mlpModel } from '../../shared/onnx-model.js';
import type { Activation, DenseLayer } from '../../shared/onnx-model.js';

function forward(layers: readonly DenseLayer[], row: readonly number[]): number[] {
  let values = [...row];
  for (const { weights, bias, activation } of layers) {
    const sums = Array.from(bias, (b, out) =>
      values.reduce((sum, value, i) => sum + value * weights[i * bias.length + out]!, b),
    );
    const total = sums.reduce((sum, value) => sum + Math.exp(value), 0);
    const apply: Record<Activation, (value: number) => number> = {
      none: (value) => value,
      relu: (value) => Math.max(0, value),
      sigmoid: (value) => 1 / (1 + Math.exp(-value)),
      tanh: Math.tanh,
      softmax: (value) => Math.exp(value) / total,
    };
    values = sums.map(apply[activation]);
  }
  return values;
}

let seed = 3;
const random = (): number => (seed = (seed * 48271) % 2147483647) / 2147483647 - 0.5;
const layer = (inputs: number, outputs: number, activation: Activation): DenseLayer => ({
  weights: Float32Array.from({ length: inputs * outputs }, random),
  bias: Float32Array.from({ length: outputs }, random),
  activation,
});

describe('a written model', () => {
  it.each(['none', 'relu', 'sigmoid', 'tanh', 'softmax'] as const)(
    'computes what a forward pass in TypeScript computes, ending in %s',
    async (last) => {
      const layers = [layer(5, 7, 'relu'), layer(7, 4, 'tanh'), layer(4, 3, last)];
      const session = await InferenceSession.create(mlpModel(layers, { input: 'x', output: 'y' }));
      expect(session.inputMetadata).toMatchObject([
        { name: 'x', type: 'float32', shape: ['N', 5] },
      ]);
      expect(session.outputMetadata).toMatchObject([{ name: 'y', shape: ['N', 3] }]);
      const rows = Array.from({ length: 9 }, () => Array.from({ length: 5 }, random));
      const { y } = await session.run({ x: new Tensor('float32', rows.flat(), [9, 5]) });
      await session.release();
      const expected = rows.flatMap((row) => forward(layers, row));
      const found = Array.from(y!.data as Float32Array);
      expect(found).toHaveLength(27);
      found.forEach((value, i) => expect(value).toBeCloseTo(expected[i]!, 5));
    },
  );

  it('carries every kind of attribute and initializer', async () => {
    const model = buildModel({
      inputs: [{ name: 'x', type: 'float32', dims: ['N', 2] }],
      outputs: [
        { name: 'leaky', type: 'float32', dims: ['N', 2] },
        { name: 'turned', type: 'float32', dims: [2, 'N'] },
        { name: 'scaled', type: 'float64', dims: [2] },
        { name: 'words', type: 'string', dims: [2] },
        { name: 'const', type: 'int64', dims: [2] },
      ],
      nodes: [
        {
          op: 'LeakyRelu',
          inputs: ['x'],
          outputs: ['leaky'],
          attributes: { alpha: { float: 0.5 } },
        },
        {
          op: 'Transpose',
          inputs: ['x'],
          outputs: ['turned'],
          attributes: { perm: { ints: [1, 0] } },
        },
        { op: 'Identity', inputs: ['d'], outputs: ['scaled'] },
        { op: 'Identity', inputs: ['s'], outputs: ['words'] },
        {
          op: 'Constant',
          inputs: [],
          outputs: ['const'],
          attributes: {
            value: {
              tensor: {
                name: 'c',
                type: 'int64',
                dims: [2],
                data: BigInt64Array.of(-1n, 2n ** 62n),
              },
            },
          },
        },
      ],
      initializers: [
        { name: 'd', type: 'float64', dims: [2], data: Float64Array.of(0.1, -2) },
        { name: 's', type: 'string', dims: [2], data: ['', 'Zürich'] },
      ],
    });
    const session = await InferenceSession.create(model);
    const out = await session.run({ x: new Tensor('float32', [1, -2, 3, -4], [2, 2]) });
    await session.release();
    expect(Array.from(out['leaky']!.data as Float32Array)).toEqual([1, -1, 3, -2]);
    expect(Array.from(out['turned']!.data as Float32Array)).toEqual([1, 3, -2, -4]);
    expect(Array.from(out['scaled']!.data as Float64Array)).toEqual([0.1, -2]);
    expect(out['words']!.data).toEqual(['', 'Zürich']);
    expect(Array.from(out['const']!.data as BigInt64Array)).toEqual([-1n, 2n ** 62n]);
  });

  it('has the same bytes every time', () => {
    const layers = [layer(3, 2, 'relu')];
    const names = { input: 'x', output: 'y' };
    expect(mlpModel(layers, names)).toEqual(mlpModel(layers, names));
  });

  it('is refused when its layers do not fit together', () => {
    const names = { input: 'x', output: 'y' };
    expect(() => mlpModel([layer(3, 2, 'relu'), layer(3, 1, 'none')], names)).toThrow(RangeError);
    expect(() => mlpModel([], names)).toThrow('at least one layer');
  });
});
