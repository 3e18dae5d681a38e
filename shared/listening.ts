/**
 * How servers come to listen on addresses, and what is said of those that cannot be had. Never: what
 * is served there.
 */
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { createServer, type Server as Listener } from 'node:net';
import type { Server, ServerCredentials } from '@grpc/grpc-js';
import { splitAddress } from './endpoints.js';
import { WindrowError } from './failure.js';

/** An address by the flag that names it. */
export type Wanted = Readonly<Record<string, string | undefined>>;

/**
 * Takes all of them for a moment: before anything is made, and before gRPC tries, which speaks on
 * stderr when it does so in vain.
 * @param wanted HOST:PORT each; a `unix:PATH` is passed over
 * @throws WindrowError E_LISTEN
 */
export async function checkListenable(wanted: Wanted): Promise<void> {
  const taken: Listener[] = [];
  try {
    for (const [flag, address] of Object.entries(wanted)) {
      if (address === undefined || address.startsWith('unix:')) continue;
      const { host, port } = splitAddress(address);
      try {
        taken.push(await takeAny(host, port));
      } catch (error) {
        throw listenError(flag, address, error);
      }
    }
  } finally {
    await Promise.all(taken.map((one) => once(one.close(), 'close')));
  }
}

/** As gRPC, which is content with one of the addresses that a name stands for. */
async function takeAny(host: string, port: number): Promise<Listener> {
  const failures: unknown[] = [];
  for (const { address } of await lookup(host, { all: true })) {
    const listener = createServer((socket) => socket.destroy());
    try {
      await once(listener.listen({ host: address, port, exclusive: true }), 'listening');
      return listener;
    } catch (error) {
      failures.push(error);
    }
  }
  throw failures[0];
}

/** @returns the port that was taken @throws WindrowError E_LISTEN */
export function bindServer(
  server: Server,
  flag: string,
  address: string,
  credentials: ServerCredentials,
): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, credentials, (error, port) => {
      if (error) reject(listenError(flag, address, error));
      else resolve(port);
    });
  });
}

/** E_LISTEN for an address that cannot be had. */
export function listenError(flag: string, address: string, cause: unknown): WindrowError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const message = `cannot listen on ${address}: ${reason}`;
  const hint = `choose another address with ${flag}, or end what uses it`;
  return new WindrowError({ kind: 'invalidSpec', code: 'E_LISTEN', message, hint }, cause);
}
