/**
 * Where a type comes from that no file can hold: the planner meets it in some stage, users know the
 * step that makes it. Never: decides which types those are.
 */
import { WindrowError } from '../../shared/failure.js';
import type { ColumnDef } from '../../shared/plan.js';
import type { Facts } from '../planner/facts.js';
import { landed, travelled } from '../planner/types.js';
import { shownStep } from './unique.js';

/**
 * What `decide` answers.
 * @param outputs ids that outputs read
 * @throws WindrowError whatever it throws; E_TYPE_UNSUPPORTED with the first step that has the column
 */
export function withTypePlaces<T>(facts: Facts, outputs: readonly string[], decide: () => T): T {
  try {
    return decide();
  } catch (error) {
    if (!(error instanceof WindrowError)) throw error;
    const { code, at } = error.failure;
    if (code !== 'E_TYPE_UNSUPPORTED' || at?.step !== undefined) throw error;
    const step = firstWith(at?.column, facts, outputs);
    if (step === undefined) throw error;
    throw new WindrowError({ ...error.failure, at: { ...at, step: shownStep(step) } }, error);
  }
}

/** The source or step, none before it, that has a column of this name which no file can hold. */
function firstWith(
  column: string | undefined,
  { sources, steps, wide }: Facts,
  outputs: readonly string[],
): string | undefined {
  const seen = new Set<string>();
  const find = (id: string): string | undefined => {
    if (seen.has(id)) return undefined;
    seen.add(id);
    const step = steps.get(id);
    const reads = step ? [step.from] : (wide.get(id)?.reads ?? []);
    for (const read of reads) {
      const found = find(read);
      if (found !== undefined) return found;
    }
    const columns = (step ?? wide.get(id) ?? sources.get(id))?.columns ?? [];
    return columns.some((each) => each.name === column && !isHeld(each)) ? id : undefined;
  };
  for (const output of outputs) {
    const found = find(output);
    if (found !== undefined) return found;
  }
  return undefined;
}

function isHeld(column: ColumnDef): boolean {
  try {
    landed(column);
    travelled(column);
    return true;
  } catch {
    return false;
  }
}
