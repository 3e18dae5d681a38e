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
    refuseEarlyCounts(operators, output.name ?? output.from);
    return {
      output: index,
      source,
      operators: operators.filter((each) => each.kind !== 'expect' || each.step.checks.length > 0),
      columns: columns ?? source.columns,
      rowCounts: operators.flatMap((each) => (each.kind === 'expect' ? each.rowCounts : [])),
    };
  });
}

/**
 * A row count is judged on the rows of the output, so none may be dropped or added after it.
 * @throws WindrowError E_STEP_UNSUPPORTED
 */
function refuseEarlyCounts(operators: readonly Operator[], output: string): void {
  let counted: string | undefined;
  for (const operator of operators) {
    if (counted !== undefined && changesCount(operator)) {
      fail(
        'invalidSpec',
        'E_STEP_UNSUPPORTED',
        `rowCount counts the rows of output '${output}', but step '${operator.step.id}' after it changes their number`,
        { at: { step: counted }, hint: 'make the rowCount check the last step before the output' },
      );
    }
    if (operator.kind === 'expect' && operator.rowCounts.length > 0) counted = operator.step.id;
  }
}

function changesCount(operator: Operator): boolean {
  switch (operator.kind) {
    case 'filter':
      return true;
    case 'expect':
      return operator.step.checks.some((check) => check.action === 'deadLetter');
    case 'infer':
      return operator.step.onNull === 'deadLetter' || operator.step.onError === 'deadLetter';
    case 'map':
      return !operator.step.rowwise || operator.step.onError === 'deadLetter';
    case 'select':
    case 'sql':
      return false;
  }
}
