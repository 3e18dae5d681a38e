/**
 * Binds an `expect` step: each check becomes one closed predicate; what needs other rows to tell is a
 * column that a query before it adds. Never: evaluates a row.
 */
import type { ParamValue, StepSpec } from '../../shared/job-spec.js';
import type { CheckSpec } from '../../shared/step-spec.js';
import type { ColumnDef, ExpectCheck, OutputPlan } from '../../shared/plan.js';
import { fail, type FailureLocation } from '../../shared/failure.js';
import type { BoundStep, ExpectOperator, SelectOperator, WideStep } from '../planner/facts.js';
import { bindTypes, scopeOf, type BindContext, type Relation } from './bind.js';
import { closeExpression, findColumn } from './expressions.js';
import { parseExpressions } from './parsing.js';
import { uniqueQuery } from './unique.js';
import { quoteName, quoteText } from '../../shared/sql-text.js';

type ExpectStepSpec = Extract<StepSpec, { expect: unknown }>;
type NamedCheckSpec = Exclude<CheckSpec, { rowCount: unknown }>;
type UniqueCheckSpec = Extract<CheckSpec, { unique: unknown }>;
type RowCheckSpec = Exclude<NamedCheckSpec, UniqueCheckSpec>;

export interface BoundExpect {
  readonly step: BoundStep;
  /** What the step reads instead of its relation, whose rows it needs twice. */
  readonly query?: WideStep;
}

interface Named<Spec> extends Pick<ExpectCheck, 'name' | 'action'> {
  readonly check: Spec;
}

export async function bindExpect(
  step: ExpectStepSpec,
  relation: Relation,
  context: BindContext,
): Promise<BoundExpect> {
  const { id, expect } = step;
  const rowCounts: OutputPlan['rowCounts'][number][] = [];
  const rowChecks: Named<RowCheckSpec>[] = [];
  const uniqueChecks: Named<UniqueCheckSpec>[] = [];
  const names: string[] = [];
  expect.checks.forEach((check, index) => {
    if ('rowCount' in check) {
      // A count is known when rows are gone where they go: none can be dead-lettered for it.
      const inherited = expect.onFail === 'warn' ? 'warn' : 'fail';
      rowCounts.push({ step: id, ...defined(check.rowCount), action: check.onFail ?? inherited });
      return;
    }
    const name = check.name ?? `${kindOf(check)}${index + 1}`;
    const action = check.onFail ?? expect.onFail;
    names.push(name);
    if ('unique' in check) uniqueChecks.push({ name, action, check });
    else rowChecks.push({ name, action, check });
  });
  refuseTwins(names, id);
  const rows = await bindRowChecks(id, rowChecks, relation, context);
  const unique = await bindUniqueChecks(id, uniqueChecks, relation, context);
  const bound = new Map([...rows.checks, ...unique.checks].map((check) => [check.name, check]));
  const columns = unique.query?.columns ?? relation.columns;
  const operator: ExpectOperator = {
    kind: 'expect',
    step: { kind: 'expect', id, checks: names.map((name) => bound.get(name)!) },
    columns,
    reads: [...rows.reads, ...unique.reads],
    deterministic: rows.deterministic,
    rowCounts,
  };
  const { query, added } = unique;
  if (!query) {
    return { step: { id, from: relation.id, operators: [operator], columns } };
  }
  const without = dropping(id, added, columns);
  const operators = [operator, without];
  return { step: { id, from: query.id, operators, columns: without.columns }, query };
}

interface BoundChecks {
  readonly checks: readonly ExpectCheck[];
  readonly reads: readonly string[];
  readonly deterministic: boolean;
}

/** Checks that one row decides. */
async function bindRowChecks(
  id: string,
  named: readonly Named<RowCheckSpec>[],
  relation: Relation,
  context: BindContext,
): Promise<BoundChecks> {
  const at = { step: id };
  const places = named.map(({ name, check }) => ({
    text: predicateText(check, relation, at),
    at: { step: id, column: name },
  }));
  const trees = await parseExpressions(places, context.database);
  const closed = trees.map((tree) => closeExpression(tree, scopeOf(context, relation, at)));
  if (closed.some((each) => each.usesClock)) context.usesClock(id);
  const texts = await context.database.printExpressions(closed.map((each) => each.node));
  const types = await bindTypes(
    texts.map((sql) => ({ sql, at })),
    relation,
    context.database,
  );
  const checks = named.map(({ name, action }, index): ExpectCheck => {
    if (types[index] !== 'BOOLEAN') {
      fail('invalidSpec', 'E_SQL_BIND', `check '${name}' is ${types[index]}, not BOOLEAN`, {
        at,
        hint: 'write a condition that is true for good rows',
      });
    }
    return { name, predicate: texts[index]!, action };
  });
  return {
    checks,
    reads: [...new Set(closed.flatMap((each) => each.columns))],
    deterministic: closed.every((each) => each.deterministic),
  };
}

/** Checks that other rows decide, too: judged on all rows that enter the step. */
async function bindUniqueChecks(
  id: string,
  named: readonly Named<UniqueCheckSpec>[],
  relation: Relation,
  context: BindContext,
): Promise<{
  readonly checks: readonly ExpectCheck[];
  readonly reads: readonly string[];
  /** Columns that the query has and the rows do not. */
  readonly added: readonly string[];
  readonly query?: WideStep;
}> {
  if (named.length === 0) return { checks: [], reads: [], added: [] };
  const lists = named.map(({ check }) =>
    [check.unique].flat().map((name) => findColumn(name, relation.columns, { step: id }).name),
  );
  const { wide, verdicts, times } = await uniqueQuery(id, lists, relation, context);
  const checks = named.map(({ name, action }, index): ExpectCheck => {
    const check = { name, predicate: quoteName(verdicts[index]!), action };
    return action === 'fail' ? { ...check, example: keyText(lists[index]!, times[index]!) } : check;
  });
  const told = times.filter((_, index) => checks[index]!.example !== undefined);
  return { checks, reads: [...verdicts, ...told], added: [...verdicts, ...times], query: wide };
}

/** `id = 7, in 3 rows`. */
function keyText(columns: readonly string[], times: string): string {
  const values = columns.map(
    (name) => `${quoteText(`${name} = `)} || cast(${quoteName(name)} as VARCHAR)`,
  );
  return `${values.join(` || ', ' || `)} || ', in ' || ${quoteName(times)} || ' rows'`;
}

/** The rows without columns that only the checks read. */
function dropping(
  id: string,
  added: readonly string[],
  columns: readonly ColumnDef[],
): SelectOperator {
  const kept = columns.filter(({ name }) => !added.includes(name));
  const names = kept.map(({ name }) => name);
  return {
    kind: 'select',
    step: { kind: 'select', id, columns: names.map((name) => ({ name, expr: quoteName(name) })) },
    columns: kept,
    reads: [],
    readsOf: names.map((name) => [name]),
    untouched: new Set(names),
    deterministic: true,
  };
}

function kindOf(check: NamedCheckSpec): string {
  for (const kind of ['notNull', 'unique', 'between', 'in', 'matches'] as const) {
    if (kind in check) return kind;
  }
  return 'predicate';
}

function predicateText(check: RowCheckSpec, relation: Relation, at: FailureLocation): string {
  const column = (name: string): string => quoteName(findColumn(name, relation.columns, at).name);
  if ('predicate' in check) return check.predicate;
  if ('notNull' in check) {
    return [check.notNull]
      .flat()
      .map((name) => `${column(name)} is not null`)
      .join(' and ');
  }
  if ('between' in check) {
    const [low, high] = check.between.map(literal);
    return `${column(check.column)} between ${low} and ${high}`;
  }
  if ('in' in check) return `${column(check.column)} in (${check.in.map(literal).join(', ')})`;
  // The whole value must match: a part that matches says little about the rest.
  return `regexp_full_match(${column(check.column)}, ${quoteText(check.matches)})`;
}

function literal(value: ParamValue): string {
  if (value === null) return 'null';
  return typeof value === 'string' ? quoteText(value) : String(value);
}

function defined(count: { min?: number | undefined; max?: number | undefined }): {
  min?: number;
  max?: number;
} {
  return {
    ...(count.min === undefined ? {} : { min: count.min }),
    ...(count.max === undefined ? {} : { max: count.max }),
  };
}

function refuseTwins(given: readonly string[], step: string): void {
  const names = given.map((name) => name.toLowerCase());
  const twin = names.find((name, index) => names.indexOf(name) !== index);
  if (twin === undefined) return;
  fail('invalidSpec', 'E_SPEC_INVALID', `two checks are named '${twin}'`, {
    at: { step },
    hint: 'give each check a name of its own',
  });
}
