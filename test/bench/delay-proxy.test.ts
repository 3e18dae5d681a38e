/** The network with delay that scaling is measured behind: what goes in comes out. How late is not tested. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test } from 'vitest';

const server = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket));
let proxy: ReturnType<typeof startProxy>;
let port: number;

function startProxy(target: number) {
  const script = path.resolve('bench/delay-proxy.mjs');
  const args = [script, '127.0.0.1', String(target), '2'];
  return spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
}

beforeAll(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  proxy = startProxy((server.address() as AddressInfo).port);
  const [line] = (await once(createInterface({ input: proxy.stdout }), 'line')) as [string];
  port = Number(line);
});
afterAll(() => void server.close());

test('all bytes arrive in their order, also of a sender that has ended long before', async () => {
  const sent = Buffer.from(Uint32Array.from({ length: 1 << 20 }, (_, k) => k).buffer);
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
  const received: Buffer[] = [];
  socket.on('data', (bytes: Buffer) => received.push(bytes));
  socket.end(sent);
  await once(socket, 'end');
  expect(Buffer.concat(received).equals(sent)).toBe(true);
});

test('it ends with whoever started it', async () => {
  proxy.stdin.end();
  expect(await once(proxy, 'exit')).toEqual([0, null]);
});
