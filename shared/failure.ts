/**
 * Failures as data: what every part of Windrow reports when something goes wrong, and the one error
 * class that carries it. Classified where it is caught; never re-classified from message text.
 */

/** Decides what happens next; see the failure table in docs/STATE-MACHINES.md. */
export type FailureKind =
  | 'invalidSpec' // the request is wrong: nothing was started, never retried
  | 'userCode' // a user's function or SQL threw: never retried
  | 'badData' // rows or files that cannot be processed: never retried
  | 'io' // disk, network: retried with backoff, counts against the task
  | 'resource' // memory, disk space, device: retried with backoff, counts against the task
  | 'fetchFailed' // an input chunk or shuffle part is lost or corrupt: its producer runs again
  | 'workerLost' // process exit seen, lease expired, drained: retried at once
  | 'cancelled'
  | 'broken'; // an invariant of ours does not hold

/** Where it happened, as far as is known. Rows count from 0 within the file. */
export interface FailureLocation {
  readonly step?: string;
  readonly file?: string;
  readonly rowGroup?: number;
  readonly row?: number;
  readonly column?: string;
  /** Position in the spec file, both from 1. */
  readonly line?: number;
  readonly col?: number;
}

export interface Failure {
  readonly kind: FailureKind;
  /** `E_…`: stable, documented in docs/ERRORS.md. */
  readonly code: string;
  /** Lower case, with the values that matter. */
  readonly message: string;
  readonly at?: FailureLocation;
  /** What to do next, as an imperative sentence in lower case. */
  readonly hint?: string;
  /** Kind `fetchFailed`: absolute paths of the files that are lost or corrupt. */
  readonly lost?: readonly string[];
}

export class WindrowError extends Error {
  readonly failure: Failure;
  /** All that was found, where several problems are reported at once; `failure` sums them up. */
  readonly problems: readonly Failure[];

  constructor(failure: Failure, cause?: unknown, problems: readonly Failure[] = [failure]) {
    super(formatFailure(failure), cause === undefined ? undefined : { cause });
    this.name = 'WindrowError';
    this.failure = failure;
    this.problems = problems;
  }
}

/** Shorthand for the common case: a failure thrown where it is found. */
export function fail(
  kind: FailureKind,
  code: string,
  message: string,
  more: {
    at?: FailureLocation;
    hint?: string;
    lost?: readonly string[];
    cause?: unknown;
  } = {},
): never {
  throw new WindrowError(
    {
      kind,
      code,
      message,
      ...(more.at ? { at: more.at } : {}),
      ...(more.hint ? { hint: more.hint } : {}),
      ...(more.lost ? { lost: more.lost } : {}),
    },
    more.cause,
  );
}

/** Turns anything caught into a failure; what is not ours becomes `fallback`, its text kept. */
export function toFailure(
  error: unknown,
  fallback: { kind: FailureKind; code: string } = { kind: 'broken', code: 'E_INTERNAL' },
): Failure {
  if (error instanceof WindrowError) return error.failure;
  const system = systemFailure(error);
  if (system) return system;
  const message = error instanceof Error ? error.message : String(error);
  return { ...fallback, message };
}

/** The hint of E_DISK_FULL where nothing is known of the place (full-disk.ts). */
export const freeSpace = 'free space on that disk';

/** What the path is not good for, in the system's words, and what to do about it. */
const pathHints: Readonly<Record<string, string>> = {
  ENOTDIR: 'a part of that path is a file: name another path, or move that file away',
  EISDIR: 'that path is a directory: name a file',
  ENAMETOOLONG: 'use shorter names, or a shorter path',
  ELOOP: 'a link on that path leads back to itself: repair it',
  EEXIST: 'a file lies where a directory is to be: name another path, or move that file away',
};

/** Operating system errors have codes of their own, so they can be classified anywhere. */
function systemFailure(error: unknown): Failure | undefined {
  const { code, syscall } = (error ?? {}) as { code?: unknown; syscall?: unknown };
  if (typeof code !== 'string') return undefined;
  const message = error instanceof Error ? error.message : String(error);
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return {
        kind: 'resource',
        code: 'E_DISK_FULL',
        message,
        hint: freeSpace,
      };
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return {
        kind: 'invalidSpec',
        code: 'E_NOT_PERMITTED',
        message,
        hint:
          code === 'EROFS'
            ? 'that disk can only be read: name a path on another'
            : 'check the owner and mode of that path',
      };
    case 'EEXIST':
      // Where we create a file that must not be there, it is ours to deal with.
      if (syscall !== 'mkdir') return undefined;
      return { kind: 'invalidSpec', code: 'E_PATH', message, hint: pathHints[code]! };
    case 'ENOTDIR':
    case 'EISDIR':
    case 'ENAMETOOLONG':
    case 'ELOOP':
      return { kind: 'invalidSpec', code: 'E_PATH', message, hint: pathHints[code]! };
    case 'EMFILE':
    case 'ENFILE':
      return {
        kind: 'io',
        code: `E_IO_${code}`,
        message,
        hint: 'raise the limit of open files (ulimit -n), or use fewer workers',
      };
    case 'EIO':
    case 'ESTALE':
    case 'EBUSY':
    case 'ETIMEDOUT':
    case 'EREMOTEIO':
    case 'ENODEV':
    case 'ENXIO':
    case 'ENOENT':
      return { kind: 'io', code: `E_IO_${code}`, message };
    case 'ENOMEM':
      return {
        kind: 'resource',
        code: 'E_OUT_OF_MEMORY',
        message,
        hint: 'use fewer workers or slots, or a machine with more memory',
      };
    default:
      return undefined;
  }
}

/** One line for people: `E_CODE: message (step s, file f, row r); hint`. */
export function formatFailure(failure: Failure): string {
  const at = failure.at;
  const where: string[] = [];
  if (at?.step !== undefined) where.push(`step ${at.step}`);
  if (at?.column !== undefined) where.push(`column ${at.column}`);
  if (at?.file !== undefined) where.push(`file ${at.file}`);
  if (at?.rowGroup !== undefined) where.push(`row group ${at.rowGroup}`);
  if (at?.row !== undefined) where.push(`row ${at.row}`);
  if (at?.line !== undefined)
    where.push(`line ${at.line}${at.col !== undefined ? `:${at.col}` : ''}`);
  const location = where.length > 0 ? ` (${where.join(', ')})` : '';
  const hint = failure.hint ? `; ${failure.hint}` : '';
  return `${failure.code}: ${failure.message}${location}${hint}`;
}

/** Whether another attempt may succeed, and whether it counts against the task's attempts. */
export function retryRule(kind: FailureKind): { retried: boolean; counts: boolean } {
  switch (kind) {
    case 'io':
    case 'resource':
      return { retried: true, counts: true };
    case 'fetchFailed':
    case 'workerLost':
      return { retried: true, counts: false };
    case 'invalidSpec':
    case 'userCode':
    case 'badData':
    case 'cancelled':
    case 'broken':
      return { retried: false, counts: false };
  }
}
