import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { inspect } from 'node:util';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { connect } from '../../client/client.js';
import { startWorker } from '../../worker/main.js';
import { readTlsFiles } from '../../coordinator/rpc/servers.js';
import { channelTo, type TlsFiles, tlsWarnings } from '../../shared/channel.js';
import { certificates, freePort } from '../servers.js';

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

describe('files of TLS', () => {
  const directory = mkdtempSync(join(tmpdir(), 'windrow-pem-'));
  afterAll(() => rmSync(directory, { recursive: true }));
  const own = certificates(directory);
  const other = certificates(directory, ['localhost'], 'other');
  const refused = (tls: TlsFiles, said: RegExp) => {
    expect(() => channelTo('127.0.0.1:7433', tls)).toThrow(said);
  };

  it('that belong together are taken', () => {
    const { ca, cert, key } = own;
    expect(channelTo('127.0.0.1:7433', { ca, cert, key }).credentials._isSecure()).toBe(true);
  });

  it('that do not are refused before anything connects', () => {
    refused({ ca: own.ca, cert: own.cert, key: other.key }, /E_TLS_FILE.*cannot use.*key values/);
    refused({ ca: own.key }, /E_TLS_FILE.*own\.key holds no certificate/);
    const server = { cert: own.cert, key: own.key, ca: own.key };
    expect(() => readTlsFiles(server)).toThrow(/E_TLS_FILE.*own\.key holds no certificate/);
  });

  it('are warned of when nobody will take them, because of their dates', () => {
    const day = 24 * 3_600_000;
    const { ca, cert, key } = own;
    const at = (days: number, files: TlsFiles = { ca, cert, key }) =>
      tlsWarnings(files, Date.now() + days * day);
    expect(at(0)).toEqual([]);
    const expired = (file: string) =>
      expect.stringMatching(`^the certificate ${file} expired on 20\\S+Z: renew it$`) as string;
    expect(at(3)).toEqual([expired(cert), expired(ca)]);
    expect(at(3, { ca })).toEqual([expired(ca)]);
    expect(at(-1)[0]).toMatch(/is not valid before 20\S+Z: look at the clock/);
  });

  it('of several authorities are good while one is', () => {
    const both = join(directory, 'both.pem');
    const old = certificates(directory, ['localhost'], 'old', -1);
    writeFileSync(both, readFileSync(old.cert, 'utf8') + readFileSync(own.ca, 'utf8'));
    expect(tlsWarnings({ ca: both }, Date.now())).toEqual([]);
    // What cannot be read says nothing of its dates.
    writeFileSync(
      both,
      `${readFileSync(both, 'utf8')}-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n`,
    );
    expect(tlsWarnings({ ca: both }, Date.now())).toEqual([]);
    expect(tlsWarnings({ ca: old.cert }, Date.now())).toHaveLength(1);
  });
});

it('a token that cannot be sent is refused and not shown', async () => {
  for (const token of ['tök-secret', 'tok\nsecret', 'secret\u0007']) {
    expect(() => connect('127.0.0.1:7433', { token })).toThrow(/E_USAGE.*cannot be sent/);
    expect(() => connect('127.0.0.1:7433', { token })).not.toThrow(/secret/);
    const coordinator = '127.0.0.1:7433';
    const joining = startWorker({ coordinator, token, slots: 1, pools: ['cpu'] });
    await expect(joining).rejects.toThrow(/E_USAGE/);
  }
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
