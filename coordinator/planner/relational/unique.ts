/**
 * In which columns no two rows of a result are equal (NULL equal to NULL), as far as its operators
 * say so. Never an assumption about the data.
 */
import type { Join, Relation } from './relation.js';

/** Ids of columns; an empty list means at most one row. Undefined when nothing is known. */
export function uniqueColumns(relation: Relation): readonly string[] | undefined {
  switch (relation.kind) {
    case 'aggregate':
      return relation.sets ? undefined : relation.keys.map(({ column }) => column.id);
    case 'distinct': {
      if (!relation.on) return relation.columns.map(({ id }) => id);
      const ids = relation.on.map(({ column }) => column);
      return ids.every((id) => id !== undefined) ? ids : undefined;
    }
    case 'values':
      return relation.rows.length <= 1 ? [] : undefined;
    case 'limit':
      return relation.limit === '1' ? [] : uniqueColumns(relation.input);
    case 'filter':
    case 'sort':
    case 'window':
      return uniqueColumns(relation.input);
    case 'project': {
      const kept = new Set(relation.columns.map(({ id }) => id));
      const unique = uniqueColumns(relation.input);
      return unique?.every((id) => kept.has(id)) === true ? unique : undefined;
    }
    case 'join':
      return uniqueInJoin(relation);
    case 'shared':
      return uniqueColumns(relation.body);
    case 'scan':
    case 'set':
    case 'series':
    case 'reference':
    case 'unnest':
      return undefined;
  }
}

function uniqueInJoin(join: Join): readonly string[] | undefined {
  switch (join.join) {
    case 'semi':
    case 'anti':
    case 'mark':
    case 'single':
    case 'asof':
    case 'asof left':
      return uniqueColumns(join.left);
    case 'inner':
    case 'left':
      return onePartner(join.right, join.equalities) ? uniqueColumns(join.left) : undefined;
    case 'right':
    case 'full':
    case 'cross':
      return undefined;
  }
}

/** Whether no row of the left can have two partners on the right. */
export function onePartner(right: Relation, equalities: Join['equalities']): boolean {
  const compared = new Set(equalities.map((each) => each.right.column));
  return uniqueColumns(right)?.every((id) => compared.has(id)) === true;
}
