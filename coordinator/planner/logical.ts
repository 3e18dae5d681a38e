/** From what is to be kept back to where its rows come from: the operators they go through. Pure. */
import { fail } from '../../shared/failure.js';
import type { JobSpec } from '../../shared/job-spec.js';
import type { ColumnDef, OutputPlan } from '../../shared/plan.js';
import type { Facts, Operator, QueryFacts, SourceFacts } from './facts.js';

/** Where rows come from: files, or a query. Told apart by reference. */
export type Origin =
  | { readonly kind: 'source'; readonly source: SourceFacts }
  | { readonly kind: 'query'; readonly query: QueryFacts };

/** What rows go through up to an output, to a step whose rows a query reads, or to a query's end. */
export interface Chain {
  readonly origin: Origin;
  readonly operators: readonly Operator[];
  readonly columns: readonly ColumnDef[];
  readonly end: ChainEnd;
}

export type ChainEnd =
  | {
      readonly kind: 'output';
      /** Index into `spec.outputs`. */
      readonly output: number;
      readonly rowCounts: OutputPlan['rowCounts'];
    }
  /** Queries read the rows under this name. */
  | { readonly kind: 'table'; readonly table: string };

/**
 * One chain for each output, in the order of the spec, then those that queries read. Chains share
 * operators and origins by reference.
 * @throws WindrowError E_STEP_UNSUPPORTED for a row count that no output can tell
 */
export function chainsOf(spec: JobSpec, facts: Facts): Chain[] {
  const origins = new Map<string, Origin>();
  const counting = new Set<string>();
  const chain = (from: string, endOf: (operators: readonly Operator[]) => ChainEnd): Chain => {
    const { at, operators, columns } = walkBack(from, facts);
    const origin = origins.get(at) ?? newOrigin(at, facts);
    origins.set(at, origin);
    for (const each of operators) {
      if (each.kind === 'expect' && each.rowCounts.length > 0) counting.add(each.step.id);
    }
    return { origin, operators: operators.filter(isWorth), columns, end: endOf(operators) };
  };
  const outputs = spec.outputs.map(({ from }, output) =>
    chain(from, (operators) => ({ kind: 'output', output, rowCounts: lastCounts(operators) })),
  );
  const tables = [...facts.queries.values()].flatMap((query) => query.tables.map(({ id }) => id));
  const read = [...new Set(tables)]
    .filter((id) => !facts.sources.has(id))
    .map((table) => chain(table, () => ({ kind: 'table', table })));
  const judged = new Set(
    outputs.flatMap(({ end }) =>
      end.kind === 'output' ? end.rowCounts.map(({ step }) => step) : [],
    ),
  );
  for (const step of counting) if (!judged.has(step)) refuseEarlyCount(step);
  return [...outputs, ...read];
}

function isWorth(operator: Operator): boolean {
  return operator.kind !== 'expect' || operator.step.checks.length > 0;
}

function newOrigin(id: string, facts: Facts): Origin {
  const query = facts.queries.get(id);
  if (query) return { kind: 'query', query };
  const source = facts.sources.get(id);
  if (source) return { kind: 'source', source };
  return fail('invalidSpec', 'E_UNKNOWN_STEP', `there is no source or step '${id}'`);
}

function walkBack(
  from: string,
  facts: Facts,
): { at: string; operators: Operator[]; columns: readonly ColumnDef[] } {
  const operators: Operator[] = [];
  let at = from;
  let columns: readonly ColumnDef[] | undefined;
  for (;;) {
    const query = facts.queries.get(at);
    const step = query ? undefined : facts.steps.get(at);
    if (!step) {
      columns ??= (query ?? facts.sources.get(at))?.columns ?? [];
      return { at, operators, columns };
    }
    operators.unshift(...step.operators);
    columns ??= step.columns;
    at = step.from;
  }
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
