import {
  type Client,
  credentials,
  loadPackageDefinition,
  Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { readFileSync } from 'node:fs';
import type { JobView, WorkerView } from '../../shared/views.js';
import { certificates, healthOf } from '../servers.js';
import { scoringJob, type Started, Workplace } from './workplace.js';

const place = new Workplace();
beforeAll(async () => {
  await place.numbers(60_000);
  place.model();
  place.write('job.yaml', scoringJob('served'));
});
afterAll(() => place.close());

async function addressOf(server: Started): Promise<string> {
  return (await server.says(/ready on (\S+:\d+)/))[1]!;
}

/** Waits, by asking, until workers have as many slots as told. */
async function slotsReady(slots: number, env: Record<string, string>, ...flags: string[]) {
  for (;;) {
    const workers = await place.json<WorkerView[]>(['workers', '-o', 'json', ...flags], env);
    if (workers.reduce((sum, worker) => sum + worker.slots, 0) >= slots) return workers;
  }
}

describe('a coordinator with TLS and tokens', () => {
  let coordinator: Started;
  let worker: Started;
  let client: Record<string, string>;
  let tls: string[];

  beforeAll(async () => {
    const { ca, cert, key } = certificates(place.directory);
    const clientToken = place.write('client.token', 'of-the-client\n');
    const workerToken = place.write('worker.token', 'of-the-worker\n');
    coordinator = place.start([
      ...['coordinator', '--listen', 'localhost:0', '--state', 'served', '--allow-root', '.'],
      ...['--tls-cert', cert, '--tls-key', key],
      ...['--client-token-file', clientToken, '--worker-token-file', workerToken],
    ]);
    const address = await addressOf(coordinator);
    client = { WINDROW_CONNECT: address, WINDROW_TOKEN: 'of-the-client' };
    tls = ['--tls-ca', ca];
    const join = ['worker', '--coordinator', address, '--slots', '2', ...tls];
    const stranger = await place.windrow([...join, '--token-file', clientToken]);
    expect(stranger.code, stranger.stderr).toBe(2);
    expect(stranger.stderr).toContain('E_UNAUTHENTICATED');
    worker = place.start([...join, '--id', 'w1', '--token-file', workerToken]);
    await slotsReady(2, client, ...tls);
  });

  it('runs a job that is submitted, and shows it to who may see it', async () => {
    const submitted = await place.windrow(['submit', 'job.yaml', ...tls], client);
    expect(submitted.stderr).toBe('');
    const job = submitted.stdout.trim();
    const waited = await place.windrow(['wait', job, '-o', 'json', ...tls], client);
    expect(waited.code, waited.stderr).toBe(0);
    const view = JSON.parse(waited.stdout) as JobView;
    expect(view.rows).toEqual({ in: 60_000, out: 60_000, filtered: 0, deadLettered: 0 });

    const followed = await place.windrow(['events', job, '--follow', '-o', 'json', ...tls], client);
    expect(followed.code).toBe(0);
    const kinds = followed.stdout
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { event: string }).event);
    expect(kinds[0]).toBe('submitted');
    expect(kinds.at(-1)).toBe('result');
    expect((await place.windrow(['logs', job, ...tls], client)).code).toBe(0);
  });

  it('turns away who has no token, another one, or no trust in its certificate', async () => {
    const list = ['list', ...tls];
    const without = await place.windrow(list, { ...client, WINDROW_TOKEN: '' });
    const wrong = await place.windrow(list, { ...client, WINDROW_TOKEN: 'of-the-worker' });
    for (const { code, stderr } of [without, wrong]) {
      expect(stderr).toContain('E_UNAUTHENTICATED');
      expect(code).not.toBe(0);
    }
    const { code, stderr } = await place.windrow(['list'], client);
    expect(code, stderr).toBe(4);
  });

  it('answers everyone about its health, and who has the token about its services', async () => {
    const channel = credentials.createSsl(readFileSync(tls[1]!));
    expect(await healthOf(client['WINDROW_CONNECT']!, '', channel)).toBe('SERVING');

    const root = dirname(createRequire(import.meta.url).resolve('@grpc/reflection/package.json'));
    const proto = join(root, 'build/proto/grpc/reflection/v1/reflection.proto');
    const reflection = loadPackageDefinition(loadSync(proto, { keepCase: true })) as never as {
      grpc: { reflection: { v1: { ServerReflection: new (...args: unknown[]) => Reflection } } };
    };
    type Answer = { list_services_response: { service: { name: string }[] } };
    type Reflection = Client & {
      ServerReflectionInfo(metadata: Metadata): {
        on(event: 'data', heard: (answer: Answer) => void): void;
        on(event: 'error', heard: (error: ServiceError) => void): void;
        write(request: object): void;
        end(): void;
      };
    };
    const mirror = new reflection.grpc.reflection.v1.ServerReflection(
      client['WINDROW_CONNECT']!,
      channel,
    );
    const ask = (token: string | undefined): Promise<string[]> =>
      new Promise((resolve, reject) => {
        const metadata = new Metadata();
        if (token !== undefined) metadata.set('authorization', `Bearer ${token}`);
        const call = mirror.ServerReflectionInfo(metadata);
        call.on('error', reject);
        call.on('data', (answer) =>
          resolve(answer.list_services_response.service.map(({ name }) => name)),
        );
        call.write({ list_services: '' });
        call.end();
      });
    for (const token of [undefined, 'of-the-worker']) {
      await expect(ask(token)).rejects.toMatchObject({ code: status.UNAUTHENTICATED });
    }
    const names = await ask('of-the-client');
    mirror.close();
    expect(names.some((name) => name.endsWith('.JobService'))).toBe(true);
    expect(names.some((name) => name.endsWith('.WorkerService'))).toBe(true);
  });

  it('lets a drained worker leave, and waits in vain for a job that nobody works on', async () => {
    const unknown = await place.windrow(['drain', 'w2', ...tls], client);
    expect(unknown.stderr).toContain('E_NO_WORKER');
    const drained = await place.windrow(['drain', 'w1', ...tls], client);
    expect(drained.code, drained.stderr).toBe(0);
    expect((await worker.ended).code).toBe(0);

    place.write('lonely.yaml', scoringJob('lonely', { output: 'lonely', where: 'i > 5' }));
    const job = (await place.windrow(['submit', 'lonely.yaml', ...tls], client)).stdout.trim();
    const waited = await place.windrow(['wait', job, '--timeout', '300ms', ...tls], client);
    expect(waited.code).toBe(124);
    expect(waited.stderr).toContain('E_WAIT_TIMEOUT');
    const why = await place.windrow(['why', job, ...tls], client);
    expect(why.stdout).toContain('no worker is connected');

    const cancelled = await place.windrow(['cancel', job, ...tls], client);
    expect(cancelled.code, cancelled.stderr).toBe(0);
    expect((await place.windrow(['wait', job, ...tls], client)).code).toBe(3);
    expect((await place.windrow(['cancel', job, ...tls], client)).stdout).toContain('cancelled');
  });

  it('stops when asked, and is unreachable then', async () => {
    coordinator.child.kill('SIGTERM');
    expect((await coordinator.ended).code).toBe(0);
    const { code, stderr } = await place.windrow(['list', ...tls], client);
    expect(code).toBe(4);
    expect(stderr).toContain('E_UNREACHABLE');
  });
});

describe('windrow dev and workers that come early', () => {
  it('takes jobs, and a run that follows them from elsewhere', async () => {
    const dev = place.start(['dev', '--listen', '127.0.0.1:0', '--workers', '1', '--state', 'dev']);
    const env = { WINDROW_CONNECT: await addressOf(dev) };
    place.write('remote.yaml', scoringJob('remote', { output: 'remote' }));
    const { code, stdout, stderr } = await place.windrow(['run', 'remote.yaml'], env);
    expect(code, stderr).toBe(0);
    expect(stdout).toContain('"state":"succeeded"');
    dev.child.kill('SIGINT');
    expect((await dev.ended).code).toBe(0);
  });

  it('a worker that is there before its coordinator joins it later', async () => {
    const first = place.start([
      'coordinator',
      '--listen',
      '127.0.0.1:0',
      '--state',
      'late',
      '--allow-root',
      '.',
    ]);
    const address = await addressOf(first);
    const worker = place.start(['worker', '--coordinator', address, '--slots', '1']);
    await slotsReady(1, { WINDROW_CONNECT: address });
    first.child.kill('SIGKILL');
    await first.ended;
    const again = place.start([
      'coordinator',
      '--listen',
      address,
      '--state',
      'late',
      '--allow-root',
      '.',
    ]);
    await addressOf(again);
    await slotsReady(1, { WINDROW_CONNECT: address });
    worker.child.kill('SIGTERM');
    expect((await worker.ended).code).toBe(0);
  });

  it('says that its certificate has expired, and so does who calls it', async () => {
    const { ca, cert, key } = certificates(place.directory, ['localhost'], 'old', -1);
    const warning = `warning: the certificate ${cert} expired on `;
    const listen = ['coordinator', '--listen', 'localhost:0', '--state', 'expired'];
    const coordinator = place.start([...listen, '--tls-cert', cert, '--tls-key', key]);
    const address = await addressOf(coordinator);
    const call = ['list', '--connect', address, '--tls-ca', ca];
    const caller = await place.windrow([...call, '--tls-cert', cert, '--tls-key', key]);
    expect(caller.code).toBe(4);
    expect(caller.stderr).toContain(warning);
    expect(caller.stderr).toMatch(/E_UNREACHABLE.*certificate has expired/);
    coordinator.child.kill('SIGTERM');
    expect((await coordinator.ended).stderr).toContain(warning);
  });

  it('refuses to be reached from elsewhere without TLS and tokens', async () => {
    const { code, stderr } = await place.windrow(['coordinator', '--listen', '0.0.0.0:0']);
    expect(code).toBe(2);
    expect(stderr).toContain('E_INSECURE_BIND');
  });
});
