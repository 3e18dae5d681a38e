import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { mlpModel } from '../../../shared/onnx-model.js';
import { Workbench } from './duck.js';
import { sourceThread } from './source-thread.js';

const width = 16;
const rows = 6_000;
const repeats = 4;

let bench: Workbench;
beforeEach(async () => {
  bench = await Workbench.open();
});
afterEach(() => bench.close());

function perceptron(): string {
  let seed = 23;
  const random = (): number => (seed = (seed * 48271) % 2147483647) / 2147483647 - 0.5;
  const layer = (inputs: number, outputs: number, activation: 'relu' | 'none') => ({
    weights: Float32Array.from({ length: inputs * outputs }, random),
    bias: Float32Array.from({ length: outputs }, random),
    activation,
  });
  return bench.writeModel(
    mlpModel([layer(width, 64, 'relu'), layer(64, 1, 'none')], { input: 'x', output: 'y' }),
  );
}

/** What a session of its own says of the same rows in one run. */
async function direct(modelPath: string, from: number): Promise<number[]> {
  const session = await InferenceSession.create(modelPath);
  const x = Float32Array.from({ length: rows * width }, (_, at) =>
    Math.sin((Math.floor(at / width) + from) * ((at % width) + 1)),
  );
  const { y } = await session.run({ x: new Tensor('float32', x, [rows, width]) });
  await session.release();
  return [...(y!.data as Float32Array)];
}

/** Scores in as many threads as there are settings, all at once. */
async function inThreads(
  modelPath: string,
  settings: readonly { readonly from: number; readonly batchSize: number | 'auto' }[],
): Promise<number[][][]> {
  const start = { word: new SharedArrayBuffer(4), threads: settings.length };
  return Promise.all(
    settings.map(async (setting) => {
      const worker = new Worker(sourceThread(new URL('./scoring-thread.ts', import.meta.url)), {
        workerData: { modelPath, width, rows, repeats, start, ...setting },
      });
      const ended = once(worker, 'exit');
      const [runs] = (await once(worker, 'message')) as [number[][]];
      await ended;
      return runs;
    }),
  );
}

function largestDifference(found: readonly number[], expected: readonly number[]): number {
  expect(found).toHaveLength(expected.length);
  return found.reduce((worst, value, row) => Math.max(worst, Math.abs(value - expected[row]!)), 0);
}

describe('threads with a session each', () => {
  it('score at once through a DuckDB of their own, and each gets its own rows back', async () => {
    const modelPath = perceptron();
    const settings = [
      { from: 0, batchSize: 'auto' },
      { from: 1_000_000, batchSize: 'auto' },
    ] as const;
    const found = await inThreads(modelPath, settings);
    for (const [thread, { from }] of settings.entries()) {
      const expected = await direct(modelPath, from);
      for (const run of found[thread]!) expect(largestDifference(run, expected)).toBeLessThan(1e-4);
    }
  });

  it('agree whatever their batch sizes are', async () => {
    const modelPath = perceptron();
    const sizes = [1, 100, 2048, 'auto'] as const;
    const found = await inThreads(
      modelPath,
      sizes.map((batchSize) => ({ from: 0, batchSize })),
    );
    const [first] = found[0]!;
    for (const runs of found) {
      for (const run of runs) expect(largestDifference(run, first!)).toBeLessThan(1e-5);
    }
  });
});
