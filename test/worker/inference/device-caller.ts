/** A thread that calls a shared device over and over and reports how many answers were wrong. */
import { parentPort, workerData } from 'node:worker_threads';
import type { DeviceChannel } from '../../../worker/inference/device-thread.js';
import type { ModelSource } from '../../../worker/inference/session-options.js';
import { loadShared } from '../../../worker/inference/shared-call.js';

const { channel, source, first, calls, rows } = workerData as {
  channel: DeviceChannel;
  source: ModelSource;
  first: number;
  calls: number;
  rows: number;
};
const request = { joinRows: 16_384, cancelled: () => false };
const model = loadShared(channel, source, request.cancelled);
let wrong = 0;
for (let call = 0; call < calls; call++) {
  const data = BigInt64Array.from({ length: rows }, (_, i) => BigInt(first + ((i + call) % 1000)));
  const { y } = model.run({ i: { type: 'int64', dims: [rows], data } }, request);
  for (let i = 0; i < rows; i++) if (y!.data[i] !== (first + ((i + call) % 1000)) * 10) wrong++;
}
parentPort!.postMessage(wrong);
channel.port.close();
