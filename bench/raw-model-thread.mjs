/** One thread of the limit: a session of its own with one intra-op thread, run over rows that are already a tensor. */
import { parentPort, workerData } from 'node:worker_threads';
import { InferenceSession, Tensor } from 'onnxruntime-node';

const { model, inputs, batch, rows } = workerData;
const session = await InferenceSession.create(model, {
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
});
const data = Float32Array.from({ length: batch * inputs }, (_, k) => (k % 97) / 97);
const x = new Tensor('float32', data, [batch, inputs]);
await session.run({ x });
parentPort.once('message', async () => {
  for (let done = 0; done < rows; done += batch) await session.run({ x });
  await session.release();
  parentPort.postMessage('done');
});
parentPort.postMessage('ready');
