/**
 * Joins that look at every pair of rows because no key says which of them belong together. Estimates
 * alone, and so for warnings and for what nobody can have meant. Pure.
 */
import type { Estimates } from './estimate.js';
import { inputsOf, type Relation } from './relation.js';

/** The most pairs that one join of the plan looks at, about; 0 where all have keys. */
export function pairsWithoutKeys(relation: Relation, estimates: Estimates): number {
  // All of it first: what a shared result comes to is found where it is defined.
  estimates.of(relation);
  const pairs = (each: Relation): number => {
    const below = Math.max(0, ...inputsOf(each).map(pairs));
    if (each.kind !== 'join' || each.equalities.length > 0) return below;
    // As in NOT IN, which hashes its partners as a join by keys does.
    if (each.mark?.test?.operator === '=') return below;
    return Math.max(below, estimates.of(each.left).rows * estimates.of(each.right).rows);
  };
  return pairs(relation);
}
