/** From an output back to its source: the operators its rows go through, in order. Pure. */
import { fail } from '../../shared/failure.js';
import type { JobSpec } from '../../shared/job-spec.js';
import type { ColumnDef, OutputPlan } from '../../shared/plan.js';
import type { Facts, Operator, SourceFacts } from './facts.js';

export interface Chain {
  /** Index into `spec.outputs`. */
  readonly output: number;
  readonly source: SourceFacts;
  readonly operators: readonly Operator[];
  readonly columns: readonly ColumnDef[];
  readonly rowCounts: OutputPlan['rowCounts'];
}

/** One chain for each output, in the order of the spec. Chains share operators by reference. */
export function chainsOf(spec: JobSpec, facts: Facts): Chain[] {
  return spec.outputs.map((output, index) => {
    const operators: Operator[] = [];
    let at = output.from;
    let columns: readonly ColumnDef[] | undefined;
    for (let step = facts.steps.get(at); step; step = facts.steps.get(at)) {
      operators.unshift(...step.operators);
      columns ??= step.columns;
      at = step.from;
    }
    const source = facts.sources.get(at);
    if (!source) {
      return fail('invalidSpec', 'E_UNKNOWN_STEP', `there is no source or step '${at}'`);
    }
    return {
      output: index,
      source,
      operators: operators.filter((each) => each.kind !== 'expect' || each.step.checks.length > 0),
      columns: columns ?? source.columns,
      rowCounts: operators.flatMap((each) => (each.kind === 'expect' ? each.rowCounts : [])),
    };
  });
}
