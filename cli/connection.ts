/**
 * Which coordinator a verb speaks to: `--connect` or WINDROW_CONNECT, else the process that owns the
 * state directory, else (to read) the journal in it. Never: what is asked of it.
 */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Client, ConnectOptions } from '../client/types.js';
import type { TlsFiles } from '../shared/channel.js';
import { WindrowError } from '../shared/failure.js';
import type { TlsFlags } from './arguments.js';
import { clientTls, readToken, serverAddress } from './arguments.js';
import { note } from './output.js';

export interface ConnectionFlags extends TlsFlags {
  readonly connect?: string;
  readonly state?: string;
  readonly tokenFile?: string;
}

/** What can be asked of a journal that nobody writes, as of a live coordinator. */
export type Reader = Pick<Client, 'get' | 'list' | 'events' | 'logs' | 'why'> & {
  readonly schedules: Pick<Client['schedules'], 'list' | 'get' | 'backfills' | 'getBackfill'>;
};

/** How long the owner of a state directory may be silent while it, or another, starts again. */
const ownerAwayMs = 5_000;
/** Who types an address wants to hear soon that nobody is there. */
const retryMs = 1_000;

export const defaultStateName = '.windrow';

export function remoteAddress(flags: ConnectionFlags): string | undefined {
  const [name, address] =
    flags.connect === undefined
      ? ['WINDROW_CONNECT', process.env['WINDROW_CONNECT']]
      : ['--connect', flags.connect];
  return address === undefined || address === '' ? undefined : serverAddress(name, address);
}

/** The state directory of verbs that get no spec. */
export function stateDirectoryOf(flags: ConnectionFlags): string {
  return resolve(flags.state ?? defaultStateName);
}

export async function connectRemote(address: string, flags: ConnectionFlags): Promise<Client> {
  const { connect } = await import('../client/client.js');
  const token =
    flags.tokenFile === undefined
      ? process.env['WINDROW_TOKEN']
      : readToken('--token-file', flags.tokenFile);
  const tls = clientTls(flags);
  await noteTls(tls);
  const options: ConnectOptions = {
    retryMs,
    onOutage: (reason) => {
      if (reason === undefined) note(`the coordinator at ${address} is back`);
      else note(`lost the coordinator at ${address} (${reason}): still trying`);
    },
    ...(token === undefined || token === '' ? {} : { token }),
    ...(tls === undefined ? {} : { tls }),
  };
  return connect(address, options);
}

/** Says what is wrong with the dates of certificates. @throws WindrowError E_TLS_FILE */
export async function noteTls(tls: TlsFiles | undefined): Promise<void> {
  if (tls === undefined) return;
  const { tlsWarnings } = await import('../shared/channel.js');
  for (const text of tlsWarnings(tls, Date.now())) note(`warning: ${text}`);
}

/** A live coordinator, or undefined where none is named and nobody owns the state directory. */
export async function findClient(flags: ConnectionFlags): Promise<Client | undefined> {
  const address = remoteAddress(flags);
  if (address !== undefined) return connectRemote(address, flags);
  const directory = existingState(flags);
  const { findOwner } = await import('../coordinator/main.js');
  const owner = await findOwner(directory);
  if (!owner) return undefined;
  const { connect } = await import('../client/client.js');
  return connect(owner.endpoint, { reconnectMs: ownerAwayMs, retryMs });
}

/** @throws WindrowError E_UNREACHABLE where no coordinator is running */
export async function openClient(flags: ConnectionFlags): Promise<Client> {
  return (await findClient(flags)) ?? failNotRunning(flags);
}

/** A live coordinator if there is one, else the journal, read-only. */
export async function openReader(flags: ConnectionFlags): Promise<Reader> {
  const client = await findClient(flags);
  if (client) return client;
  const { readOnlyView } = await import('../coordinator/main.js');
  return readOnlyView(stateDirectoryOf(flags));
}

export function failNotRunning(flags: ConnectionFlags): never {
  throw new WindrowError({
    kind: 'io',
    code: 'E_UNREACHABLE',
    message: `no coordinator is running on ${stateDirectoryOf(flags)}`,
    hint: 'start one with windrow dev, or name one with --connect HOST:PORT',
  });
}

function existingState(flags: ConnectionFlags): string {
  const directory = stateDirectoryOf(flags);
  if (existsSync(directory)) return directory;
  throw new WindrowError({
    kind: 'invalidSpec',
    code: 'E_STATE_NOT_FOUND',
    message: `there is no state directory ${directory}`,
    hint: 'name it with --state DIR (a run makes it beside its spec), or a coordinator with --connect',
  });
}
