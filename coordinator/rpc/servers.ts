/**
 * The doors: a UNIX socket in the state directory for this machine's own, and where asked for, TCP.
 * An address that others can reach without TLS and tokens is refused.
 */
import { chmodSync, existsSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  type handleBidiStreamingCall,
  type Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
} from '@grpc/grpc-js';
import type { HealthImplementation } from 'grpc-health-check';
import { readTls } from '../../shared/channel.js';
import { sha256Hex } from '../../shared/chunk-identity.js';
import { joinAddress, splitAddress, staysOnMachine } from '../../shared/endpoints.js';
import { fail } from '../../shared/failure.js';
import { ExternalScalerService } from '../../shared/gen/externalscaler.js';
import {
  JobServiceService,
  ScheduleServiceService,
  WorkerServiceService,
  type JobServiceServer,
  type ScheduleServiceServer,
  type WorkerServiceServer,
} from '../../shared/gen/windrow.js';
import { bindServer } from '../../shared/listening.js';
import { channelOptions } from '../../shared/rpc.js';
import type { ScalerService } from './scaler-service.js';
import { statusOf } from './streams.js';

export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
  readonly ca?: string;
}

/** Longest path that fits into sockaddr_un, with room to spare. */
const socketPathBytes = 100;

/** The socket of a state directory; a deep directory gets one under the system's temp directory. */
export function socketPath(stateDirectory: string): string {
  const inside = join(stateDirectory, 'windrow.sock');
  if (Buffer.byteLength(inside) <= socketPathBytes) return inside;
  return join(tmpdir(), `windrow-${sha256Hex(stateDirectory).slice(0, 20)}.sock`);
}

export class Door {
  private readonly server: Server;
  private health: HealthImplementation | undefined;

  /** @param authorize throws for a call that brings no client token where one is needed */
  constructor(
    jobs: JobServiceServer,
    workers: WorkerServiceServer,
    private readonly authorize: (metadata: Metadata) => void,
  ) {
    this.server = new Server(channelOptions);
    this.server.addService(JobServiceService, jobs);
    this.server.addService(WorkerServiceService, workers);
  }

  addSchedules(schedules: ScheduleServiceServer): void {
    this.server.addService(ScheduleServiceService, schedules);
  }

  /** Methods of the service that it does not have are answered as unimplemented. */
  addScaler(scaler: ScalerService): void {
    this.server.addService(ExternalScalerService, { ...scaler });
  }

  async listenUnix(path: string): Promise<string> {
    // The state directory's lock is ours, so whoever left this socket is gone.
    if (existsSync(path)) rmSync(path);
    await this.bind(`unix:${path}`, ServerCredentials.createInsecure());
    chmodSync(path, 0o600);
    return `unix:${path}`;
  }

  /** @throws WindrowError E_LISTEN when the address is taken */
  async listenTcp(address: string, tls: TlsFiles | undefined): Promise<string> {
    const { host } = splitAddress(address);
    await this.addStandardServices();
    const port = await this.bind(address, tls ? secure(tls) : ServerCredentials.createInsecure());
    return joinAddress(host, port);
  }

  stopServing(): void {
    this.health?.setStatus('', 'NOT_SERVING');
  }

  async close(): Promise<void> {
    this.stopServing();
    await Promise.race([
      new Promise<void>((resolve) => this.server.tryShutdown(() => resolve())),
      new Promise<void>((resolve) => setTimeout(resolve, 500).unref()),
    ]);
    this.server.forceShutdown();
  }

  /**
   * Health and reflection, for probes and tools from elsewhere. They parse protocol files, which
   * takes longer than all the rest of a small embedded run: only a door to the network has them.
   * Health says one word and answers everyone, as the probes of clusters bring no token; reflection
   * tells what can be called, and wants the token that calling wants.
   */
  private async addStandardServices(): Promise<void> {
    // One after the other, what the others need first: of CommonJS packages that are imported at the
    // same time, Node may hand out one that is half loaded.
    const { loadSync } = await import('@grpc/proto-loader');
    const { HealthImplementation } = await import('grpc-health-check');
    const { ReflectionService } = await import('@grpc/reflection');
    this.health = new HealthImplementation({ '': 'SERVING' });
    this.health.addToServer(this.server);
    new ReflectionService(loadSync(protoPath(), { keepCase: true })).addToServer({
      addService: (service, { ServerReflectionInfo: answer }) =>
        this.server.addService(service, {
          ServerReflectionInfo: (call: ServerDuplexStream<unknown, unknown>) => {
            try {
              this.authorize(call.metadata);
              (answer as handleBidiStreamingCall<unknown, unknown>)(call);
            } catch (error) {
              call.emit('error', statusOf(error));
            }
          },
        }),
    });
  }

  private bind(address: string, credentials: ServerCredentials): Promise<number> {
    return bindServer(this.server, '--listen', address, credentials);
  }
}

/** @throws WindrowError E_INSECURE_BIND for an open address without TLS and both tokens */
export function checkBind(
  address: string,
  secured: { tls: boolean; clientToken: boolean; workerToken: boolean },
): void {
  splitAddress(address);
  if (staysOnMachine(address)) return;
  const lacking = [
    ...(secured.tls ? [] : ['--tls-cert and --tls-key']),
    ...(secured.clientToken ? [] : ['--client-token-file']),
    ...(secured.workerToken ? [] : ['--worker-token-file']),
  ];
  if (lacking.length === 0) return;
  fail(
    'invalidSpec',
    'E_INSECURE_BIND',
    `${address} can be reached from other machines and lacks ${lacking.join(', ')}`,
    {
      hint: 'give these, or listen on 127.0.0.1',
    },
  );
}

function secure(files: TlsFiles): ServerCredentials {
  const { cert, key, ca, requestCert } = readTlsFiles(files);
  const pair = [{ cert_chain: cert, private_key: key }];
  // grpc-js checks client certificates only when told to.
  return ServerCredentials.createSsl(ca ?? null, pair, requestCert);
}

/**
 * What a listener needs; with an authority, callers must show a certificate of its.
 * @throws WindrowError E_TLS_FILE
 */
export function readTlsFiles(files: TlsFiles) {
  const { cert, key, ca } = readTls(files);
  return { cert: cert!, key: key!, ...(ca ? { ca } : {}), requestCert: ca !== undefined };
}

/** Beside the sources, and two rooms further up from what is built of them. */
function protoPath(): string {
  const proto = fileURLToPath(new URL('../../shared/proto/windrow.proto', import.meta.url));
  if (existsSync(proto)) return proto;
  return fileURLToPath(new URL('../../../shared/proto/windrow.proto', import.meta.url));
}
