/**
 * EXISTS and NOT EXISTS over outer rows: DuckDB joins the subquery with the outer rows' distinct keys
 * and the outer rows with that. Where the keys serve only to compare, the outer rows are compared
 * themselves. Pure.
 */
import { columnExpression } from './expression.js';
import {
  inputsOf,
  type Expression,
  type Join,
  type Project,
  type Reference,
  type Relation,
  type Shared,
} from './relation.js';

/** The same rows without the keys in between; undefined where those do more. */
export function directJoin({ id, definition, body }: Shared): Relation | undefined {
  if (body.kind !== 'join' || (body.join !== 'semi' && body.join !== 'anti')) return undefined;
  const outer = body.left;
  if (!isReference(outer, id) || referencesTo(body, id) !== 2) return undefined;
  const found = comparison(body.right, id);
  if (!found || !meetsAll(body, outer, found.keys)) return undefined;
  const { keys, inner, equalities, conditions } = found;
  // Both names of an outer column, so that what compares it may stay as it is written.
  const columns = [...outer.columns, ...keys.columns];
  const known = new Map(definition.columns.map((column) => [column.id, column]));
  const expressions = [...outer.from, ...keys.from].map((from) =>
    columnExpression(known.get(from)!),
  );
  const left: Project = { kind: 'project', input: definition, expressions, columns };
  const residual = [...conditions, ...body.residual];
  const join: Join = { ...body, left, right: inner, equalities, residual, columns };
  return {
    kind: 'project',
    input: join,
    expressions: body.columns.map(columnExpression),
    columns: body.columns,
  };
}

interface Comparison {
  readonly keys: Reference;
  /** What the keys are joined with. */
  readonly inner: Relation;
  /** The keys on the left. */
  readonly equalities: Join['equalities'];
  readonly conditions: readonly Expression[];
}

/** What a subquery's rows are compared with the keys by, below conditions and projections of columns. */
function comparison(relation: Relation, shared: string): Comparison | undefined {
  switch (relation.kind) {
    case 'project': {
      const { columns, expressions } = relation;
      const passes = expressions.every(({ column }, at) => column === columns[at]!.id);
      return passes ? comparison(relation.input, shared) : undefined;
    }
    case 'filter': {
      if (relation.conditions.some((each) => each.volatile)) return undefined;
      const below = comparison(relation.input, shared);
      return below && { ...below, conditions: [...below.conditions, ...relation.conditions] };
    }
    case 'join': {
      if (relation.join !== 'inner' || relation.residual.some((each) => each.volatile)) {
        return undefined;
      }
      const { left, right, equalities, residual: conditions } = relation;
      const [first, second] = [keysIn(left, shared), keysIn(right, shared)];
      if (first) return { keys: first, inner: right, equalities, conditions };
      if (!second) return undefined;
      const turned = equalities.map((each) => ({ ...each, left: each.right, right: each.left }));
      return { keys: second, inner: left, equalities: turned, conditions };
    }
    default:
      return undefined;
  }
}

/** The outer rows' keys, each once. */
function keysIn(relation: Relation, shared: string): Reference | undefined {
  if (relation.kind !== 'distinct' || relation.on) return undefined;
  return isReference(relation.input, shared) ? relation.input : undefined;
}

function isReference(relation: Relation, shared: string): relation is Reference {
  return relation.kind === 'reference' && relation.shared === shared;
}

/** Whether an outer row meets its own keys and no others: then they are its columns by other names. */
function meetsAll({ equalities }: Join, outer: Reference, keys: Reference): boolean {
  const met = new Set<string>();
  for (const { left, right, nullSafe } of equalities) {
    const own = outer.columns.findIndex(({ id }) => id === left.column);
    const other = keys.columns.findIndex(({ id }) => id === right.column);
    if (own < 0 || other < 0 || !nullSafe || outer.from[own] !== keys.from[other]) return false;
    met.add(keys.columns[other]!.id);
  }
  return keys.columns.every(({ id }) => met.has(id));
}

function referencesTo(relation: Relation, shared: string): number {
  const own = isReference(relation, shared) ? 1 : 0;
  return inputsOf(relation).reduce((sum, input) => sum + referencesTo(input, shared), own);
}
