/** What becomes of a stream whose reader takes nothing, hangs up, or whose source fails. */
import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { begun, sendStream } from '../../../coordinator/http/sent-streams.js';
import { fail } from '../../../shared/failure.js';

let server: Server | undefined;
let socket: Socket | undefined;

afterEach(() => {
  socket?.destroy();
  server?.closeAllConnections();
  server?.close();
});

/** A caller who has asked and reads nothing, and the response meant for it. */
async function asked(): Promise<ServerResponse> {
  server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const request = once(server, 'request') as Promise<[unknown, ServerResponse]>;
  socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket.pause();
  socket.on('error', () => undefined);
  socket.write('GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n');
  return (await request)[1];
}

function goneOf(response: ServerResponse): AbortSignal {
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  return gone.signal;
}

/** Parts without end, and how many were asked for. */
function endless() {
  const seen = { parts: 0, ended: false };
  const parts = (async function* () {
    try {
      for (;;) {
        seen.parts += 1;
        yield 'x'.repeat(64 * 1024);
      }
    } finally {
      seen.ended = true;
    }
  })();
  return { seen, parts };
}

async function text(): Promise<string> {
  let heard = '';
  socket!.on('data', (part: Buffer) => (heard += part.toString('latin1')));
  socket!.resume();
  await once(socket!, 'close');
  return heard;
}

it('who never reads is let go, with few parts made and the source ended', async () => {
  const response = await asked();
  const { seen, parts } = endless();
  const closed = once(response, 'close');
  const stream = { mediaType: 'text/plain', parts, lastWords: () => 'too slow' };
  await sendStream(response, stream, goneOf(response), 20);
  await closed;
  expect(seen.ended).toBe(true);
  // What the sockets of both sides hold, and no more.
  expect(seen.parts).toBeLessThan(500);
});

it('who hangs up ends the source', async () => {
  const response = await asked();
  const { seen, parts } = endless();
  const sent = sendStream(response, { mediaType: 'text/plain', parts }, goneOf(response), 60_000);
  socket!.destroy();
  await sent;
  expect(seen.ended).toBe(true);
});

it('a source that fails has its last words, and without them the answer breaks off', async () => {
  const failing = async function* () {
    yield 'first\n';
    fail('io', 'E_TEST', 'no more');
  };
  const told = await asked();
  const lastWords = (error: unknown): string => `last: ${(error as Error).message}\n`;
  const stream = { mediaType: 'text/plain', parts: failing(), lastWords };
  const heard = text();
  await sendStream(told, stream, goneOf(told), 1000);
  expect(await heard).toMatch(/first\n[\s\S]*last: E_TEST: no more\n[\s\S]*0\r\n\r\n$/);

  const cut = await asked();
  const rest = text();
  await sendStream(cut, { mediaType: 'text/plain', parts: failing() }, goneOf(cut), 1000);
  const partly = await rest;
  expect(partly).toContain('200 OK');
  expect(partly).not.toMatch(/0\r\n\r\n$/);
});

it('what fails before the first part fails before anything is answered', async () => {
  const failing = (async function* (): AsyncGenerator<string> {
    yield fail('io', 'E_TEST', 'not even one');
  })();
  await expect(begun(failing)).rejects.toMatchObject({ failure: { code: 'E_TEST' } });
  const whole: number[] = [];
  const numbers = (async function* () {
    yield* [1, 2, 3];
  })();
  for await (const number of await begun(numbers)) whole.push(number);
  expect(whole).toEqual([1, 2, 3]);
});
