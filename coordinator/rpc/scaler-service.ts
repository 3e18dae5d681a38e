/**
 * Speaks the wire of KEDA's external scaler: how many workers a pool has work for, so that Kubernetes
 * starts and ends them, down to none. Never: decides how many; pool-demand.ts does.
 *
 * A ScaledObject's trigger names `pool` and `slotsPerWorker` in its metadata. The metric counts
 * workers and its target is one of them a replica, so that replicas are what the metric says.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Metadata, sendUnaryData, ServerUnaryCall, ServerWritableStream } from '@grpc/grpc-js';
import { bearerToken, tokenMatches } from '../../shared/endpoints.js';
import { fail } from '../../shared/failure.js';
import type { ExternalScalerServer, ScaledObjectRef } from '../../shared/gen/externalscaler.js';
import { limits } from '../../shared/limits.js';
import type { Pool } from '../scheduling/pool-demand.js';
import { sendAll, statusOf } from './streams.js';

export interface ScalerServiceDependencies {
  /** Workers that the pool has work for. */
  readonly workersWanted: (pool: Pool) => number;
  /** What callers must show; undefined where everyone may ask. */
  readonly token: string | undefined;
}

export type ScalerService = Pick<
  ExternalScalerServer,
  'isActive' | 'streamIsActive' | 'getMetricSpec' | 'getMetrics'
>;

/** How soon a stream says that a pool has got work, or has none left. */
const watchMs = 500;

export function scalerService({ workersWanted, token }: ScalerServiceDependencies): ScalerService {
  const poolOf = (ref: ScaledObjectRef | undefined, metadata: Metadata): Pool => {
    const given = ref?.scalerMetadata ?? {};
    authorize(token, given['tokenFromEnv'] ?? bearerToken(metadata));
    return checkedPool(given);
  };
  const unary =
    <Request, Response>(
      refOf: (request: Request) => ScaledObjectRef | undefined,
      answer: (pool: Pool) => Response,
    ) =>
    (call: ServerUnaryCall<Request, Response>, reply: sendUnaryData<Response>): void => {
      try {
        reply(null, answer(poolOf(refOf(call.request), call.metadata)));
      } catch (error) {
        reply(statusOf(error));
      }
    };

  return {
    isActive: unary(itself, (pool) => ({ result: workersWanted(pool) > 0 })),
    getMetricSpec: unary(itself, (pool) => ({
      metricSpecs: [{ metricName: metricName(pool), targetSize: 1, targetSizeFloat: 1 }],
    })),
    getMetrics: unary(
      ({ scaledObjectRef }) => scaledObjectRef,
      (pool) => {
        const workers = workersWanted(pool);
        const metricValue = { metricValue: workers, metricValueFloat: workers };
        return { metricValues: [{ metricName: metricName(pool), ...metricValue }] };
      },
    ),
    streamIsActive: (call: ServerWritableStream<ScaledObjectRef, { result: boolean }>) =>
      sendAll(call, (aborted) => {
        const pool = poolOf(call.request, call.metadata);
        return activity(() => workersWanted(pool) > 0, aborted);
      }),
  };
}

/** First how it is, then each change. */
async function* activity(
  isActive: () => boolean,
  aborted: AbortSignal,
): AsyncGenerator<{ result: boolean }> {
  for (let last: boolean | undefined; !aborted.aborted;) {
    const result = isActive();
    if (result !== last) yield { result };
    last = result;
    await sleep(watchMs, undefined, { signal: aborted, ref: false }).catch(() => undefined);
  }
}

const itself = (ref: ScaledObjectRef): ScaledObjectRef => ref;

function metricName({ name }: Pool): string {
  return `windrow-workers-${name}`;
}

/** KEDA sends no credentials but what a trigger's metadata holds. */
function authorize(wanted: string | undefined, given: string): void {
  if (wanted === undefined || tokenMatches(given, wanted)) return;
  fail('invalidSpec', 'E_UNAUTHENTICATED', "the scaler's token is missing or wrong", {
    hint: 'name the variable that holds it as tokenFromEnv in the metadata of the trigger',
  });
}

function checkedPool({ pool, slotsPerWorker }: Readonly<Record<string, string>>): Pool {
  const slots = Number(slotsPerWorker);
  if (!pool) wrong('names no pool');
  if (!Number.isInteger(slots) || slots < 1 || slots > limits.slotsPerWorker) {
    wrong(
      `has slotsPerWorker '${slotsPerWorker ?? ''}', which is not 1 to ${limits.slotsPerWorker}`,
    );
  }
  return { name: pool, slotsPerWorker: slots };
}

function wrong(what: string): never {
  fail('invalidSpec', 'E_SCALER_METADATA', `the metadata of the trigger ${what}`, {
    hint: 'write pool and slotsPerWorker, as the workers of the ScaledObject have them',
  });
}
