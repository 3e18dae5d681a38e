/** The order in which steps are bound: each after what it reads. */
import { fail } from '../../shared/failure.js';
import type { StepSpec } from '../../shared/job-spec.js';
import { findCycle } from '../../shared/spec-meaning.js';

/**
 * @param reads sources and steps that each step reads, by its id
 * @throws WindrowError E_SPEC_CYCLE
 */
export function orderSteps(
  steps: readonly StepSpec[],
  reads: ReadonlyMap<string, readonly string[]>,
): StepSpec[] {
  const cycle = findCycle(reads);
  if (cycle) {
    fail('invalidSpec', 'E_SPEC_CYCLE', `steps form a cycle: ${cycle.join(' → ')}`, {
      at: { step: cycle[0]! },
      hint: 'let one of them read a source or an earlier step',
    });
  }
  const left = new Map(steps.map((step) => [step.id, step]));
  const ordered: StepSpec[] = [];
  const take = (id: string): void => {
    for (const path = [id]; path.length > 0;) {
      const step = left.get(path.at(-1)!);
      const next = step && reads.get(step.id)?.find((read) => left.has(read));
      if (next !== undefined) {
        path.push(next);
        continue;
      }
      if (step) ordered.push(step);
      left.delete(path.pop()!);
    }
  };
  for (const step of steps) take(step.id);
  return ordered;
}
