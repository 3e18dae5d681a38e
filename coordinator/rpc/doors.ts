/**
 * The gRPC doors of a coordinator, each with the same services: the socket of its state directory,
 * which wants no token, and where it is told to, an address of the network. Never: what they answer.
 */
import type { Metadata } from '@grpc/grpc-js';
import { bearerToken, tokenMatches } from '../../shared/endpoints.js';
import { fail } from '../../shared/failure.js';
import type { JobVerbs } from '../job-verbs.js';
import type { Pool } from '../scheduling/pool-demand.js';
import type { ScheduleRoom } from '../schedules/room.js';
import { jobService } from './job-service.js';
import { scalerService } from './scaler-service.js';
import { Door, socketPath, type TlsFiles } from './servers.js';
import type { WorkerService } from './worker-service.js';

export interface DoorsDependencies {
  readonly verbs: JobVerbs;
  readonly workers: Pick<WorkerService, 'implementation'>;
  readonly schedules: Pick<ScheduleRoom, 'service'>;
  /** How many workers a pool has work for. */
  readonly workersWanted: (pool: Pool) => number;
}

export interface NetworkOptions {
  readonly tls?: TlsFiles;
  readonly clientToken?: string;
  readonly workerToken?: string;
  /** Default the client's. */
  readonly scalerToken?: string;
}

export class Doors {
  private readonly open: Door[] = [];

  constructor(private readonly deps: DoorsDependencies) {}

  /** @returns `unix:PATH` */
  async openSocket(stateDirectory: string): Promise<string> {
    return this.door({}).listenUnix(socketPath(stateDirectory));
  }

  /** @returns HOST:PORT @throws WindrowError E_LISTEN, E_TLS_FILE */
  async openNetwork(address: string, options: NetworkOptions): Promise<string> {
    const door = this.door(options);
    const token = options.scalerToken ?? options.clientToken;
    door.addScaler(scalerService({ workersWanted: this.deps.workersWanted, token }));
    return door.listenTcp(address, options.tls);
  }

  async close(): Promise<void> {
    await Promise.all(this.open.map((door) => door.close()));
  }

  private door({ clientToken, workerToken }: NetworkOptions): Door {
    const { verbs, workers, schedules } = this.deps;
    const authorized = (metadata: Metadata): void => authorize(clientToken, bearerToken(metadata));
    const made = new Door(
      jobService(verbs, authorized),
      workers.implementation(workerToken),
      authorized,
    );
    made.addSchedules(schedules.service(authorized));
    this.open.push(made);
    return made;
  }
}

function authorize(wanted: string | undefined, given: string): void {
  if (wanted === undefined || tokenMatches(given, wanted)) return;
  fail('invalidSpec', 'E_UNAUTHENTICATED', 'the client token is missing or wrong', {
    hint: 'give it with WINDROW_TOKEN or --token-file',
  });
}
