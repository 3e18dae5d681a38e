/**
 * What both ends of a gRPC call agree on besides the messages: how a failure travels as a status,
 * and how a channel is set up. Never: connections; both ends make their own.
 */
import { Metadata, status, type ServiceError } from '@grpc/grpc-js';
import { WindrowError, type Failure, type FailureKind } from './failure.js';
import { limits } from './limits.js';

/** Trailing metadata: UTF-8 JSON of `{ failure, problems? }`. */
const failureKey = 'windrow-failure-bin';

/** Trailers share a header block of 16 KiB, and `-bin` values grow by a third on the way. */
const trailerBytesMax = 6_000;
const textMax = 1_000;

/** For clients and servers alike: limits, and pings that notice a peer that went without a word. */
export const channelOptions = {
  'grpc.max_receive_message_length': limits.messageBytes,
  'grpc.max_send_message_length': limits.messageBytes,
  'grpc.keepalive_time_ms': 20_000,
  'grpc.keepalive_timeout_ms': 10_000,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 2_000,
} as const;

const codeOfKind: Record<FailureKind, status> = {
  invalidSpec: status.INVALID_ARGUMENT,
  userCode: status.FAILED_PRECONDITION,
  badData: status.FAILED_PRECONDITION,
  io: status.INTERNAL,
  resource: status.RESOURCE_EXHAUSTED,
  fetchFailed: status.INTERNAL,
  workerLost: status.ABORTED,
  cancelled: status.CANCELLED,
  broken: status.INTERNAL,
};

const codeOfFailure: Readonly<Record<string, status>> = {
  E_UNAUTHENTICATED: status.UNAUTHENTICATED,
  E_NO_JOB: status.NOT_FOUND,
  E_NO_SCHEDULE: status.NOT_FOUND,
  E_NO_BACKFILL: status.NOT_FOUND,
  E_FENCED: status.FAILED_PRECONDITION,
};

/**
 * A failure as the status a call ends with. Many `problems` are cut where the trailer is full; the
 * failure itself always arrives, its text shortened if need be.
 */
export function failureToStatus(
  failure: Failure,
  problems: readonly Failure[] = [],
): { code: status; details: string; metadata: Metadata } {
  const short = shortened(failure);
  const sent: Failure[] = [];
  let bytes = Buffer.byteLength(JSON.stringify(short)) + 50;
  for (const problem of problems.map(shortened)) {
    bytes += Buffer.byteLength(JSON.stringify(problem)) + 1;
    if (bytes > trailerBytesMax) break;
    sent.push(problem);
  }
  const metadata = new Metadata();
  const body = { failure: short, ...(sent.length > 0 ? { problems: sent } : {}) };
  metadata.set(failureKey, Buffer.from(JSON.stringify(body)));
  return {
    code: codeOfFailure[failure.code] ?? codeOfKind[failure.kind],
    details: `${failure.code}: ${cut(failure.message, 300)}`,
    metadata,
  };
}

function shortened(failure: Failure): Failure {
  return {
    ...failure,
    message: cut(failure.message, textMax),
    ...(failure.hint === undefined ? {} : { hint: cut(failure.hint, textMax) }),
    ...(failure.at?.file === undefined
      ? {}
      : { at: { ...failure.at, file: cut(failure.at.file, textMax) } }),
  };
}

function cut(text: string, max: number): string {
  return text.length > max ? `${text.slice(0, max)}…` : text;
}

/** The error a call ended with, as ours: the peer's failure, or what the transport has to say. */
export function statusToError(error: ServiceError): WindrowError {
  return decodeFailure(error) ?? new WindrowError(transportFailure(error), error);
}

/** Whether the call failed on the way, so that the peer may never have answered. */
export function isUnreachable(error: ServiceError): boolean {
  if (error.metadata?.get(failureKey).length > 0) return false;
  return (
    error.code === status.UNAVAILABLE ||
    // A peer that goes while a stream is open ends it by a reset, which grpc-js reports as either.
    error.code === status.CANCELLED ||
    (error.code === status.INTERNAL && error.details.includes('RST_STREAM'))
  );
}

function decodeFailure(error: ServiceError): WindrowError | undefined {
  const body = error.metadata?.get(failureKey)[0];
  if (!Buffer.isBuffer(body)) return undefined;
  try {
    const { failure, problems } = JSON.parse(body.toString('utf8')) as Record<string, unknown>;
    if (!isFailure(failure)) return undefined;
    const list = Array.isArray(problems) ? problems.filter(isFailure) : [];
    return new WindrowError(failure, error, list.length > 0 ? list : [failure]);
  } catch {
    return undefined;
  }
}

/** Whether what a peer sent is a failure: its shape, not that it is true. */
export function isFailure(value: unknown): value is Failure {
  const failure = value as Partial<Failure> | null;
  return (
    typeof failure === 'object' &&
    typeof failure?.kind === 'string' &&
    Object.hasOwn(codeOfKind, failure.kind) &&
    typeof failure.code === 'string' &&
    typeof failure.message === 'string'
  );
}

/** grpc-js tells its whole search for a connection; what failed last is what people can use. */
function plainReason(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim();
  const last = /Last error: (?:Error: )?(.*?)\.? Resolution note:/.exec(line);
  if (!last) return line;
  return last[1] === 'null' ? 'no connection' : last[1]!;
}

function transportFailure(error: ServiceError): Failure {
  const message = plainReason(error.details || error.message);
  if (error.code === status.DEADLINE_EXCEEDED) {
    return {
      kind: 'io',
      code: 'E_DEADLINE',
      message: `the coordinator has not answered in time: ${message}`,
      hint: 'give the call more time; what it asked for may have been done',
    };
  }
  if (isUnreachable(error)) {
    return {
      kind: 'io',
      code: 'E_UNREACHABLE',
      message: `the coordinator does not answer: ${message}`,
      hint: /certificate|\b(SSL|TLS)\b|alert number/i.test(message)
        ? 'check --tls-ca, the names in its certificate, and --tls-cert where it wants one'
        : 'check its address and that it is running',
    };
  }
  switch (error.code) {
    case status.UNAUTHENTICATED:
    case status.PERMISSION_DENIED:
      return {
        kind: 'invalidSpec',
        code: 'E_UNAUTHENTICATED',
        message,
        hint: 'give the token that the coordinator expects',
      };
    case status.UNIMPLEMENTED:
      return {
        kind: 'invalidSpec',
        code: 'E_VERSION_MISMATCH',
        message,
        hint: 'use the same version of windrow on both sides',
      };
    case status.RESOURCE_EXHAUSTED:
      return { kind: 'resource', code: 'E_MESSAGE_TOO_LARGE', message };
    default:
      return { kind: 'broken', code: 'E_INTERNAL', message };
  }
}
