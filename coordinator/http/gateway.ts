/**
 * The HTTP door of a coordinator that is told to have one, and the metrics that it shows. Fastify and
 * prom-client are loaded only then: most runs have neither.
 */
import type { Journal } from '../journal/journal.js';
import type { LoopDependencies } from '../loop.js';
import type { Metrics } from '../metrics/metrics.js';
import type { Observed } from '../metrics/state-gauges.js';
import type { TlsFiles } from '../rpc/servers.js';
import type { WorkerServiceDependencies } from '../rpc/worker-service.js';
import type { HandlersDependencies } from './handlers.js';
import type { HttpDoor } from './http-door.js';

export interface GatewayOptions {
  /** `HOST:PORT`; absent: there is no such door. */
  readonly http?: string;
  readonly tls?: TlsFiles;
  readonly clientToken?: string;
}

export async function gatewayOf(
  { http, tls, clientToken }: GatewayOptions,
  observed: Observed,
): Promise<Gateway | undefined> {
  if (http === undefined) return undefined;
  const { Metrics } = await import('../metrics/metrics.js');
  const access = { ...(tls ? { tls } : {}), ...(clientToken === undefined ? {} : { clientToken }) };
  return new Gateway({ listen: http, ...access }, new Metrics(observed));
}

export class Gateway {
  private door: HttpDoor | undefined;

  constructor(
    private readonly options: Pick<GatewayOptions, 'tls' | 'clientToken'> & { listen: string },
    private readonly metrics: Metrics,
  ) {}

  /** What the loop counts by. */
  loopHooks(journal: Journal): Pick<LoopDependencies, 'journal' | 'transition'> {
    return { journal: this.metrics.journal(journal), transition: this.metrics.transition };
  }

  workerHooks(): Pick<WorkerServiceDependencies, 'modelRuns'> {
    return { modelRuns: (runs) => this.metrics.modelRuns(runs) };
  }

  /** @returns HOST:PORT @throws WindrowError E_LISTEN, E_TLS_FILE */
  async open(verbs: Omit<HandlersDependencies, 'metrics'>): Promise<string> {
    const { HttpDoor } = await import('./http-door.js');
    const metrics = (): Promise<string> => this.metrics.text();
    this.door = await HttpDoor.open({ ...this.options, ...verbs, metrics });
    return this.door.address;
  }

  async close(): Promise<void> {
    await this.door?.close();
  }
}
