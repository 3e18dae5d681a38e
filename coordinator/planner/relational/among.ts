/**
 * Joins of rows whose files are ranged by what they are joined by: each chunk then reads of the
 * right side only the files whose keys lie among its own, and nothing has to be exchanged. Pure.
 */
import type { Distributor } from './distribute.js';
import type { Fragment, Side } from './physical.js';
import { inputsOf, type Join, type Relation } from './relation.js';

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
  const name = nameInLeaf(relation, driving.leaf, id);
  const ranged = options.sources.get(driving.source)?.ranged ?? [];
  return name !== undefined && ranged.includes(name) ? name : undefined;
}

/** What the leaf calls this column, which projections may have given other names since. */
function nameInLeaf(relation: Relation, leaf: string, id: string): string | undefined {
  if (relation.kind === 'scan') {
    const at = relation.columns.findIndex((column) => column.id === id);
    return relation.input === leaf ? relation.names[at] : undefined;
  }
  const at =
    relation.kind === 'project' ? relation.columns.findIndex((column) => column.id === id) : -1;
  const below = relation.kind === 'project' ? relation.expressions[at]?.column : id;
  if (below === undefined) return undefined;
  for (const input of inputsOf(relation)) {
    const found = nameInLeaf(input, leaf, below);
    if (found !== undefined) return found;
  }
  return undefined;
}
