import { createServer } from 'node:net';
import { once } from 'node:events';
import { inspect } from 'node:util';
import { afterEach, expect, it, vi } from 'vitest';
import { connect } from '../../client/client.js';
import { startWorker } from '../../worker/main.js';
import { freePort } from '../servers.js';

afterEach(() => vi.unstubAllEnvs());

it('a worker tells its token to no other machine in plain text', async () => {
  const joining = startWorker({
    coordinator: '192.0.2.2:7433',
    token: 'secret',
    slots: 1,
    pools: ['cpu'],
  });
  await expect(joining).rejects.toThrow(/E_INSECURE_TARGET.*192\.0\.2\.2/);
});

it('an error about a key given in place of its path does not show it', () => {
  const key = '-----BEGIN PRIVATE KEY-----\nverysecret\n-----END PRIVATE KEY-----';
  let thrown: unknown;
  try {
    connect('127.0.0.1:7433', { tls: { key } });
  } catch (error) {
    thrown = error;
  }
  const shown = inspect(thrown, { depth: null });
  expect(shown).toMatch(/E_TLS_FILE.*not its path/);
  expect(shown).not.toContain('verysecret');
});

it('plaintext to loopback takes no way by a proxy', async () => {
  let visitors = 0;
  const proxy = createServer((socket) => {
    visitors += 1;
    socket.destroy();
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const { port } = proxy.address() as { port: number };
  for (const name of ['http_proxy', 'https_proxy', 'grpc_proxy']) {
    vi.stubEnv(name, `http://127.0.0.1:${port}`);
  }
  for (const name of ['no_proxy', 'no_grpc_proxy']) vi.stubEnv(name, '');
  const client = connect(`127.0.0.1:${await freePort()}`, { token: 'secret', retryMs: 0 });
  try {
    await expect(client.list()).rejects.toThrow(/E_UNREACHABLE/);
    expect(visitors).toBe(0);
  } finally {
    client.close();
    proxy.close();
  }
});
