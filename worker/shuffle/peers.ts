/**
 * How workers reach one another: what they may listen on, how a channel is secured, the token that a
 * call brings. What stays on the machine is plain, all else is TLS, so that an address says which.
 */
import { readFileSync } from 'node:fs';
import { type ChannelCredentials, credentials, Metadata, ServerCredentials } from '@grpc/grpc-js';
import { isWildcard, splitAddress, staysOnMachine } from '../../shared/endpoints.js';
import { fail } from '../../shared/failure.js';

/** Paths of PEM files. */
export interface TlsFiles {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** What this worker shows to others. Plain data, as it travels to threads. */
export interface PeerAccess {
  readonly token?: string;
  readonly tls?: TlsFiles;
}

/** @throws WindrowError E_TLS_FILE */
export function channelCredentials(tls: TlsFiles | undefined): ChannelCredentials {
  if (!tls) return credentials.createInsecure();
  return credentials.createSsl(read(tls.ca), read(tls.key), read(tls.cert));
}

/** @throws WindrowError E_TLS_FILE */
export function peerCredentials(address: string, { tls }: PeerAccess): ChannelCredentials {
  return channelCredentials(staysOnMachine(address) ? undefined : (tls ?? {}));
}

export function peerMetadata({ token }: PeerAccess): Metadata {
  const metadata = new Metadata();
  if (token !== undefined) metadata.set('authorization', `Bearer ${token}`);
  return metadata;
}

/** @param address one that `checkShuffleListen` let pass */
export function serverCredentials(address: string, { tls }: PeerAccess): ServerCredentials {
  if (staysOnMachine(address)) return ServerCredentials.createInsecure();
  const pair = { cert_chain: read(tls?.cert)!, private_key: read(tls?.key)! };
  return ServerCredentials.createSsl(null, [pair]);
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

function read(path: string | undefined): Buffer | null {
  if (path === undefined) return null;
  try {
    return readFileSync(path);
  } catch (error) {
    return fail('invalidSpec', 'E_TLS_FILE', `cannot read ${path}: ${(error as Error).message}`, {
      hint: 'give the path of a PEM file',
      cause: error,
    });
  }
}
