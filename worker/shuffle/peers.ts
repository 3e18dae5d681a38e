/**
 * How workers reach one another: what they may listen on, how a connection is secured, the token that a
 * request brings. What stays on the machine is plain, all else is TLS, so that an address says which.
 */
import { createServer, type RequestListener } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { SecureContextOptions } from 'node:tls';
import { readTls, type TlsFiles } from '../../shared/channel.js';
import { bearer, isWildcard, splitAddress, staysOnMachine } from '../../shared/endpoints.js';
import { fail } from '../../shared/failure.js';

/** What this worker shows to others. Plain data, as it travels to threads. */
export interface PeerAccess {
  readonly token?: string;
  readonly tls?: TlsFiles;
}

/** Where a request to that worker goes. */
export function peerTarget(
  address: string,
): { socketPath: string } | { host: string; port: number } {
  return address.startsWith('unix:') ? { socketPath: address.slice(5) } : splitAddress(address);
}

/**
 * How the connection to that worker is secured; undefined where it is not, as it stays on the machine.
 * @throws WindrowError E_TLS_FILE
 */
export function peerTls(
  address: string,
  { tls = {} }: PeerAccess,
): SecureContextOptions | undefined {
  return staysOnMachine(address) ? undefined : readTls(tls);
}

export function peerHeaders({ token }: PeerAccess): Record<string, string> {
  return token === undefined ? {} : { authorization: bearer(token) };
}

/**
 * @param address one that `checkShuffleListen` let pass
 * @throws WindrowError E_TLS_FILE
 */
export function peerServer(address: string, { tls = {} }: PeerAccess, listener: RequestListener) {
  if (staysOnMachine(address)) return createServer(listener);
  const { cert, key } = readTls(tls);
  return createSecureServer({ ...(cert ? { cert } : {}), ...(key ? { key } : {}) }, listener);
}

/**
 * @throws WindrowError E_LISTEN for an address that others could not be told, E_INSECURE_BIND for one
 * that they reach without TLS and the token
 */
export function checkShuffleListen(address: string, { token, tls }: PeerAccess): void {
  if (address.startsWith('unix:')) return;
  if (isWildcard(splitAddress(address).host)) {
    fail('invalidSpec', 'E_LISTEN', `${address} is no address that others can be told`, {
      hint: 'give --shuffle-listen the address at which other workers reach this machine',
    });
  }
  if (staysOnMachine(address)) return;
  const lacking = [
    ...(tls?.cert !== undefined && tls.key !== undefined ? [] : ['--tls-cert and --tls-key']),
    ...(token !== undefined ? [] : ['--token-file']),
  ];
  if (lacking.length === 0) return;
  fail(
    'invalidSpec',
    'E_INSECURE_BIND',
    `${address} can be reached from other machines and lacks ${lacking.join(', ')}`,
    { hint: 'give these, or leave --shuffle-listen out' },
  );
}
