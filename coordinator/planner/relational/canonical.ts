/**
 * A part of a query by itself: its columns numbered as they come, its scans of sources too, so that
 * equal work is equal whatever else its query does. Pure.
 */
import type { Column } from './relation.js';

/** What a stage calls a column that it writes, by its place. */
export function fileColumn({ id }: Column, at: number): string {
  return `${prefixOf(id)}${at + 1}`;
}

/**
 * Equal up to names, with columns called as in the file where the work begins with what it writes.
 * An id stands in quotes nowhere but where its column is meant.
 */
export function canonical<Work>(work: Work): Work {
  const ids = new Set<string>();
  const leaves = new Set<string>();
  collectNames(work, ids, leaves);
  const names = new Map<string, string>();
  const scans = new Map<string, string>();
  const nameOf = (id: string): string => {
    const known = names.get(id) ?? `${prefixOf(id)}${names.size + 1}`;
    names.set(id, known);
    return known;
  };
  const scanOf = (leaf: string): string => {
    const known = scans.get(leaf) ?? `${leaf.replace(/\d+$/, '')}${scans.size}`;
    scans.set(leaf, known);
    return known;
  };
  const rename = (value: unknown, key: string): unknown => {
    if (typeof value === 'string') {
      if (key === 'leaf' || key === 'input') return leaves.has(value) ? scanOf(value) : value;
      if (ids.has(value)) return nameOf(value);
      return value.replace(/"([^"]+)(?=")/g, (text, id: string) =>
        ids.has(id) ? `"${nameOf(id)}` : text,
      );
    }
    // Columns as their file has them are another stage's, or the user's.
    if (key === 'names') return value;
    if (Array.isArray(value)) return value.map((member) => rename(member, key));
    if (typeof value !== 'object' || value === null) return value;
    const members = Object.entries(value).filter(([, member]) => member !== undefined);
    members.sort(([a], [b]) => (a < b ? -1 : 1));
    return Object.fromEntries(members.map(([name, member]) => [name, rename(member, name)]));
  };
  return rename(work, '') as Work;
}

/** Whether asked again it might answer otherwise. */
export function isVolatile(work: unknown): boolean {
  if (Array.isArray(work)) return work.some(isVolatile);
  if (typeof work !== 'object' || work === null) return false;
  return ('volatile' in work && work.volatile === true) || Object.values(work).some(isVolatile);
}

/** Ids of columns, and names of the leaves that are sources, each `source.number`. */
function collectNames(work: unknown, ids: Set<string>, leaves: Set<string>): void {
  if (Array.isArray(work)) return work.forEach((member) => collectNames(member, ids, leaves));
  if (typeof work !== 'object' || work === null) return;
  const { id, kind, leaf } = work as { id?: unknown; kind?: unknown; leaf?: unknown };
  if (typeof id === 'string') ids.add(id);
  if (kind === 'source' && typeof leaf === 'string') leaves.add(leaf);
  for (const member of Object.values(work)) collectNames(member, ids, leaves);
}

function prefixOf(id: string): string {
  return /^\D*/.exec(id)![0];
}
