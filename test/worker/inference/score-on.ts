/**
 * Scores rows on the devices named as arguments and prints the predictions as JSON. A process of its
 * own, because a graphics driver that crashes takes its process along.
 */
import type { Device } from '../../../shared/plan.js';
import { mlpModel } from '../../../shared/onnx-model.js';
import { startDeviceThread } from '../../../worker/inference/device-thread.js';
import { Workbench, inferStep, output, scalarInput } from './duck.js';
import { deviceLoop } from './source-thread.js';

const width = 8;
let seed = 11;
const random = (): number => (seed = (seed * 48271) % 2147483647) / 2147483647 - 0.5;
const layer = (inputs: number, outputs: number, activation: 'relu' | 'sigmoid') => ({
  weights: Float32Array.from({ length: inputs * outputs }, random),
  bias: Float32Array.from({ length: outputs }, random),
  activation,
});

const devices = startDeviceThread(deviceLoop);
const bench = await Workbench.open();
const path = bench.writeModel(
  mlpModel([layer(width, 32, 'relu'), layer(32, 3, 'sigmoid')], { input: 'x', output: 'y' }),
);
const names = Array.from({ length: width }, (_, k) => `f${k}`);
const source = `(select i, ${names.map((name, k) => `sin(i * ${k + 1}) as ${name}`).join(', ')} from range(5000) t(i))`;
const scores: Record<string, unknown> = {};
for (const device of process.argv.slice(2) as Device[]) {
  const step = inferStep(
    [
      scalarInput(
        'x',
        'float32',
        [null, width],
        Object.fromEntries(names.map((n) => [n, 'DOUBLE'])),
      ),
    ],
    [output('y', 'float32', [null, 3], 'FLOAT[]')],
    { device },
  );
  if (device !== 'cpu') await devices.ready();
  const channel = device === 'cpu' ? {} : { device: devices.connect() };
  const { call } = await bench.predict(path, step, { name: `on_${device}`, ...channel });
  scores[device] = await bench.column(`select ${call} from ${source} order by i`);
}
bench.close();
process.stdout.write(JSON.stringify(scores), () => process.exit(0));
