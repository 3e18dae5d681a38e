/** Failures as answers: which status a failure has, and the problem document (RFC 9457) that tells it. */
import { STATUS_CODES } from 'node:http';
import type * as z from 'zod';
import {
  formatFailure,
  toFailure,
  WindrowError,
  type Failure,
  type FailureKind,
} from '../../shared/failure.js';
import type { failureShape, Problem } from '../../shared/http-shapes.js';

const statusOfKind: Record<FailureKind, number> = {
  invalidSpec: 422,
  userCode: 422,
  badData: 422,
  io: 500,
  resource: 503,
  fetchFailed: 500,
  workerLost: 503,
  cancelled: 409,
  broken: 500,
};

/** Where the kind says too little: among these are all failures of the request itself. */
const statusOfCode: Readonly<Record<string, number>> = {
  E_BLOB: 400,
  E_REQUEST: 400,
  E_UNAUTHENTICATED: 401,
  E_BROWSER_DENIED: 403,
  E_CODE_DENIED: 403,
  E_URI_DENIED: 403,
  E_WEBHOOK_DENIED: 403,
  E_NO_ROUTE: 404,
  E_NO_JOB: 404,
  E_RUN_NO_JOB: 404,
  E_NO_OUTPUT: 404,
  E_NO_WORKER: 404,
  E_NO_SCHEDULE: 404,
  E_NO_BACKFILL: 404,
  E_METHOD: 405,
  E_COMMITTING: 409,
  E_NOT_FINISHED: 409,
  E_NOTHING_TO_RETRY: 409,
  E_OUTPUT_BUSY: 409,
  E_OUTPUT_EXISTS: 409,
  E_APPENDED_BEFORE: 409,
  E_RUN_EXISTS: 409,
  E_SCHEDULE_BUSY: 409,
  E_SCHEDULES_OFF: 409,
  E_BODY_TOO_LARGE: 413,
  E_SPEC_TOO_LARGE: 413,
  E_MEDIA_TYPE: 415,
  E_SLOW_READER: 503,
  E_UNREACHABLE: 503,
};

export function statusOf({ code, kind }: Failure): number {
  return statusOfCode[code] ?? statusOfKind[kind];
}

export function problemOf(error: unknown): Problem {
  const failure = requestFailure(error) ?? toFailure(error);
  const problems = error instanceof WindrowError ? error.problems : [];
  const status = statusOf(failure);
  return {
    title: STATUS_CODES[status] ?? 'Error',
    status,
    detail: formatFailure(failure),
    ...plain(failure),
    ...(problems.length > 1 ? { problems: problems.map(plain) } : {}),
  };
}

/** Without members that are there and undefined, which JSON has not. */
function plain(failure: Failure): z.output<typeof failureShape> {
  return JSON.parse(JSON.stringify(failure)) as z.output<typeof failureShape>;
}

/** What fastify finds wrong with a request before it reaches a verb. */
function requestFailure(error: unknown): Failure | undefined {
  if (error instanceof WindrowError) return undefined;
  const { statusCode, message } = (error ?? {}) as { statusCode?: unknown; message?: string };
  if (typeof statusCode !== 'number' || statusCode < 400 || statusCode > 499) return undefined;
  const said = (message ?? 'it cannot be read').replace(/^./, (letter) => letter.toLowerCase());
  const kind = 'invalidSpec';
  if (statusCode === 413) {
    return { kind, code: 'E_BODY_TOO_LARGE', message: said, hint: 'upload files as blobs' };
  }
  if (statusCode === 415) {
    const hint = 'send application/json, or application/octet-stream to /v1/blobs';
    return { kind, code: 'E_MEDIA_TYPE', message: said, hint };
  }
  return { kind, code: 'E_REQUEST', message: said, hint: 'see /openapi.json' };
}
