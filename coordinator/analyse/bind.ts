/**
 * Binds the relational steps: each expression is parsed, closed, printed and typed on empty tables.
 * Never: reads rows, or decides where a step runs.
 */
import { fail, type FailureLocation } from '../../shared/failure.js';
import type { ParamValue, StepSpec } from '../../shared/job-spec.js';
import type { ColumnDef } from '../../shared/plan.js';
import type { BoundStep, FilterOperator, SelectOperator } from '../planner/facts.js';
import type { BindDatabase } from './bind-database.js';
import { bindFailure } from './bind-failures.js';
import { closeExpression, columnsByName, type Closed, type Scope } from './expressions.js';
import { boundsOf } from './literals.js';
import { parseExpressions } from './parsing.js';
import { conjunctsOf, type TreeNode } from './syntax.js';
import { quoteName } from '../../shared/sql-text.js';

/** What binding needs to know of the job. */
export interface BindContext {
  readonly database: BindDatabase;
  readonly params: Readonly<Record<string, ParamValue>>;
  readonly nowMs: number;
  readonly known: ReadonlySet<string>;
  /** Notes a step whose bytes depend on when the job ran. */
  readonly usesClock: (step: string) => void;
}

export interface Relation {
  readonly id: string;
  readonly columns: readonly ColumnDef[];
}

export function scopeOf(
  context: BindContext,
  relation: Relation,
  at: FailureLocation,
  more: { alias?: string; aliases?: ReadonlyMap<string, TreeNode> } = {},
): Scope {
  return {
    relations: more.alias ? [more.alias] : [relation.id],
    columns: relation.columns,
    known: context.known,
    params: context.params,
    nowMs: context.nowMs,
    functions: context.database.functions,
    at,
    ...(more.aliases ? { aliases: more.aliases } : {}),
  };
}

export async function bindFilter(
  step: Extract<StepSpec, { filter: unknown }>,
  relation: Relation,
  context: BindContext,
): Promise<BoundStep> {
  const at = { step: step.id };
  const [where] = await parseExpressions([{ text: step.filter.where, at }], context.database);
  const operator = await filterOperator(step.id, where!, scopeOf(context, relation, at), {
    context,
    relation,
  });
  return {
    id: step.id,
    from: relation.id,
    operators: [operator],
    columns: relation.columns,
  };
}

/** A filter from the tree of its condition. @throws WindrowError E_SQL_BIND when not boolean */
export async function filterOperator(
  id: string,
  where: TreeNode,
  scope: Scope,
  { context, relation }: { context: BindContext; relation: Relation },
): Promise<FilterOperator> {
  const closed = closeExpression(where, scope);
  if (closed.usesClock) context.usesClock(id);
  const parts = conjunctsOf(closed.node);
  const [sql, ...partTexts] = await context.database.printExpressions([closed.node, ...parts]);
  const [type] = await bindTypes([{ sql: sql!, at: scope.at }], relation, context.database);
  requireBoolean(type!, scope.at);
  const columnSets = parts.map((part) => closeExpression(part, scope).columns);
  return {
    kind: 'filter',
    step: { kind: 'filter', id, where: sql! },
    columns: relation.columns,
    reads: closed.columns,
    deterministic: closed.deterministic,
    conjuncts: partTexts.map((text, index) => ({
      sql: text,
      columns: columnSets[index] ?? [],
      bounds: boundsOf(parts[index]!, relation.columns),
    })),
  };
}

/** @throws WindrowError E_SQL_BIND for a condition of another type */
export function requireBoolean(type: string, at: FailureLocation): void {
  if (type === 'BOOLEAN') return;
  fail('invalidSpec', 'E_SQL_BIND', `the condition must be BOOLEAN, but is ${type}`, {
    at,
    hint: 'compare it with something, or cast it with ::boolean',
  });
}

export async function bindSelect(
  step: Extract<StepSpec, { select: unknown }>,
  relation: Relation,
  context: BindContext,
): Promise<BoundStep> {
  const wanted = Object.entries(step.select.columns);
  const texts = wanted.flatMap(([name, expression]) =>
    expression === true || name === '*'
      ? []
      : [{ name, text: expression, at: { step: step.id, column: name } }],
  );
  const trees = await parseExpressions(texts, context.database);
  const made = new Map(texts.map(({ name }, index) => [name.toLowerCase(), trees[index]!]));
  const items: SelectItem[] = [];
  for (const [name, expression] of wanted) {
    const tree = made.get(name.toLowerCase());
    if (name === '*' && expression === true) {
      for (const column of relation.columns) {
        const replacement = made.get(column.name.toLowerCase());
        items.push({
          name: column.name,
          ...(replacement ? { tree: replacement } : { kept: column }),
        });
      }
    } else if (name === '*') {
      fail('invalidSpec', 'E_SPEC_INVALID', `"*" can only be true`, { at: { step: step.id } });
    } else if (expression === true) {
      const column = columnsByName(relation.columns).get(name.toLowerCase());
      items.push(
        column
          ? { name: column.name, kept: column }
          : { name, tree: { class: 'COLUMN_REF', column_names: [name] } },
      );
    } else if (!replacesKept(name, step.select.columns, relation)) {
      items.push({ name, tree: tree! });
    }
  }
  const operator = await selectOperator(step.id, items, relation, context, {
    aliases: made,
  });
  return { id: step.id, from: relation.id, operators: [operator], columns: operator.columns };
}

/** With "*": true a name that is there already is replaced in its place. */
function replacesKept(
  name: string,
  columns: Readonly<Record<string, unknown>>,
  relation: Relation,
): boolean {
  return columns['*'] === true && columnsByName(relation.columns).has(name.toLowerCase());
}

/** One resulting column: kept as it is, or made by an expression. */
export type SelectItem =
  | { readonly name: string; readonly kept: ColumnDef }
  | { readonly name: string; readonly kept?: undefined; readonly tree: TreeNode };

export async function selectOperator(
  id: string,
  items: readonly SelectItem[],
  relation: Relation,
  context: BindContext,
  more: { alias?: string; aliases: ReadonlyMap<string, TreeNode> },
): Promise<SelectOperator> {
  refuseDuplicates(
    items.map((item) => item.name),
    id,
  );
  const closed: (Closed | undefined)[] = items.map((item) =>
    item.kept
      ? undefined
      : closeExpression(
          item.tree,
          scopeOf(context, relation, { step: id, column: item.name }, more),
        ),
  );
  const made = closed.flatMap((each) => (each ? [each.node] : []));
  const texts = await context.database.printExpressions(made);
  let next = 0;
  const columns = items.map((item, index) => ({
    name: item.name,
    expr: closed[index] ? texts[next++]! : quoteName(item.kept!.name),
  }));
  const toType = columns.flatMap(({ name, expr }, index) =>
    closed[index] ? [{ sql: expr, at: { step: id, column: name } }] : [],
  );
  const types = await bindTypes(toType, relation, context.database);
  let nextType = 0;
  const result = items.map((item, index) => ({
    name: item.name,
    type: closed[index] ? types[nextType++]! : item.kept!.type,
  }));
  if (closed.some((each) => each?.usesClock)) context.usesClock(id);
  return {
    kind: 'select',
    step: { kind: 'select', id, columns },
    columns: result,
    reads: [],
    readsOf: items.map((item, index) => closed[index]?.columns ?? [item.kept!.name]),
    untouched: new Set(
      items.flatMap((item, index) => {
        const kept = item.kept ?? bareColumn(closed[index]!, relation);
        return kept?.name === item.name ? [item.name] : [];
      }),
    ),
    deterministic: closed.every((each) => each?.deterministic ?? true),
  };
}

/** The column that a closed expression merely names. */
function bareColumn(closed: Closed, relation: Relation): ColumnDef | undefined {
  if (closed.node.class !== 'COLUMN_REF') return undefined;
  return relation.columns.find((column) => column.name === closed.columns[0]);
}

/** @throws WindrowError E_DUPLICATE_COLUMN */
export function refuseDuplicates(names: readonly string[], step: string): void {
  const seen = new Set<string>();
  for (const name of names) {
    const lower = name.toLowerCase();
    if (seen.has(lower)) {
      fail('invalidSpec', 'E_DUPLICATE_COLUMN', `two columns are named '${name.slice(0, 200)}'`, {
        at: { step },
        hint: 'give one of them another name; names differ by more than case',
      });
    }
    seen.add(lower);
  }
}

/**
 * Types of closed expressions over a relation, in order.
 * @throws WindrowError E_SQL_BIND with DuckDB's message, at the expression that it is about
 */
export async function bindTypes(
  expressions: readonly { readonly sql: string; readonly at: FailureLocation }[],
  relation: Relation,
  database: BindDatabase,
): Promise<string[]> {
  if (expressions.length === 0) return [];
  const describe = async (list: readonly { sql: string }[]): Promise<string[]> => {
    const items = list.map(({ sql }) => `(${sql})`).join(', ');
    const columns = await database.describe(`select ${items} from ${quoteName(relation.id)}`);
    return columns.map((column) => column.type);
  };
  try {
    return await describe(expressions);
  } catch (whole) {
    // One by one, to say which it is.
    for (const { sql, at } of expressions) {
      try {
        await describe([{ sql }]);
      } catch (error) {
        bindFailure(error, at);
      }
    }
    return bindFailure(whole, expressions[0]!.at);
  }
}
