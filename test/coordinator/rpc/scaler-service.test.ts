/**
 * KEDA's calls to a real coordinator, by a client made from KEDA's own protocol file: the calls, their
 * order and what they carry are those of pkg/scalers/external_scaler.go.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { status } from '@grpc/grpc-js';
import { connect } from '../../../client/client.js';
import { type RunningCoordinator, startCoordinator } from '../../../coordinator/main.js';
import { submitted } from '../core/fixtures.js';
import { KedaClient, type ScaledObjectRef } from './keda-client.js';
import { RawWorker } from './raw-worker.js';

const token = 'of-the-scaler';
const proto = resolve(import.meta.dirname, '../../../shared/proto/externalscaler.proto');

let directory: string;
let coordinator: RunningCoordinator;
let keda: KedaClient;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'windrow-scaler-'));
  const started = await startCoordinator({
    stateDirectory: join(directory, 'state'),
    embedded: false,
    listen: '127.0.0.1:0',
    clientToken: 'of-the-client',
    workerToken: 'of-the-worker',
    scalerToken: token,
  });
  if ('busy' in started) throw new Error('the state directory is busy');
  coordinator = started;
  keda = new KedaClient(proto, coordinator.listenAddress!);
});

afterAll(async () => {
  keda.close();
  await coordinator.stop();
  rmSync(directory, { recursive: true, force: true });
});

function scaledObject(change: Record<string, string> = {}): ScaledObjectRef {
  const scalerMetadata = {
    scalerAddress: 'windrow-coordinator.windrow.svc:7433',
    enableTLS: 'true',
    pool: 'cpu',
    slotsPerWorker: '2',
    tokenFromEnv: token,
    ...change,
  };
  return { name: 'windrow-worker-cpu', namespace: 'windrow', scalerMetadata };
}

it('a pool without work is not active and wants no worker', async () => {
  expect(await keda.isActive(scaledObject())).toBe(false);
  expect(await keda.replicas(scaledObject())).toBe(0);
});

it('work wakes a pool within the stream, scales it, and lets it go when all has ended', async () => {
  const cpu = keda.streamIsActive(scaledObject());
  const gpu = keda.streamIsActive(scaledObject({ pool: 'gpu' }));
  expect(await cpu.next()).toBe(false);
  expect(await gpu.next()).toBe(false);

  await coordinator.submitPlan(submitted({ stages: [{ rows: 5 }], nowMs: Date.now() }));
  expect(await cpu.next()).toBe(true);
  expect(await keda.replicas(scaledObject())).toBe(3);
  expect(await keda.replicas(scaledObject({ slotsPerWorker: '5' }))).toBe(1);
  expect(await keda.replicas(scaledObject({ pool: 'gpu' }))).toBe(0);

  const client = connect(coordinator.endpoint);
  const worker = new RawWorker(coordinator.endpoint, 'w1');
  worker.hello({ pools: ['cpu'], slots: 2 });
  await worker.assignment();
  await client.cancel('j1');
  // Two of its attempts are still on the worker: it stays until they have ended.
  expect(await keda.replicas(scaledObject())).toBe(1);
  worker.say({ $case: 'goodbye', value: { reason: 'exiting' } });
  expect(await cpu.next()).toBe(false);
  expect(await keda.isActive(scaledObject())).toBe(false);
  cpu.cancel();
  gpu.cancel();
  worker.client.close();
  client.close();
});

it('who brings no token, or another one, hears nothing', async () => {
  for (const tokenFromEnv of ['', 'of-the-worker', 'of-the-client']) {
    const stranger = scaledObject({ tokenFromEnv });
    const refusal = { code: status.UNAUTHENTICATED };
    await expect(keda.isActive(stranger)).rejects.toMatchObject(refusal);
    await expect(keda.replicas(stranger)).rejects.toMatchObject(refusal);
    await expect(keda.streamIsActive(stranger).next()).rejects.toMatchObject(refusal);
  }
});

it('metadata without a pool, or with slots that are none, is refused with what to write', async () => {
  const wrong = [
    { pool: '' },
    { slotsPerWorker: '' },
    { slotsPerWorker: '0' },
    { slotsPerWorker: '2.5' },
    { slotsPerWorker: '1e9' },
    { slotsPerWorker: 'two' },
  ];
  for (const change of wrong) {
    await expect(keda.isActive(scaledObject(change as never))).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: expect.stringContaining('E_SCALER_METADATA') as string,
    });
  }
});

it('the optional stream of metric specs is answered as not implemented, which KEDA expects', async () => {
  await expect(keda.streamMetricSpec(scaledObject())).rejects.toMatchObject({
    code: status.UNIMPLEMENTED,
  });
});
