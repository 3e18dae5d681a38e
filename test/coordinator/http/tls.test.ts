/** The HTTP door with TLS: it speaks nothing else, and asks for certificates where it is to. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request as plainRequest } from 'node:http';
import { request, type RequestOptions } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { HttpDoor } from '../../../coordinator/http/http-door.js';
import { certificates } from '../../servers.js';
import { verbsOver } from './door-verbs.js';

const directory = mkdtempSync(join(tmpdir(), 'windrow-http-tls-'));
const path = (name: string): string => join(directory, name);
const token = 'a client is known by this';
let door: HttpDoor;
let strict: HttpDoor;

beforeAll(async () => {
  const { ca, cert, key } = certificates(directory);
  const tls = { cert, key };
  // What is asked for here needs no verb.
  const verbs = verbsOver({});
  const common = { listen: '127.0.0.1:0', ...verbs, metrics: () => Promise.resolve('up 1\n') };
  door = await HttpDoor.open({ ...common, tls, clientToken: token });
  strict = await HttpDoor.open({
    ...common,
    tls: { ...tls, ca },
    clientToken: token,
  });
});
afterAll(async () => {
  await Promise.all([door.close(), strict.close()]);
  rmSync(directory, { recursive: true, force: true });
});

function ask(of: HttpDoor, more: RequestOptions, ask = request): Promise<number | undefined> {
  const port = Number(of.address.split(':')[1]);
  return new Promise((resolve, reject) => {
    const options = { host: 'localhost', port, path: '/metrics', agent: false, ...more };
    ask(options, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode));
    })
      .on('error', reject)
      .end();
  });
}

const authorization = `Bearer ${token}`;

it('answers who trusts its authority and has the token', async () => {
  const ca = readFileSync(path('own.ca.pem'));
  expect(await ask(door, { ca, headers: { authorization } })).toBe(200);
  expect(await ask(door, { ca })).toBe(401);
  await expect(ask(door, { headers: { authorization } })).rejects.toThrow(/certificate/);
});

it('does not answer in plain text', async () => {
  await expect(ask(door, {}, plainRequest as typeof request)).rejects.toThrow();
});

it('asks for a certificate where an authority for callers is named', async () => {
  const ca = readFileSync(path('own.ca.pem'));
  const own = { cert: readFileSync(path('own.pem')), key: readFileSync(path('own.key')) };
  expect(await ask(strict, { ca, ...own, headers: { authorization } })).toBe(200);
  await expect(ask(strict, { ca, headers: { authorization } })).rejects.toThrow();
});

it('says which file of a certificate cannot be read', async () => {
  const verbs = verbsOver({});
  const tls = { cert: path('own.pem'), key: path('none.key') };
  const opened = HttpDoor.open({ listen: '127.0.0.1:0', ...verbs, metrics: async () => '', tls });
  await expect(opened).rejects.toMatchObject({ failure: { code: 'E_TLS_FILE' } });
});

it.each([
  ['what is no certificate', { cert: 'own.san' }],
  ['the key of another certificate', { key: 'own.ca.key' }],
])('refuses %s before it listens', async (_what, wrong: { cert?: string; key?: string }) => {
  const verbs = verbsOver({});
  const tls = { cert: path(wrong.cert ?? 'own.pem'), key: path(wrong.key ?? 'own.key') };
  const opened = HttpDoor.open({ listen: '127.0.0.1:0', ...verbs, metrics: async () => '', tls });
  await expect(opened).rejects.toMatchObject({ failure: { code: 'E_TLS_FILE' } });
});
