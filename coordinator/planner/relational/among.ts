/**
 * Joins of rows whose files are ranged by what they are joined by: each chunk then reads of the
 * right side only the files whose keys lie among its own, and nothing has to be exchanged. Pure.
 */
import type { Distributor } from './distribute.js';
import type { Fragment, Side } from './physical.js';
import { inputsOf, type Join, type Relation, type Scan } from './relation.js';

/** What a chunk of the left reads besides; undefined where that does not do. */
export function amongSides(
  distributor: Distributor,
  join: Join,
  left: readonly Fragment[],
  right: readonly Fragment[],
): readonly Side[] | undefined {
  const [l] = left;
  const [r] = right;
  if (!l || !r || left.length > 1 || right.length > 1) return undefined;
  if (l.driving.kind !== 'source' || r.driving.kind !== 'source') return undefined;
  if (r.sides.some(readsAmong)) return undefined;
  for (const { left: own, right: other } of join.equalities) {
    if (own.type !== other.type) continue;
    const driving = rangedName(distributor, l, own.column);
    const column = rangedName(distributor, r, other.column);
    if (driving === undefined || column === undefined) continue;
    const { leaf, source } = r.driving;
    return [...r.sides, { kind: 'source', leaf, source, among: { driving, column } }];
  }
  return undefined;
}

/** What such a side reads depends on what drives its chunk. */
export function readsAmong(side: Side): boolean {
  return side.kind === 'source' && side.among !== undefined;
}

/** The file column that this column still is, where files are ranged by it. */
function rangedName(
  { options }: Distributor,
  { driving, relation, hashed }: Fragment,
  id: string | undefined,
): string | undefined {
  if (driving.kind !== 'source' || id === undefined) return undefined;
  if (!hashed.some((ids) => ids.length === 1 && ids[0] === id)) return undefined;
  const scan = scanOfLeaf(relation, driving.leaf);
  const name = scan?.names[scan.columns.findIndex((column) => column.id === id)];
  const ranged = options.sources.get(driving.source)?.ranged ?? [];
  return name !== undefined && ranged.includes(name) ? name : undefined;
}

function scanOfLeaf(relation: Relation, leaf: string): Scan | undefined {
  if (relation.kind === 'scan') return relation.input === leaf ? relation : undefined;
  for (const input of inputsOf(relation)) {
    const found = scanOfLeaf(input, leaf);
    if (found) return found;
  }
  return undefined;
}
