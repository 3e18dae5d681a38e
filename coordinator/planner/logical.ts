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

/**
 * One chain for each output, in the order of the spec. Chains share operators by reference.
 * @throws WindrowError E_STEP_UNSUPPORTED for a row count that no output can tell
 */
export function chainsOf(spec: JobSpec, facts: Facts): Chain[] {
  const counts = new Map<string, OutputPlan['rowCounts']>();
  const chains = spec.outputs.map((output, index): Chain => {
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
    for (const each of operators) {
      if (each.kind === 'expect' && each.rowCounts.length > 0)
        counts.set(each.step.id, each.rowCounts);
    }
    return {
      output: index,
      source,
      operators: operators.filter((each) => each.kind !== 'expect' || each.step.checks.length > 0),
      columns: columns ?? source.columns,
      rowCounts: lastCounts(operators),
    };
  });
  const judged = new Set(chains.flatMap(({ rowCounts }) => rowCounts.map(({ step }) => step)));
  for (const step of counts.keys()) if (!judged.has(step)) refuseEarlyCount(step);
  return chains;
}

/**
 * Row counts that the output's own rows tell: no step after them changes the number of rows. Other
 * outputs of the same step see the same rows there, so that judging it once is enough.
 */
function lastCounts(operators: readonly Operator[]): OutputPlan['rowCounts'] {
  const counts: OutputPlan['rowCounts'][number][] = [];
  for (const operator of [...operators].reverse()) {
    if (operator.kind === 'expect') counts.unshift(...operator.rowCounts);
    if (changesCount(operator)) break;
  }
  return counts;
}

function refuseEarlyCount(step: string): never {
  fail(
    'invalidSpec',
    'E_STEP_UNSUPPORTED',
    'rowCount counts the rows of an output, but steps after it change their number',
    { at: { step }, hint: 'make the rowCount check the last step before an output' },
  );
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
