/** Binds an `expect` step: each check becomes one closed predicate. Never: evaluates a row. */
import type { CheckSpec, ParamValue, StepSpec } from '../../shared/job-spec.js';
import type { ExpectCheck, OutputPlan } from '../../shared/plan.js';
import { fail, type FailureLocation } from '../../shared/failure.js';
import type { BoundStep, ExpectOperator } from '../planner/facts.js';
import { bindTypes, parseExpressions, scopeOf, type BindContext, type Relation } from './bind.js';
import { closeExpression, findColumn } from './expressions.js';
import { quoteName, quoteText } from '../../shared/sql-text.js';

type ExpectStepSpec = Extract<StepSpec, { expect: unknown }>;
type RowCheckSpec = Exclude<CheckSpec, { rowCount: unknown }>;

export async function bindExpect(
  step: ExpectStepSpec,
  relation: Relation,
  context: BindContext,
): Promise<BoundStep> {
  const { id, expect } = step;
  const rowChecks: { name: string; text: string; action: ExpectCheck['action'] }[] = [];
  const rowCounts: OutputPlan['rowCounts'][number][] = [];
  expect.checks.forEach((check, index) => {
    if ('rowCount' in check) {
      // A count is known when rows are gone where they go: none can be dead-lettered for it.
      const inherited = expect.onFail === 'warn' ? 'warn' : 'fail';
      rowCounts.push({ step: id, ...defined(check.rowCount), action: check.onFail ?? inherited });
      return;
    }
    rowChecks.push({
      name: check.name ?? `${kindOf(check)}${index + 1}`,
      text: predicateText(check, relation, { step: id }),
      action: check.onFail ?? expect.onFail,
    });
  });
  refuseTwins(rowChecks, id);
  const places = rowChecks.map(({ name, text }) => ({ text, at: { step: id, column: name } }));
  const trees = await parseExpressions(places, context.database);
  const closed = trees.map((tree) =>
    closeExpression(tree, scopeOf(context, relation, { step: id })),
  );
  if (closed.some((each) => each.usesClock)) context.usesClock(id);
  const texts = await context.database.printExpressions(closed.map((each) => each.node));
  const types = await bindTypes(
    texts.map((sql) => ({ sql, at: { step: id } })),
    relation,
    context.database,
  );
  const checks = rowChecks.map(({ name, action }, index): ExpectCheck => {
    if (types[index] !== 'BOOLEAN') {
      fail('invalidSpec', 'E_SQL_BIND', `check '${name}' is ${types[index]}, not BOOLEAN`, {
        at: { step: id },
        hint: 'write a condition that is true for good rows',
      });
    }
    return { name, predicate: texts[index]!, action };
  });
  const operator: ExpectOperator = {
    kind: 'expect',
    step: { kind: 'expect', id, checks },
    columns: relation.columns,
    reads: [...new Set(closed.flatMap((each) => each.columns))],
    deterministic: closed.every((each) => each.deterministic),
    rowCounts,
  };
  return { id, from: relation.id, operators: [operator], columns: relation.columns };
}

function kindOf(check: RowCheckSpec): string {
  for (const kind of ['notNull', 'between', 'in', 'matches'] as const) {
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

function refuseTwins(checks: readonly { readonly name: string }[], step: string): void {
  const names = checks.map((check) => check.name.toLowerCase());
  const twin = names.find((name, index) => names.indexOf(name) !== index);
  if (twin === undefined) return;
  fail('invalidSpec', 'E_SPEC_INVALID', `two checks are named '${twin}'`, {
    at: { step },
    hint: 'give each check a name of its own',
  });
}
