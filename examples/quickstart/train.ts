/**
 * Trains the churn model: a perceptron with one hidden layer, by stochastic gradient descent, in plain
 * TypeScript. Seeded, so that equal data gives an equal model. Standardisation is folded into the weights.
 */
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { mlpModel } from '../../shared/onnx-model.js';
import { quickstartDirectory } from './data.js';
import { features } from './features.js';

const hidden = 16;
const epochs = 12;
const learningRate = 0.05;

interface Sample {
  readonly x: Float64Array;
  readonly churned: number;
}

/** mulberry32: small, seeded, good enough to shuffle and to start weights. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const sigmoid = (value: number): number => 1 / (1 + Math.exp(-value));

async function readHistory(file: string): Promise<Sample[]> {
  const instance = await DuckDBInstance.create();
  const connection = await instance.connect();
  const columns = features.map((feature, k) => `(${feature})::double as f${k}`).join(', ');
  const reader = await connection.runAndReadAll(
    `select ${columns}, churned::integer from '${file}' order by order_id`,
  );
  const samples = reader.getRows().map((row) => ({
    x: Float64Array.from(row.slice(0, features.length) as number[]),
    churned: row[features.length] as number,
  }));
  connection.closeSync();
  instance.closeSync();
  return samples;
}

/** Mean and deviation of each feature. */
function moments(samples: readonly Sample[]): { mean: Float64Array; deviation: Float64Array } {
  const mean = new Float64Array(features.length);
  const deviation = new Float64Array(features.length);
  for (const { x } of samples) x.forEach((v, k) => (mean[k]! += v / samples.length));
  for (const { x } of samples) {
    x.forEach((v, k) => (deviation[k]! += (v - mean[k]!) ** 2 / samples.length));
  }
  return { mean, deviation: deviation.map((variance) => Math.sqrt(variance) || 1) };
}

/** hidden × features and hidden × 1 weights, with their biases. */
class Perceptron {
  readonly w1 = new Float64Array(hidden * features.length);
  readonly b1 = new Float64Array(hidden);
  readonly w2 = new Float64Array(hidden);
  b2 = 0;
  private readonly active = new Float64Array(hidden);

  constructor(random: () => number) {
    this.w1.forEach((_, k) => (this.w1[k] = (random() - 0.5) * 0.8));
    this.w2.forEach((_, k) => (this.w2[k] = (random() - 0.5) * 0.8));
  }

  score(x: Float64Array): number {
    let sum = this.b2;
    for (let h = 0; h < hidden; h += 1) {
      let z = this.b1[h]!;
      for (let k = 0; k < x.length; k += 1) z += this.w1[h * x.length + k]! * x[k]!;
      this.active[h] = Math.max(0, z);
      sum += this.w2[h]! * this.active[h]!;
    }
    return sigmoid(sum);
  }

  /** One step down the gradient of the cross-entropy at one sample. */
  learn(x: Float64Array, target: number, rate: number): void {
    const error = this.score(x) - target;
    this.b2 -= rate * error;
    for (let h = 0; h < hidden; h += 1) {
      if (this.active[h] === 0) continue;
      const back = error * this.w2[h]!;
      this.w2[h]! -= rate * error * this.active[h]!;
      this.b1[h]! -= rate * back;
      for (let k = 0; k < x.length; k += 1) this.w1[h * x.length + k]! -= rate * back * x[k]!;
    }
  }
}

/** The area under the ROC curve: how often a customer who left has the higher score. */
function rocArea(model: Perceptron, samples: readonly Sample[]): number {
  const ranked = samples.map(({ x, churned }) => ({ score: model.score(x), churned }));
  ranked.sort((a, b) => a.score - b.score);
  let stayed = 0;
  let pairs = 0;
  for (const { churned } of ranked) {
    if (churned) pairs += stayed;
    else stayed += 1;
  }
  return pairs / (stayed * (ranked.length - stayed));
}

/** Trains on the history unless the model is there. Returns how well it ranks unseen customers. */
export async function trainModel(directory = quickstartDirectory): Promise<number | undefined> {
  const file = path.join(directory, 'models', 'churn.onnx');
  if (existsSync(file)) return undefined;
  const samples = await readHistory(path.join(directory, 'data', 'history.parquet'));
  const { mean, deviation } = moments(samples);
  const scaled = samples.map(({ x, churned }) => ({
    x: x.map((v, k) => (v - mean[k]!) / deviation[k]!),
    churned,
  }));
  const held = scaled.splice(Math.floor(scaled.length * 0.8));
  const random = randomFrom(20_261_121);
  const model = new Perceptron(random);
  for (let epoch = 0; epoch < epochs; epoch += 1) {
    const rate = learningRate / (1 + epoch);
    for (let step = 0; step < scaled.length; step += 1) {
      const { x, churned } = scaled[Math.floor(random() * scaled.length)]!;
      model.learn(x, churned, rate);
    }
  }
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(`${file}.part`, exportModel(model, mean, deviation));
  renameSync(`${file}.part`, file);
  return rocArea(model, held);
}

/** w·(x - mean)/deviation + b = (w/deviation)·x + (b - Σ w·mean/deviation): raw columns go in. */
function exportModel(model: Perceptron, mean: Float64Array, deviation: Float64Array): Uint8Array {
  const width = mean.length;
  const weights = new Float32Array(width * hidden);
  const biases = new Float32Array(hidden);
  for (let h = 0; h < hidden; h += 1) {
    let bias = model.b1[h]!;
    for (let k = 0; k < width; k += 1) {
      const weight = model.w1[h * width + k]! / deviation[k]!;
      weights[k * hidden + h] = weight;
      bias -= weight * mean[k]!;
    }
    biases[h] = bias;
  }
  return mlpModel(
    [
      { weights, bias: biases, activation: 'relu' },
      {
        weights: Float32Array.from(model.w2),
        bias: Float32Array.of(model.b2),
        activation: 'sigmoid',
      },
    ],
    { input: 'x', output: 'score' },
  );
}
