/**
 * How workers ask one another for bytes of finished chunks' files: one range of one file a request of
 * HTTP/1.1, and what a refusal is called. Never: sends or reads.
 */
import type { Failure } from '../../shared/failure.js';

export const partsPath = '/parts';

/** Bytes [offset, offset + bytes) of a file; at least one. */
export interface PartRange {
  readonly path: string;
  readonly offset: number;
  readonly bytes: number;
}

export function targetOf(path: string): string {
  return `${partsPath}?path=${encodeURIComponent(path)}`;
}

export function rangeHeader({ offset, bytes }: Omit<PartRange, 'path'>): string {
  return `bytes=${offset}-${offset + bytes - 1}`;
}

/** Undefined for anything but one range with both ends. */
export function readRange(header: string): Omit<PartRange, 'path'> | undefined {
  const match = /^bytes=(\d{1,15})-(\d{1,15})$/.exec(header);
  if (!match) return undefined;
  const [offset, last] = [Number(match[1]), Number(match[2])];
  return last < offset ? undefined : { offset, bytes: last - offset + 1 };
}

const statuses: Readonly<Record<string, number>> = {
  E_UNAUTHENTICATED: 401,
  E_URI_DENIED: 403,
  E_CHUNK_LOST: 404,
  E_WORKER_PROTOCOL: 400,
};

export function statusOf({ code }: Failure): number {
  return statuses[code] ?? 500;
}

/** Statuses that no other file or try would mend: the two workers do not fit together. */
export function endsAll(status: number): boolean {
  return status === 400 || status === 401;
}

/** What a refusal says; undefined when it is none of a worker's. */
export function readFailure(text: string): Pick<Failure, 'code' | 'message'> | undefined {
  try {
    const { code, message } = JSON.parse(text) as Partial<Record<keyof Failure, unknown>>;
    if (typeof code === 'string' && typeof message === 'string') return { code, message };
  } catch {
    // A proxy's page, or one that was cut off.
  }
  return undefined;
}
