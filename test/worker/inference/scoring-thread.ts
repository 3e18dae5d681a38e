/** A thread with a DuckDB instance and a session of its own: scores rows over and over when told to. */
import { parentPort, workerData } from 'node:worker_threads';
import { Workbench, inferStep, output, scalarInput } from './duck.js';

const { modelPath, width, rows, from, batchSize, repeats, start } = workerData as {
  modelPath: string;
  width: number;
  rows: number;
  from: number;
  batchSize: number | 'auto';
  repeats: number;
  /** `[0]` counts the threads that are ready; all go on at `threads`. */
  start: { word: SharedArrayBuffer; threads: number };
};
const names = Array.from({ length: width }, (_, k) => `f${k}`);
const bench = await Workbench.open();
const step = inferStep(
  [scalarInput('x', 'float32', [null, width], Object.fromEntries(names.map((n) => [n, 'DOUBLE'])))],
  [output('y', 'float32', [null, 1], 'FLOAT')],
  { batchSize },
);
const { call } = await bench.predict(modelPath, step);
const features = names.map((name, k) => `sin((i + ${from}) * ${k + 1}) as ${name}`).join(', ');
const query = `select ${call} from (select i, ${features} from range(${rows}) t(i)) order by i`;

const word = new Int32Array(start.word);
Atomics.add(word, 0, 1);
Atomics.notify(word, 0);
for (let ready = 0; (ready = Atomics.load(word, 0)) < start.threads;) Atomics.wait(word, 0, ready);
const runs: unknown[][] = [];
for (let k = 0; k < repeats; k++) runs.push(await bench.column(query));
bench.close();
parentPort!.postMessage(runs);
