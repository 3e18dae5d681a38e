/** Calls an external scaler as KEDA does, through a client made from KEDA's protocol file. */
import {
  type ChannelCredentials,
  type Client,
  type ClientReadableStream,
  credentials,
  loadPackageDefinition,
  type ServiceError,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

export interface ScaledObjectRef {
  readonly name: string;
  readonly namespace: string;
  readonly scalerMetadata: Readonly<Record<string, string>>;
}

interface Spec {
  readonly metricName: string;
  readonly targetSize: string;
  readonly targetSizeFloat: number;
}
interface Value {
  readonly metricName: string;
  readonly metricValue: string;
  readonly metricValueFloat: number;
}
type Unary<Request, Response> = (
  request: Request,
  done: (error: ServiceError | null, response: Response) => void,
) => void;
interface Methods {
  readonly IsActive: Unary<ScaledObjectRef, { result: boolean }>;
  readonly GetMetricSpec: Unary<ScaledObjectRef, { metricSpecs: Spec[] }>;
  readonly GetMetrics: Unary<
    { scaledObjectRef: ScaledObjectRef; metricName: string },
    { metricValues: Value[] }
  >;
  readonly StreamIsActive: (ref: ScaledObjectRef) => ClientReadableStream<{ result: boolean }>;
  readonly StreamMetricSpec: (ref: ScaledObjectRef) => ClientReadableStream<unknown>;
}

export class KedaClient {
  private readonly client: Client & Methods;

  constructor(proto: string, address: string, channel?: ChannelCredentials) {
    const loaded = loadPackageDefinition(
      loadSync(proto, { keepCase: true, longs: String, defaults: true }),
    );
    const { externalscaler } = loaded as unknown as {
      externalscaler: {
        ExternalScaler: new (...given: [string, ChannelCredentials]) => Client & Methods;
      };
    };
    this.client = new externalscaler.ExternalScaler(
      address,
      channel ?? credentials.createInsecure(),
    );
  }

  async isActive(ref: ScaledObjectRef): Promise<boolean> {
    return (await this.call('IsActive', ref)).result;
  }

  /** What the autoscaler makes of specs and metrics: value over target, rounded up. */
  async replicas(ref: ScaledObjectRef): Promise<number> {
    const { metricSpecs } = await this.call('GetMetricSpec', ref);
    const replicas = await Promise.all(
      metricSpecs.map(async ({ metricName, targetSize, targetSizeFloat }) => {
        const target = targetSizeFloat > 0 ? targetSizeFloat : Number(targetSize);
        const request = { scaledObjectRef: ref, metricName };
        const { metricValues } = await this.call('GetMetrics', request);
        const found = metricValues.find((each) => each.metricName === metricName)!;
        const value =
          found.metricValueFloat > 0 ? found.metricValueFloat : Number(found.metricValue);
        return Math.ceil(value / target);
      }),
    );
    return Math.max(...replicas);
  }

  /** `next` resolves with the next word, and rejects with the status that the stream ends with. */
  streamIsActive(ref: ScaledObjectRef): { next(): Promise<boolean>; cancel(): void } {
    const stream = this.client.StreamIsActive(ref);
    // A status that nobody waits for, such as that of a cancel, is no error of the test.
    stream.on('error', () => undefined);
    const words = stream[Symbol.asyncIterator]() as AsyncIterator<{ result: boolean }>;
    return {
      next: async () => ((await words.next()).value as { result: boolean }).result,
      cancel: () => stream.cancel(),
    };
  }

  streamMetricSpec(ref: ScaledObjectRef): Promise<unknown> {
    const stream = this.client.StreamMetricSpec(ref);
    return (stream[Symbol.asyncIterator]() as AsyncIterator<unknown>).next();
  }

  close(): void {
    this.client.close();
  }

  private call<Name extends 'IsActive' | 'GetMetricSpec' | 'GetMetrics'>(
    name: Name,
    request: Parameters<Methods[Name]>[0],
  ): Promise<Parameters<Parameters<Methods[Name]>[1]>[1]> {
    return new Promise((resolve, reject) =>
      (this.client[name] as Unary<unknown, never>)(request, (error, response) =>
        error ? reject(error) : resolve(response),
      ),
    );
  }
}
