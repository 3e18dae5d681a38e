/**
 * Where other workers reach the shuffle service: a UNIX socket, or an address that they can be told.
 * Never: listens for other machines without TLS and a token.
 */
import { chmod, rm } from 'node:fs/promises';
import type { Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { joinAddress, splitAddress } from '../../shared/endpoints.js';
import { listenError } from '../../shared/listening.js';
import { shuffleLimits } from './limits.js';
import type { PartsService } from './parts-service.js';
import { checkShuffleListen, type PeerAccess, peerServer, peerTarget } from './peers.js';

/** Longest path that fits into sockaddr_un, with room to spare. */
const socketPathBytes = 100;

/**
 * A socket in the directory, or in the system's temporary one where that lies too deep.
 * @param name unlike that of any other process
 */
export function socketAddress(directory: string, name: string): string {
  const inside = join(directory, `${name}.sock`);
  const fits = Buffer.byteLength(inside) <= socketPathBytes;
  return `unix:${fits ? inside : join(tmpdir(), `${name}.sock`)}`;
}

export class ShuffleDoor {
  private constructor(
    /** As other workers reach it. */
    readonly address: string,
    private readonly server: Server,
  ) {}

  /**
   * @param address `unix:PATH`, or HOST:PORT where port 0 is any that is free
   * @throws WindrowError E_LISTEN, E_INSECURE_BIND, E_TLS_FILE
   */
  static async open(
    address: string,
    service: PartsService,
    access: PeerAccess,
  ): Promise<ShuffleDoor> {
    checkShuffleListen(address, access);
    const server = peerServer(address, access, service.listener);
    server.timeout = shuffleLimits.callerTimeoutMs;
    const socket = address.startsWith('unix:') ? address.slice(5) : undefined;
    // Left by a process that was killed: its directory is ours now.
    if (socket !== undefined) await rm(socket, { force: true });
    const port = await listening(server, address);
    if (socket === undefined) {
      return new ShuffleDoor(joinAddress(splitAddress(address).host, port), server);
    }
    await chmod(socket, 0o600);
    return new ShuffleDoor(address, server);
  }

  /** Who still reads from this worker asks again, elsewhere or never. */
  close(): void {
    this.server.close();
    this.server.closeAllConnections();
  }
}

/** @returns the port; 0 for a socket */
function listening(server: Server, address: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.on('error', (error) => reject(listenError('--shuffle-listen', address, error)));
    const target = peerTarget(address);
    server.listen('socketPath' in target ? { path: target.socketPath } : target, () => {
      const bound = server.address();
      resolve(typeof bound === 'object' ? (bound?.port ?? 0) : 0);
    });
  });
}
