import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startDeviceThread } from '../../../worker/inference/device-thread.js';
import type { DeviceThread } from '../../../worker/inference/device-thread.js';
import type { HostTensor } from '../../../worker/inference/host-tensor.js';
import type { ModelSource } from '../../../worker/inference/session-options.js';
import { loadShared } from '../../../worker/inference/shared-call.js';
import { Workbench, identityGraph, lookupGraph } from './duck.js';
import { deviceLoop, sourceThread } from './source-thread.js';

// The device thread runs any provider; on `cpu` everything but the device itself is the same.
let bench: Workbench;
let thread: DeviceThread;
beforeEach(async () => {
  bench = await Workbench.open();
  thread = startDeviceThread(deviceLoop);
});
afterEach(async () => {
  await thread.close();
  bench.close();
});

const alone = { joinRows: 0, cancelled: () => false };
const source = (modelPath: string): ModelSource => ({
  modelPath,
  externalPaths: {},
  device: 'cpu',
  intraOpThreads: 1,
});
const indices = (...values: number[]): HostTensor => ({
  type: 'int64',
  dims: [values.length],
  data: BigInt64Array.from(values, BigInt),
});

describe('a device thread', () => {
  it('answers calls from a thread that cannot await', async () => {
    const channel = thread.connect();
    await thread.ready();
    const model = loadShared(
      channel,
      source(bench.writeModel(lookupGraph(Float32Array.of(5, 6, 7)))),
      alone.cancelled,
    );
    expect(model.run({ i: indices(2, 0) }, alone)).toEqual({
      y: { type: 'float32', dims: [2], data: Float32Array.of(7, 5) },
    });
  });

  it('carries strings both ways', async () => {
    const channel = thread.connect();
    await thread.ready();
    const path = bench.writeModel(identityGraph('string', ['N']));
    const model = loadShared(channel, source(path), alone.cancelled);
    const x: HostTensor = { type: 'string', dims: [2], data: ['a', 'Zürich'] };
    expect(model.run({ x }, alone)['y']).toEqual(x);
    const cut: HostTensor = { type: 'string', dims: [1], data: ['a\0b'] };
    expect(() => model.run({ x: cut }, alone)).toThrow(/^E_MODEL_RUN: .*NUL/);
  });

  it('hands a refusal back with its code', async () => {
    const channel = thread.connect();
    await thread.ready();
    const path = bench.writeModel(lookupGraph(Float32Array.of(5)));
    const model = loadShared(channel, source(path), alone.cancelled);
    expect(() => model.run({ i: indices(9) }, alone)).toThrow(/^E_MODEL_RUN: .*idx=9/);
    expect(() => loadShared(channel, source('/nowhere.onnx'), alone.cancelled)).toThrow(
      'E_MODEL_INVALID',
    );
  });

  it('lets a caller go when it is cancelled, and drops the late answer', async () => {
    const channel = thread.connect();
    await thread.ready();
    const path = bench.writeModel(lookupGraph(Float32Array.of(5, 6)));
    const model = loadShared(channel, source(path), alone.cancelled);
    const cancelled = { joinRows: 0, cancelled: () => true };
    expect(() => model.run({ i: indices(0) }, cancelled)).toThrow('E_CANCELLED');
    expect(model.run({ i: indices(1) }, alone)['y']!.data).toEqual(Float32Array.of(6));
  });

  it('tells callers when it has ended, and serves new ones from a new thread', async () => {
    const old = thread.connect();
    await thread.ready();
    const path = bench.writeModel(lookupGraph(Float32Array.of(5, 6)));
    const model = loadShared(old, source(path), alone.cancelled);
    await thread.close();
    expect(() => model.run({ i: indices(0) }, alone)).toThrow('E_DEVICE_LOST');
    const fresh = thread.connect();
    await thread.ready();
    const again = loadShared(fresh, source(path), alone.cancelled);
    expect(again.run({ i: indices(1) }, alone)['y']!.data).toEqual(Float32Array.of(6));
  });

  it('serves several threads at once, each with its own rows', async () => {
    await thread.ready();
    const path = bench.writeModel(
      lookupGraph(Float32Array.from({ length: 4000 }, (_, i) => i * 10)),
    );
    const callers = [0, 1000, 2000].map(async (first) => {
      const channel = thread.connect();
      const worker = new Worker(sourceThread(new URL('./device-caller.ts', import.meta.url)), {
        workerData: { channel, source: source(path), first, calls: 30, rows: 500 },
        transferList: [channel.port],
      });
      const [wrong] = (await once(worker, 'message')) as [number];
      return wrong;
    });
    expect(await Promise.all(callers)).toEqual([0, 0, 0]);
  });
});
