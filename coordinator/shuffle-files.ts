/**
 * Where the files between a query's stages lie, and which worker can be asked for one. Reads state,
 * changes none, and looks at no file.
 */
import type { JobPlan, StagePlan } from '../shared/plan.js';
import { isInside, writerOfPath } from '../shared/storage/paths.js';
import type { State } from './core/state.js';

/** Addresses of workers' shuffle services, by the incarnation that file names tell. */
export type Addresses = ReadonlyMap<string, string>;

/** A worker whose stream has ended may still be there, until its lease says that it is not. */
export function addressesOf({ workers }: State): Addresses {
  const addresses = new Map<string, string>();
  for (const { incarnation, shuffleAddress } of workers.values()) {
    if (shuffleAddress !== undefined) addresses.set(incarnation, shuffleAddress);
  }
  return addresses;
}

/** The worker to ask for a file, where it is known. */
export function addressFor(path: string, addresses: Addresses): string | undefined {
  const writer = writerOfPath(path);
  return writer === undefined ? undefined : addresses.get(writer);
}

/**
 * The directory for chunks of a stage.
 * @param own the shuffle directory of the worker that writes
 */
export function chunkDirectory(
  { chunkLocation, shuffleLocation }: JobPlan,
  { part }: StagePlan,
  own: string | undefined,
): string {
  // The planner reads bounds itself.
  if (!part || part.bounds) return chunkLocation;
  return shuffleLocation ?? own ?? chunkLocation;
}

/** Whether a file of the stage lies on a disk of its worker, as far as the plan tells. */
export function isWorkersOwn(
  { chunkLocation, shuffleLocation }: JobPlan,
  { part }: StagePlan,
  path: string,
): boolean {
  if (!part) return false;
  const shared = [chunkLocation, ...(shuffleLocation === undefined ? [] : [shuffleLocation])];
  return !shared.some((place) => isInside(place, path));
}
