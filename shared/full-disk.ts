/**
 * Full disks, told with the place that is full and how to name another: only those who write there
 * know both. Never: frees anything.
 */
import { freeSpace, toFailure, WindrowError } from './failure.js';

/** What to do but to free space, by what lies there. */
export const elsewhere = {
  state: 'name another directory with --state',
  chunks: 'name another with checkpoints.location',
  shuffle: 'name another with --shuffle-dir of windrow worker, or with shuffle.location',
  spill: 'name another with --spill of windrow worker, --state of windrow run',
} as const;

/** The hint of E_DISK_FULL there. */
export function diskHint(what: keyof typeof elsewhere): string {
  return `${freeSpace}, or ${elsewhere[what]}`;
}

/**
 * Node names no file where writing to an open one fails: then it is one of this directory.
 * @returns the error itself where no disk is full, another place has it, or it was told already
 */
export function inDirectory(
  error: unknown,
  directory: string,
  what: keyof typeof elsewhere,
): unknown {
  const failure = toFailure(error);
  const { path } = (error ?? {}) as NodeJS.ErrnoException;
  const isHere = path === undefined || path.startsWith(directory);
  if (failure.code !== 'E_DISK_FULL' || failure.hint !== freeSpace || !isHere) return error;
  const isNamed = failure.message.includes(directory);
  const message = isNamed ? failure.message : `no space left in ${directory}: ${failure.message}`;
  return new WindrowError({ ...failure, message, hint: diskHint(what) }, error);
}
