/** Webhooks over TLS: whose certificate counts. Each call is made by a process of its own, as trust is a process's. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Certificates, certificates } from '../../servers.js';
import { ended, startChild } from '../journal/child.js';

const caller = fileURLToPath(new URL('webhook-child.ts', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'windrow-webhook-'));
let files: Certificates;
let server: Server;
let asked: string[] = [];

beforeAll(async () => {
  files = certificates(directory);
  const keys = { cert: readFileSync(files.cert), key: readFileSync(files.key) };
  server = createServer(keys, (request, response) => {
    asked.push(request.url!);
    response.writeHead(204).end();
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
});
afterAll(async () => {
  await new Promise((done) => server.close(done));
  rmSync(directory, { recursive: true });
});

async function call(host: string, env: Record<string, string> = {}): Promise<string> {
  asked = [];
  const { port } = server.address() as AddressInfo;
  const { how, output } = await ended(startChild(caller, [`https://${host}:${port}/hook`], env));
  expect(how).toBe('0');
  return output;
}

it('an authority of one’s own counts where the coordinator was started with it', async () => {
  expect(await call('localhost', { NODE_EXTRA_CA_CERTS: files.ca })).toBe('told');
  expect(asked).toEqual(['/hook']);
});

it('an authority that nobody named does not, and nothing is said to it', async () => {
  expect(await call('localhost')).toMatch(/^E_WEBHOOK: .*: UNABLE_TO_VERIFY_LEAF_SIGNATURE/);
  expect(asked).toEqual([]);
});

it('nor does a certificate for another host', async () => {
  const trusted = { NODE_EXTRA_CA_CERTS: files.ca };
  expect(await call('127.0.0.1', trusted)).toMatch(/^E_WEBHOOK: .*: ERR_TLS_CERT_ALTNAME_INVALID/);
  expect(asked).toEqual([]);
});
