/**
 * Joins that look at every pair of rows because no key says which of them belong together, and joins
 * that give far more rows than they get. Estimates alone, and so for warnings and for what nobody can
 * have meant. Pure.
 */
import type { Estimates } from './estimate.js';
import { inputsOf, isAsof, type Join, type Query, type Relation } from './relation.js';
import { neededBelow } from './wrap.js';

/** What joins of a plan come to at most, about. */
export interface JoinSizes {
  /** Pairs that one join looks at; 0 where all have keys. */
  readonly pairs: number;
  /** Rows that one join gives; 0 where there is none … */
  readonly rows: number;
  /** … and their bytes, by the columns that are read of them. */
  readonly bytes: number;
}

export function joinSizes({ relation, result }: Query, estimates: Estimates): JoinSizes {
  // All of it first: what a shared result comes to is found where it is defined.
  estimates.of(relation);
  const sizes = (each: Relation, needed: ReadonlySet<string>): JoinSizes => {
    const wanted = neededBelow(each, needed);
    const below = inputsOf(each).map((input) => {
      // Who reads a shared result stands elsewhere.
      const all = each.kind === 'shared' && input === each.definition;
      return sizes(input, all ? new Set(input.columns.map(({ id }) => id)) : wanted);
    });
    const own = each.kind === 'join' ? [ownSizes(each, needed, estimates)] : [];
    return [...below, ...own].reduce(larger, { pairs: 0, rows: 0, bytes: 0 });
  };
  return sizes(relation, new Set(result.map(({ id }) => id)));
}

function ownSizes(join: Join, needed: ReadonlySet<string>, estimates: Estimates): JoinSizes {
  const { rows } = estimates.of(join);
  const bytes = estimates.bytes(join, needed);
  // As in NOT IN, which hashes its partners as a join by keys does, and where the nearest is found by order.
  const keyed =
    join.equalities.length > 0 || join.mark?.test?.operator === '=' || isAsof(join.join);
  const pairs = keyed ? 0 : estimates.of(join.left).rows * estimates.of(join.right).rows;
  return { pairs, rows, bytes };
}

function larger(a: JoinSizes, b: JoinSizes): JoinSizes {
  const { rows, bytes } = b.rows > a.rows ? b : a;
  return { pairs: Math.max(a.pairs, b.pairs), rows, bytes };
}
