/**
 * Exit codes and how failures become them, and how failures look on stderr. Never: deciding what a
 * verb does.
 */
import type { Failure } from '../shared/failure.js';
import { WindrowError, toFailure } from '../shared/failure.js';
import type { JobStateName } from '../shared/views.js';

export const exitCodes = {
  done: 0,
  jobFailed: 1,
  /** Bad usage or a bad spec: nothing was started. */
  usage: 2,
  cancelled: 3,
  unreachable: 4,
  waitTimedOut: 124,
  /** Suspended or detached by Ctrl-C. */
  interrupted: 130,
} as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/**
 * The code for a failure that a request ended with. What happens to a job once it is accepted is in
 * its view, so bad data and bad functions here were found before anything was started.
 */
export function exitCodeOf(failure: Failure): ExitCode {
  if (failure.code === 'E_WAIT_TIMEOUT') return exitCodes.waitTimedOut;
  if (failure.code === 'E_UNREACHABLE' || failure.code === 'E_DEADLINE') {
    return exitCodes.unreachable;
  }
  switch (failure.kind) {
    case 'invalidSpec':
    case 'userCode':
    case 'badData':
      return exitCodes.usage;
    case 'cancelled':
      return exitCodes.cancelled;
    case 'io':
    case 'resource':
    case 'fetchFailed':
    case 'workerLost':
    case 'broken':
      return exitCodes.jobFailed;
  }
}

export function isUnreachable(error: unknown): boolean {
  return error instanceof WindrowError && error.failure.code === 'E_UNREACHABLE';
}

/** The code of a command that followed a job to its end. */
export function exitCodeOfState(state: JobStateName): ExitCode {
  switch (state) {
    case 'succeeded':
      return exitCodes.done;
    case 'cancelled':
    case 'superseded':
      return exitCodes.cancelled;
    case 'failed':
      return exitCodes.jobFailed;
    case 'queued':
    case 'running':
    case 'committing':
    case 'stopping':
    case 'suspended':
      return exitCodes.interrupted;
  }
}

/** Wrong use of the command line: exit code 2. */
export function usageError(message: string, hint?: string): WindrowError {
  return new WindrowError({
    kind: 'invalidSpec',
    code: 'E_USAGE',
    message,
    ...(hint === undefined ? {} : { hint }),
  });
}

/**
 * One failure as people read it: `error E_CODE: message (where)`, then `  hint: …`. A position in a
 * spec is written `file:line:col` in front of the message, so that editors and terminals link it.
 */
export function describeFailure(failure: Failure): string {
  const at = failure.at ?? {};
  const inSpec = at.line !== undefined;
  const where: string[] = [];
  if (at.step !== undefined) where.push(`step ${at.step}`);
  if (at.column !== undefined) where.push(`column ${at.column}`);
  if (at.file !== undefined && !inSpec) where.push(`file ${at.file}`);
  if (at.rowGroup !== undefined) where.push(`row group ${String(at.rowGroup)}`);
  if (at.row !== undefined) where.push(`row ${String(at.row)}`);
  const spot = inSpec
    ? `${at.file === undefined ? 'line ' : `${at.file}:`}${String(at.line)}${at.col === undefined ? '' : `:${String(at.col)}`}: `
    : '';
  const places = where.length > 0 ? ` (${where.join(', ')})` : '';
  const hint = failure.hint === undefined ? '' : `\n  hint: ${failure.hint}`;
  return `error ${failure.code}: ${spot}${failure.message}${places}${hint}`;
}

/** Every failure that an error carries: an error about a spec lists all its problems. */
export function failuresOf(error: unknown): readonly Failure[] {
  if (error instanceof WindrowError && error.problems.length > 0) return error.problems;
  if (error instanceof AggregateError && error.errors.length > 0) {
    return error.errors.flatMap((one) => failuresOf(one));
  }
  return [toFailure(error)];
}
