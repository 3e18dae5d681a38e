/** Streams that are left, as the coordinator counts them: its own gRPC statistics (channelz). */
import { join } from 'node:path';
import { getChannelzHandlers } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connect } from '../../client/client.js';
import { job, parquet } from '../../client/builder.js';
import type { Client } from '../../client/types.js';
import { type RunningCoordinator, startCoordinator } from '../../coordinator/main.js';
import { Workplace } from '../e2e/workplace.js';
import { failureOf } from './job-server.js';

const place = new Workplace();
let coordinator: RunningCoordinator;
let client: Client;
let waiting: string;

beforeAll(async () => {
  await place.numbers(100);
  const stateDirectory = join(place.directory, 'state');
  const started = await startCoordinator({ stateDirectory, embedded: true });
  if ('busy' in started) throw new Error('the state directory is busy');
  coordinator = started;
  client = connect(coordinator.endpoint);
  const loaded = await job('waits')
    .run({ pool: 'nobody' })
    .source('numbers', parquet('data/numbers.parquet'))
    .output({ from: 'numbers', parquet: 'out' })
    .load(place.directory);
  waiting = (await client.submit(loaded)).jobId;
});

afterAll(async () => {
  client.close();
  await coordinator.stop();
  await place.close();
});

type Answer = Record<string, unknown>;
type Handler = (
  call: { request: Answer },
  callback: (error: unknown, value: Answer) => void,
) => void;

function ask<Value>(name: string, request: Answer): Promise<Value> {
  const handlers = getChannelzHandlers() as unknown as Record<string, Handler>;
  return new Promise((resolve, reject) => {
    handlers[name]!({ request }, (error, value) =>
      error ? reject(new Error(name)) : resolve(value as Value),
    );
  });
}

/** Streams that servers of this process have begun and not ended. */
async function openStreams(): Promise<number> {
  const page = { start_server_id: 0, start_socket_id: 0, max_results: 100 };
  const { server: servers } = await ask<{ server: { ref: { server_id: number } }[] }>(
    'GetServers',
    page,
  );
  let open = 0;
  for (const { ref } of servers) {
    const request = { ...page, server_id: ref.server_id };
    const { socket_ref: sockets } = await ask<{ socket_ref: { socket_id: number }[] }>(
      'GetServerSockets',
      request,
    );
    for (const { socket_id } of sockets) {
      const { socket } = await ask<{ socket: { data: Record<string, string> } }>('GetSocket', {
        socket_id,
      });
      const count = (name: string): number => Number(socket.data[name]);
      open += count('streams_started') - count('streams_succeeded') - count('streams_failed');
    }
  }
  return open;
}

/** A watcher that waits for what comes after all there is, and reads on: progress comes at any time. */
async function watching(watcher: Client, signal?: AbortSignal) {
  const afterSeq = 1_000_000;
  const options = { afterSeq, ...(signal ? { signal } : {}) };
  const events = watcher.events(waiting, options)[Symbol.asyncIterator]();
  const ended = (async () => {
    while (!(await events.next()).done);
  })();
  await expect.poll(openStreams).toBe(1);
  return { events, ended };
}

test('leaving a loop over events ends their stream', async () => {
  for await (const event of client.events(waiting)) {
    expect(event.job).toBe(waiting);
    expect(await openStreams()).toBe(1);
    break;
  }
  await expect.poll(openStreams).toBe(0);
});

test('return ends the stream at once, though nothing comes', async () => {
  const { events, ended } = await watching(client);
  await events.return?.();
  await ended;
  await expect.poll(openStreams).toBe(0);
});

test('an abort signal ends the stream of events and that of a wait', async () => {
  const stop = new AbortController();
  const { ended } = await watching(client, stop.signal);
  const waited = client.wait(waiting, { signal: stop.signal });
  await expect.poll(openStreams).toBe(2);
  stop.abort();
  await ended;
  expect(await failureOf(waited)).toMatchObject({ code: 'E_CANCELLED' });
  await expect.poll(openStreams).toBe(0);
});

test('closing the client ends its streams', async () => {
  const other = connect(coordinator.endpoint);
  const { ended } = await watching(other);
  other.close();
  await ended;
  await expect.poll(openStreams).toBe(0);
});

test('a wait whose time is over leaves no stream', async () => {
  const waited = client.wait(waiting, { timeoutMs: 50 });
  expect(await failureOf(waited)).toMatchObject({ code: 'E_WAIT_TIMEOUT' });
  await expect.poll(openStreams).toBe(0);
});
