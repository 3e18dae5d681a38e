/**
 * The manifests' own commands, environment, ports and probes as processes of this machine: a job by
 * TLS with a token, KEDA's questions, an idle and a busy worker, and both ends of a pod's life.
 */
import { readFileSync } from 'node:fs';
import { get } from 'node:https';
import { resolve } from 'node:path';
import { credentials } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { connect, loadJob } from '../../client/index.js';
import type { Client } from '../../client/types.js';
import { KedaClient, type ScaledObjectRef } from '../coordinator/rpc/keda-client.js';
import { scoringJob, Workplace } from '../e2e/workplace.js';
import { type Certificates, certificates } from '../servers.js';
import { type Cluster, environment, Pod } from './pod.js';
import { find, type PodSpec } from './rendered.js';

const rows = 100_000;
const proto = resolve(import.meta.dirname, '../../shared/proto/externalscaler.proto');
const address = 'windrow-coordinator.windrow.svc:7433';
const place = new Workplace();
const pods: Pod[] = [];
let cluster: Cluster;
let own: Certificates;
let coordinator: Pod;
let client: Client;
let keda: KedaClient;

beforeAll(async () => {
  // The claim that all pods mount as /data.
  await place.numbers(rows, 'windrow-data/data/numbers.parquet');
  place.model(2);
  place.write('windrow-data/job.yaml', job('first', 'i >= 0'));
  place.write('windrow-data/second.yaml', job('second', 'i >= 1'));
  // With the names under which the coordinator is called.
  own = certificates(place.directory, ['localhost', address.split(':')[0]!]);
  const { ca, cert, key } = own;
  const files = Object.entries({ 'ca.crt': ca, 'tls.crt': cert, 'tls.key': key });
  const tls = Object.fromEntries(files.map(([name, file]) => [name, readFileSync(file, 'utf8')]));
  cluster = {
    directory: place.directory,
    secrets: {
      'windrow-tls': tls,
      'windrow-client-token': { token: 'of-the-client\n' },
      'windrow-worker-token': { token: 'of-the-worker\n' },
      'windrow-scaler-token': { token: 'of-the-scaler' },
    },
    services: new Map(),
  };
  const { spec } = find('StatefulSet', 'windrow-coordinator');
  coordinator = await start('windrow-coordinator-0', spec.template.spec);
  const here = `localhost:${coordinator.ports.get(7433)!}`;
  cluster.services.set(address, here);
  await coordinator.until('startupProbe', true);
  client = connect(here, { token: 'of-the-client', tls: { ca } });
  keda = new KedaClient(proto, here, credentials.createSsl(readFileSync(ca)));
});

afterAll(async () => {
  client.close();
  keda.close();
  for (const pod of pods) pod.kill();
  await Promise.all(pods.map(({ exit }) => exit));
  await place.close();
});

function job(name: string, where: string): string {
  return scoringJob(name, { output: name, where }).replace('model.onnx', '../model.onnx');
}

async function start(name: string, spec: PodSpec): Promise<Pod> {
  const pod = await Pod.start(cluster, name, spec);
  pods.push(pod);
  return pod;
}

async function startWorker(name: string): Promise<Pod> {
  const pod = await start(name, find('Deployment', 'windrow-worker-cpu').spec.template.spec);
  await pod.until('startupProbe', true);
  return pod;
}

function submit(file: string): Promise<{ jobId: string }> {
  return loadJob(place.path('windrow-data', file)).then((loaded) => client.submit(loaded));
}

/** What KEDA sends: the trigger's metadata, `…FromEnv` replaced by the deployment's variables. */
function scaledObject(name: string): ScaledObjectRef {
  const [container] = find('Deployment', name).spec.template.spec.containers;
  const env = environment(container.env, cluster, name);
  const [trigger] = find('ScaledObject', name).spec.triggers;
  const metadata = Object.entries(trigger.metadata as Record<string, string>);
  const resolved = metadata.map(([key, value]) => [
    key,
    key.endsWith('FromEnv') ? env[value]! : value,
  ]);
  return {
    name,
    namespace: 'windrow',
    scalerMetadata: Object.fromEntries(resolved) as Record<string, string>,
  };
}

const replicas = (pool: string): Promise<number> =>
  keda.replicas(scaledObject(`windrow-worker-${pool}`));

/** @returns the status of the answer */
function ask(path: string, headers: Record<string, string> = {}): Promise<number | undefined> {
  const port = coordinator.ports.get(7435)!;
  const ca = readFileSync(own.ca);
  return new Promise((resolveStatus, reject) =>
    get({ host: 'localhost', port, path, ca, headers }, (answer) => {
      answer.resume();
      resolveStatus(answer.statusCode);
    }).once('error', reject),
  );
}

it('the HTTP door answers who brings the token of clients, by the same certificate', async () => {
  const authorization = 'Bearer of-the-client';
  for (const path of ['/v1/jobs', '/metrics']) {
    expect(await ask(path, { authorization })).toBe(200);
    expect(await ask(path)).toBe(401);
  }
});

it('from no worker at all a job wakes its pool, is done, and the pool may sleep again', async () => {
  expect(await replicas('cpu')).toBe(0);
  const { jobId } = await submit('job.yaml');
  const [stage] = (await client.get(jobId)).stages;
  expect(stage!.tasks).toBeGreaterThan(4);
  expect(await replicas('cpu')).toBe(Math.ceil(stage!.tasks / 4));
  expect(await replicas('gpu')).toBe(0);
  expect(await replicas('spot')).toBe(0);

  const worker = await startWorker('windrow-worker-cpu-a');
  await worker.until('readinessProbe', true);
  const view = await client.wait(jobId);
  expect(view.state).toBe('succeeded');
  expect(view.rows).toEqual({ in: rows, out: rows, filtered: 0, deadLettered: 0 });
  expect((await client.workers()).map((each) => [each.worker, each.slots, each.pools])).toEqual([
    ['windrow-worker-cpu-a', 4, ['cpu']],
  ]);

  // Idle: alive, and the first to go.
  await worker.until('readinessProbe', false);
  expect(await worker.ask({ grpc: { port: 7434 } })).toBe(true);
  expect(await replicas('cpu')).toBe(0);
  expect(await worker.delete(), worker.output).toBe(0);
});

it('a worker that is deleted at work finishes its chunks in time, and another does the rest', async () => {
  const first = await startWorker('windrow-worker-cpu-b');
  const { jobId } = await submit('second.yaml');
  await first.until('readinessProbe', true);
  expect(await first.delete(), first.output).toBe(0);
  expect((await client.get(jobId)).state).toBe('running');
  const second = await startWorker('windrow-worker-cpu-c');
  const view = await client.wait(jobId);
  expect(view.state).toBe('succeeded');
  expect(view.rows.in).toBe(rows);
  // Chunks that were under way when it was told to go were kept: no row was scored twice.
  expect(view.rowsInferred).toBe(rows - 1);
  expect(await second.delete(), second.output).toBe(0);
});

it('a worker of each other pool joins with the pool and the slots that KEDA reckons with', async () => {
  for (const pool of ['gpu', 'spot']) {
    const name = `windrow-worker-${pool}`;
    const worker = await start(`${name}-a`, find('Deployment', name).spec.template.spec);
    await worker.until('startupProbe', true);
    await expect.poll(() => client.workers()).toHaveLength(1);
    const [joined] = await client.workers();
    const { slotsPerWorker } = scaledObject(name).scalerMetadata;
    expect(joined).toMatchObject({
      worker: `${name}-a`,
      pools: [pool],
      slots: Number(slotsPerWorker),
    });
    expect(await worker.delete(), worker.output).toBe(0);
    await expect.poll(() => client.workers()).toEqual([]);
  }
});

it('the coordinator answers its probes until it is deleted, and leaves in time', async () => {
  const { livenessProbe } = find('StatefulSet', 'windrow-coordinator').spec.template.spec
    .containers[0];
  expect(await coordinator.ask(livenessProbe)).toBe(true);
  const serving = coordinator.until('readinessProbe', false);
  expect(await coordinator.delete()).toBe(0);
  await serving;
  expect(await coordinator.ask(livenessProbe)).toBe(false);
});
