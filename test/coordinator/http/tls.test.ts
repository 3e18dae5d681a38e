/** The HTTP door with TLS: it speaks nothing else, and asks for certificates where it is to. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request as plainRequest } from 'node:http';
import { request, type RequestOptions } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { HttpDoor } from '../../../coordinator/http/http-door.js';
import { JobVerbs } from '../../../coordinator/job-verbs.js';

const directory = mkdtempSync(join(tmpdir(), 'windrow-http-tls-'));
const path = (name: string): string => join(directory, name);
const token = 'a client is known by this';
let door: HttpDoor;
let strict: HttpDoor;

/** An authority, and a certificate of its for localhost that serves for clients as well. */
function certificates(): { cert: string; key: string } {
  const openssl = (...args: string[]): void =>
    void execFileSync('openssl', args, { cwd: directory, stdio: 'pipe' });
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  openssl(
    'req',
    '-x509',
    ...curve,
    '-keyout',
    'ca.key',
    '-out',
    'ca.pem',
    '-subj',
    '/CN=authority',
  );
  openssl('req', ...curve, '-keyout', 'own.key', '-out', 'own.csr', '-subj', '/CN=windrow');
  writeFileSync(path('san'), 'subjectAltName=DNS:localhost\n');
  const signer = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-extfile', 'san'];
  openssl('x509', '-req', '-in', 'own.csr', '-out', 'own.pem', ...signer);
  return { cert: path('own.pem'), key: path('own.key') };
}

beforeAll(async () => {
  const tls = certificates();
  // What is asked for here needs no verb.
  const verbs = new JobVerbs({} as never);
  const common = { listen: '127.0.0.1:0', verbs, metrics: () => Promise.resolve('up 1\n') };
  door = await HttpDoor.open({ ...common, tls, clientToken: token });
  strict = await HttpDoor.open({
    ...common,
    tls: { ...tls, ca: path('ca.pem') },
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
  const ca = readFileSync(path('ca.pem'));
  expect(await ask(door, { ca, headers: { authorization } })).toBe(200);
  expect(await ask(door, { ca })).toBe(401);
  await expect(ask(door, { headers: { authorization } })).rejects.toThrow(/certificate/);
});

it('does not answer in plain text', async () => {
  await expect(ask(door, {}, plainRequest as typeof request)).rejects.toThrow();
});

it('asks for a certificate where an authority for callers is named', async () => {
  const ca = readFileSync(path('ca.pem'));
  const own = { cert: readFileSync(path('own.pem')), key: readFileSync(path('own.key')) };
  expect(await ask(strict, { ca, ...own, headers: { authorization } })).toBe(200);
  await expect(ask(strict, { ca, headers: { authorization } })).rejects.toThrow();
});

it('says which file of a certificate cannot be read', async () => {
  const verbs = new JobVerbs({} as never);
  const tls = { cert: path('own.pem'), key: path('none.key') };
  const opened = HttpDoor.open({ listen: '127.0.0.1:0', verbs, metrics: async () => '', tls });
  await expect(opened).rejects.toMatchObject({ failure: { code: 'E_TLS_FILE' } });
});

it.each([
  ['what is no certificate', { cert: 'san' }],
  ['the key of another certificate', { key: 'ca.key' }],
])('refuses %s before it listens', async (_what, wrong: { cert?: string; key?: string }) => {
  const verbs = new JobVerbs({} as never);
  const tls = { cert: path(wrong.cert ?? 'own.pem'), key: path(wrong.key ?? 'own.key') };
  const opened = HttpDoor.open({ listen: '127.0.0.1:0', verbs, metrics: async () => '', tls });
  await expect(opened).rejects.toMatchObject({ failure: { code: 'E_TLS_FILE' } });
});
