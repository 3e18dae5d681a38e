/**
 * The door for probes of a cluster: the standard gRPC health service in plain text, as the kubelet
 * speaks no TLS and brings no token. Never: serves anything else, so that any address may be open.
 */
import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { HealthImplementation } from 'grpc-health-check';
import { joinAddress, splitAddress } from './endpoints.js';
import { bindServer } from './listening.js';

/** The service that stands for the whole process. */
const itself = '';

export class HealthDoor {
  private constructor(
    /** HOST:PORT as it was asked for, with the port that was taken. */
    readonly address: string,
    private readonly server: Server,
    private readonly health: HealthImplementation,
  ) {}

  /**
   * SERVING for `''` from the start.
   * @param address HOST:PORT, where port 0 is any that is free
   * @throws WindrowError E_LISTEN
   */
  static async open(address: string): Promise<HealthDoor> {
    const { host } = splitAddress(address);
    const { HealthImplementation } = await import('grpc-health-check');
    const health = new HealthImplementation({ [itself]: 'SERVING' });
    const server = new Server();
    health.addToServer(server);
    const insecure = ServerCredentials.createInsecure();
    const port = await bindServer(server, '--health-listen', address, insecure);
    return new HealthDoor(joinAddress(host, port), server, health);
  }

  /** @param service as a probe names it; one never told of is unknown to probes */
  tell(service: string, serving: boolean): void {
    this.health.setStatus(service, serving ? 'SERVING' : 'NOT_SERVING');
  }

  /** What asks from now on hears that nothing serves any more. */
  stopServing(): void {
    this.tell(itself, false);
  }

  close(): void {
    this.server.forceShutdown();
  }
}
