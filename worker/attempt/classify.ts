/**
 * From what DuckDB or the system threw to a failure. DuckDB begins each message with the class of the
 * error, which is all it gives; the rest of the text is never interpreted, but for a full disk.
 */
import { type Failure, toFailure, WindrowError } from '../../shared/failure.js';
import { cancelError, type Scope } from './scope.js';

const memoryHint = 'give the worker more memory, or fewer slots';

/** @returns a failure without a place; the caller knows chunk, file and step */
export function classify(error: unknown, scope: Scope): Failure {
  if (scope.cancelled) return cancelError().failure;
  // The error that a function of ours raised inside the statement, with all its details.
  if (scope.error) return scope.error.failure;
  if (error instanceof WindrowError) return error.failure;
  const message = error instanceof Error ? error.message : String(error);
  const [, kernelClass, text = message] =
    /^([A-Z][A-Za-z ]*?)(?: Error| exception)?: ([\s\S]*)$/.exec(message) ?? [];
  const brief = text.split('\n\nLINE ')[0] ?? text;
  if (/No space left on device|Disk quota exceeded/i.test(message)) {
    return {
      kind: 'resource',
      code: 'E_DISK_FULL',
      message: brief,
      hint: 'free space on that disk or name another with checkpoints.location',
    };
  }
  switch (kernelClass?.toLowerCase()) {
    case 'interrupt':
      return cancelError().failure;
    case 'out of memory':
      return { kind: 'resource', code: 'E_OUT_OF_MEMORY', message: brief, hint: memoryHint };
    case 'io':
    case 'permission':
      return { kind: 'io', code: 'E_IO_KERNEL', message: brief };
    case 'conversion':
    case 'out of range':
    case 'invalid input':
    case 'invalid':
    case 'invalid type':
    case 'mismatch type':
    case 'binder':
    case 'catalog':
    case 'parser':
    case 'constraint':
    case 'not implemented':
    case 'divide by zero':
    case 'invalid configuration':
      return {
        kind: 'badData',
        code: 'E_SQL_RUNTIME',
        message: brief,
        hint: 'handle such values in the SQL, for example with try_cast, or filter them out before',
      };
    default:
      return toFailure(error, { kind: 'broken', code: 'E_KERNEL' });
  }
}
