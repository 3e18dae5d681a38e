/**
 * From what DuckDB or the system threw to a failure. DuckDB begins each message with the class of the
 * error, which is all it gives; the rest of the text is never interpreted, but for a full disk.
 */
import { type Failure, freeSpace, toFailure, WindrowError } from '../../shared/failure.js';
import { diskHint } from '../../shared/full-disk.js';
import { cancelError, type Scope } from './scope.js';

const memoryHint =
  'give the worker more memory (--memory) or fewer slots (--slots); with windrow run, use fewer --workers';

/**
 * @param spillDirectory where the kernel puts what does not fit in memory
 * @returns a failure without a place; the caller knows chunk, file and step
 */
export function classify(error: unknown, scope: Scope, spillDirectory: string): Failure {
  if (scope.cancelled) return cancelError().failure;
  // The error that a function of ours raised inside the statement, with all its details.
  if (scope.error) return scope.error.failure;
  if (error instanceof WindrowError) return error.failure;
  const message = error instanceof Error ? error.message : String(error);
  const [, kernelClass, text = message] =
    /^([A-Z][A-Za-z ]*?)(?: Error| exception)?: ([\s\S]*)$/.exec(message) ?? [];
  // What DuckDB advises after an empty line are settings that users of Windrow do not have.
  const brief = text.split(/\n\n(?:LINE |Possible solutions)/)[0] ?? text;
  if (/No space left on device|Disk quota exceeded/i.test(message)) {
    const hint = message.includes(spillDirectory) ? diskHint('spill') : freeSpace;
    return { kind: 'resource', code: 'E_DISK_FULL', message: brief, hint };
  }
  // Its limit, unless it is told another, is nine tenths of what is free when it first spills.
  if (message.includes(`'max_temp_directory_size'`)) {
    const [what] = text.split('\n');
    return {
      kind: 'resource',
      code: 'E_DISK_FULL',
      message: `too little space in ${spillDirectory} for what does not fit in memory: ${what}`,
      hint: diskHint('spill'),
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
