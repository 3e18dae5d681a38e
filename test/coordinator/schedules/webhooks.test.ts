/** Webhooks through real sockets: what is sent, what counts as an answer, and whom they do not call. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { lookup } from 'node:dns';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { scheduleId } from '../../../shared/ids.js';
import type { Event } from '../../../coordinator/core/events.js';
import type { State } from '../../../coordinator/core/state.js';
import { transition } from '../../../coordinator/core/transition.js';
import {
  checkWebhookHost,
  isPublicAddress,
} from '../../../coordinator/schedules/webhook-address.js';
import { postWebhook, type WebhookPost } from '../../../coordinator/schedules/webhook-post.js';
import { Webhooks } from '../../../coordinator/schedules/webhooks.js';
import {
  after,
  callId,
  defined,
  ended,
  made,
  S,
  scheduleOf,
  started,
  webhook,
} from '../core/schedule-fixtures.js';

let server: Server | undefined;
afterEach(async () => {
  server?.closeAllConnections();
  await new Promise((done) => (server ? server.close(done) : done(undefined)));
  server = undefined;
});

interface Got {
  readonly method: string | undefined;
  readonly path: string | undefined;
  readonly type: string | undefined;
  readonly body: string;
}

/** Answers as told, and keeps what it got. */
async function listen(
  answer: (response: ServerResponse) => void,
): Promise<{ port: number; got: Got[] }> {
  const got: Got[] = [];
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const { method, url: path, headers } = request;
    const body = Buffer.concat(parts).toString();
    got.push({ method, path, type: headers['content-type'], body });
    answer(response);
  };
  server = createServer(
    (request, response) => void handle(request, response).catch(() => undefined),
  );
  await new Promise<void>((done) => server!.listen(0, '127.0.0.1', done));
  return { port: (server.address() as AddressInfo).port, got };
}

const status =
  (code: number) =>
  (response: ServerResponse): void => {
    response.writeHead(code, code === 302 ? { location: '/elsewhere' } : {}).end();
  };
const post = (url: string, more: Partial<WebhookPost> = {}): Promise<string> =>
  postWebhook({
    url,
    body: '{"state":"failed"}',
    timeoutMs: 60_000,
    allowPrivate: true,
    signal: new AbortController().signal,
    ...more,
  }).then(
    () => 'told',
    (error: { failure: { code: string; message: string } }) =>
      `${error.failure.code}: ${error.failure.message}`,
  );

describe('a webhook', () => {
  it('gets the run as JSON, and any 2xx is its answer, however long the rest of it is', async () => {
    const { port, got } = await listen((response) => {
      response.writeHead(202);
      response.write('x'.repeat(100_000));
    });
    expect(await post(`http://127.0.0.1:${port}/runs?key=1`)).toBe('told');
    expect(got).toEqual([
      {
        method: 'POST',
        path: '/runs?key=1',
        type: 'application/json; charset=utf-8',
        body: '{"state":"failed"}',
      },
    ]);
  });

  it.each([302, 404, 500])(
    'that answers %i was not told, and is followed nowhere',
    async (code) => {
      const { port, got } = await listen(status(code));
      expect(await post(`http://127.0.0.1:${port}/secret`)).toBe(
        `E_WEBHOOK: the webhook at 127.0.0.1:${port} could not be told: it answered with status ${code}`,
      );
      expect(got.map(({ path }) => path)).toEqual(['/secret']);
    },
  );

  it('that answers with another protocol was not told, and is waited for no longer', async () => {
    const { port } = await listen((response) => {
      response.writeHead(101, { connection: 'upgrade', upgrade: 'other' }).flushHeaders();
    });
    expect(await post(`http://127.0.0.1:${port}/`)).toContain(
      'it closed the connection without an answer',
    );
  });

  it('that never answers, or that nobody serves, was not told', async () => {
    const { port } = await listen(() => undefined);
    const url = `http://127.0.0.1:${port}/`;
    expect(await post(url, { timeoutMs: 50 })).toContain('no answer within 50 ms');
    server!.closeAllConnections();
    await new Promise((done) => server!.close(done));
    expect(await post(url)).toContain('ECONNREFUSED');
  });
});

describe('addresses that are not public', () => {
  it.each([
    ...['127.0.0.1', '10.0.0.1', '172.16.9.9', '192.168.1.1', '169.254.169.254', '100.100.100.200'],
    ...['0.0.0.0', '224.0.0.1', '255.255.255.255', '192.0.0.192', '198.18.0.1', '168.63.129.16'],
    ...['::1', '::', 'fe80::1', 'fc00::1', 'fd00:ec2::254', 'ff02::1', '::ffff:10.0.0.1'],
    ...['::ffff:7f00:1', '::127.0.0.1', '64:ff9b::7f00:1', '2002:7f00:1::', '2001:db8::1', 'no'],
  ])('%s is none', (address) => {
    expect(isPublicAddress(address)).toBe(false);
  });

  it.each(['8.8.8.8', '172.15.0.1', '2606:4700::1111', '::ffff:8.8.8.8'])(
    '%s is one',
    (address) => {
      expect(isPublicAddress(address)).toBe(true);
    },
  );

  it.each([
    ...['http://127.0.0.1/', 'http://2130706433/', 'http://0x7f.1/', 'http://0177.0.0.1./'],
    ...['http://[::1]:80/', 'http://[::ffff:169.254.169.254]/', 'http://LOCALHOST/'],
    ...['http://a.localhost./x', 'https://169.254.169.254/latest'],
  ])('%s is refused by its text alone', (url) => {
    expect(() => checkWebhookHost(url)).toThrow(/E_WEBHOOK_DENIED.*not a public address/);
  });

  it('may be called where that is allowed, and a name is then judged by nobody', async () => {
    const { port, got } = await listen(status(200));
    expect(await post(`http://localhost:${port}/`)).toBe('told');
    expect(got).toHaveLength(1);
  });

  it('are refused each time that a name leads there, whatever it led to before', async () => {
    const { port, got } = await listen(status(200));
    const answers = [['8.8.8.8', '127.0.0.1'], ['127.0.0.1'], ['fd00::1']];
    const resolve = ((_host: string, _options: unknown, done: (...found: unknown[]) => void) => {
      const addresses = answers.shift()!;
      done(
        null,
        addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
      );
    }) as typeof lookup;
    const url = `http://rebind.example:${port}/`;
    const refused = { allowPrivate: false, resolve };
    for (const address of ['127.0.0.1', '127.0.0.1', 'fd00::1']) {
      expect(await post(url, refused)).toBe(
        `E_WEBHOOK_DENIED: webhooks may not call rebind.example (${address}): not a public address`,
      );
    }
    expect(got).toEqual([]);
  });

  it('are refused at the call as well, not only when the schedule is made', async () => {
    const { port, got } = await listen(status(200));
    expect(await post(`http://localhost:${port}/`, { allowPrivate: false })).toContain(
      'E_WEBHOOK_DENIED',
    );
    expect(await post(`http://127.0.0.1:${port}/`, { allowPrivate: false })).toContain(
      'E_WEBHOOK_DENIED',
    );
    expect(got).toEqual([]);
  });
});

describe('calls that are owed', () => {
  const owed = (url: string): State => {
    const told = { ...webhook, url, timeoutMs: 60_000 };
    return after(defined({ onFailure: told }), made(0), started(0), ended(0, 'failed'));
  };
  const effect = { type: 'callWebhook', scheduleId: S, callId: callId(0) } as const;

  function caller(state: State): { webhooks: Webhooks; told: Promise<Event> } {
    let heard: (event: Event) => void;
    const told = new Promise<Event>((done) => (heard = done));
    const webhooks = new Webhooks({
      state,
      post: async (event) => {
        transition(state, event!);
        heard(event!);
      },
      nowMs: () => 7,
      fatal: (error) => {
        throw error;
      },
      allowPrivateWebhooks: true,
    });
    return { webhooks, told };
  }

  it('are made, and how they went is told', async () => {
    const { port, got } = await listen(status(200));
    const state = owed(`http://127.0.0.1:${port}/`);
    const { webhooks, told } = caller(state);
    webhooks.run(effect);
    expect(await told).toEqual({
      type: 'webhook.tried',
      scheduleId: S,
      callId: callId(0),
      try: 1,
      nowMs: 7,
    });
    expect(JSON.parse(got[0]!.body)).toMatchObject({ schedule: 'hourly', state: 'failed' });
    const [run] = scheduleOf(state).runs.values();
    expect(run?.webhook).toEqual({ on: 'failure', state: 'delivered', tries: 1 });
    await webhooks.close();
  });

  it('wait for those of their own schedule alone, where its webhook hangs', async () => {
    const asked: string[] = [];
    let heard: () => void;
    const both = new Promise<void>((done) => (heard = done));
    server = createServer((request, response) => {
      asked.push(request.url!);
      if (request.url === '/other') response.writeHead(200).end();
      if (asked.length === 3) heard();
    });
    await new Promise<void>((done) => server!.listen(0, '127.0.0.1', done));
    const { port } = server.address() as AddressInfo;
    const state = owed(`http://127.0.0.1:${port}/hangs`);
    const [call] = scheduleOf(state).calls.values();
    for (let at = 1; at < 9; at += 1) {
      const id = callId(at);
      scheduleOf(state).calls.set(id, { ...call!, id });
    }
    const other = scheduleId('s2');
    const url = `http://127.0.0.1:${port}/other`;
    const calls = new Map([[callId(0), { ...call!, url }]]);
    state.schedules.set(other, { ...scheduleOf(state), id: other, name: 'other', calls });
    const { webhooks, told } = caller(state);
    for (let at = 0; at < 9; at += 1) webhooks.run({ ...effect, callId: callId(at) });
    webhooks.run({ ...effect, scheduleId: other });
    expect(await told).toMatchObject({ type: 'webhook.tried', scheduleId: other });
    await both;
    expect(asked.sort()).toEqual(['/hangs', '/hangs', '/other']);
    await webhooks.close();
  });

  it('stay owed where the process ends before an answer came', async () => {
    const reached = new Promise<void>((here) => void listen(() => here()).then(begin));
    let webhooks: Webhooks | undefined;
    let state: State | undefined;
    function begin({ port }: { port: number }): void {
      state = owed(`http://127.0.0.1:${port}/`);
      ({ webhooks } = caller(state));
      webhooks.run(effect);
    }
    await reached;
    await webhooks!.close();
    expect(scheduleOf(state!).calls.get(callId(0))).toMatchObject({ tries: 0 });
  });
});
