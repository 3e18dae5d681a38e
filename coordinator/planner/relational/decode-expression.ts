/**
 * Bound expressions of the plan as SQL over column ids. Never decides what a query may do; an
 * expression whose meaning would not survive being written down is unsupported.
 */
import { constantText } from './decode-constant.js';
import { functionText } from './decode-function.js';
import { typeText } from './decode-type.js';
import {
  flagOf,
  indexOf,
  isObject,
  objectOf,
  objectsOf,
  textOf,
  unsupported,
  type PlanObject,
} from './plan-json.js';
import { columnExpression, combine, type Scope } from './expression.js';
import type { Column, Expression, SortKey } from './relation.js';

export const comparisons: Readonly<Record<string, string>> = {
  COMPARE_EQUAL: '=',
  COMPARE_NOTEQUAL: '<>',
  COMPARE_LESSTHAN: '<',
  COMPARE_GREATERTHAN: '>',
  COMPARE_LESSTHANOREQUALTO: '<=',
  COMPARE_GREATERTHANOREQUALTO: '>=',
  COMPARE_DISTINCT_FROM: 'is distinct from',
  COMPARE_NOT_DISTINCT_FROM: 'is not distinct from',
};

/** @throws UnsupportedPlan */
export function decodeExpression(value: unknown, scope: Scope): Expression {
  const tree = objectOf(value, 'expression');
  const kind = textOf(tree['expression_class'], 'expression');
  switch (kind) {
    case 'BOUND_REF':
      return typed(reference(scope.slots[indexOf(tree['index'], 'column reference')]), tree);
    case 'BOUND_COLUMN_REF': {
      const binding = objectOf(tree['binding'], 'column binding');
      const slots = scope.bindings.get(indexOf(binding['table_index'], 'column binding'));
      return reference(slots?.[indexOf(binding['column_index'], 'column binding')]);
    }
    case 'BOUND_CONSTANT': {
      const { sql, type } = constantText(tree['value']);
      return combine(sql, type, []);
    }
    case 'BOUND_CAST':
      return cast(tree, scope);
    case 'BOUND_COMPARISON':
      return infix(
        comparisons[String(tree['type'])] ?? unsupported(`comparison ${String(tree['type'])}`),
        [tree['left'], tree['right']].map((side) => decodeExpression(side, scope)),
      );
    case 'BOUND_CONJUNCTION':
      return infix(
        tree['type'] === 'CONJUNCTION_AND' ? 'and' : 'or',
        expressionsOf(tree['children'], scope),
      );
    case 'BOUND_BETWEEN':
      return between(tree, scope);
    case 'BOUND_CASE':
      return caseOf(tree, scope);
    case 'BOUND_OPERATOR':
      return operator(tree, scope);
    case 'BOUND_FUNCTION':
      return functionText(tree, scope, decodeExpression);
    default:
      return unsupported(`expression ${kind.toLowerCase()}`);
  }
}

export function expressionsOf(value: unknown, scope: Scope): Expression[] {
  return objectsOf(value, 'expressions').map((tree) => decodeExpression(tree, scope));
}

export function optionalExpression(value: unknown, scope: Scope): Expression | undefined {
  return value === null || value === undefined ? undefined : decodeExpression(value, scope);
}

/** Keys of an ORDER BY, or of a member that holds some under `orders`. */
export function sortKeysOf(value: unknown, scope: Scope): SortKey[] {
  const orders = isObject(value) ? value['orders'] : value;
  return objectsOf(orders, 'order').map((key) => ({
    expression: decodeExpression(key['expression'], scope),
    descending:
      key['type'] === 'DESCENDING' ||
      (key['type'] !== 'ASCENDING' && unsupported(`order ${String(key['type'])}`)),
    nullsFirst:
      key['null_order'] === 'NULLS FIRST' ||
      (key['null_order'] !== 'NULLS LAST' && unsupported(`order ${String(key['null_order'])}`)),
  }));
}

/** The operands of AND, however deep. */
export function conjunctsOf(value: unknown): PlanObject[] {
  const tree = objectOf(value, 'condition');
  if (tree['expression_class'] !== 'BOUND_CONJUNCTION' || tree['type'] !== 'CONJUNCTION_AND') {
    return [tree];
  }
  return objectsOf(tree['children'], 'condition').flatMap(conjunctsOf);
}

function reference(slot: Column | Expression | undefined): Expression {
  if (slot === undefined) return unsupported('a reference to a column that is not there');
  return 'id' in slot ? columnExpression(slot) : slot;
}

/** Parameters of lambdas get their type where they are read. */
function typed(expression: Expression, tree: PlanObject): Expression {
  if (expression.type !== 'ANY') return expression;
  return { ...expression, type: typeText(tree['return_type']) };
}

function infix(word: string, parts: readonly Expression[]): Expression {
  if (parts.length < 2) return parts[0] ?? unsupported(`${word} without operands`);
  return combine(`(${parts.map((part) => part.sql).join(` ${word} `)})`, 'BOOLEAN', parts);
}

function cast(tree: PlanObject, scope: Scope): Expression {
  const child = decodeExpression(tree['child'], scope);
  const type = typeText(tree['return_type']);
  if (child.type === type) return child;
  const word = flagOf(tree['try_cast'], 'cast') ? 'try_cast' : 'cast';
  return combine(`${word}(${child.sql} as ${type})`, type, [child]);
}

function between(tree: PlanObject, scope: Scope): Expression {
  const part = (name: string) => decodeExpression(tree[name], scope);
  const parts = [part('input'), part('lower'), part('upper')] as const;
  const [input, lower, upper] = parts;
  // Written as two comparisons the input is asked twice.
  if (input.volatile) return unsupported('between of a volatile expression');
  const low = flagOf(tree['lower_inclusive'], 'between') ? '>=' : '>';
  const high = flagOf(tree['upper_inclusive'], 'between') ? '<=' : '<';
  const sql =
    low === '>=' && high === '<='
      ? `(${input.sql} between ${lower.sql} and ${upper.sql})`
      : `(${input.sql} ${low} ${lower.sql} and ${input.sql} ${high} ${upper.sql})`;
  return combine(sql, 'BOOLEAN', parts);
}

function caseOf(tree: PlanObject, scope: Scope): Expression {
  const otherwise = decodeExpression(tree['else_expr'], scope);
  const checks = objectsOf(tree['case_checks'], 'case').map((check) => [
    decodeExpression(check['when_expr'], scope),
    decodeExpression(check['then_expr'], scope),
  ]);
  const whens = checks.map(([when, then]) => `when ${when?.sql} then ${then?.sql}`).join(' ');
  const type = typeText(tree['return_type']);
  return combine(`(case ${whens} else ${otherwise.sql} end)`, type, [...checks.flat(), otherwise]);
}

function operator(tree: PlanObject, scope: Scope): Expression {
  const parts = expressionsOf(tree['children'], scope);
  const [first, ...others] = parts;
  const name = String(tree['type']);
  if (first === undefined) return unsupported(`${name} without operands`);
  const list = (of: readonly Expression[]) => of.map((part) => part.sql).join(', ');
  const type = typeText(tree['return_type']);
  switch (name) {
    case 'COMPARE_IN':
      return combine(`(${first.sql} in (${list(others)}))`, type, parts);
    case 'COMPARE_NOT_IN':
      return combine(`(${first.sql} not in (${list(others)}))`, type, parts);
    case 'OPERATOR_NOT':
      return combine(`(not ${first.sql})`, type, parts);
    case 'OPERATOR_IS_NULL':
      return combine(`(${first.sql} is null)`, type, parts);
    case 'OPERATOR_IS_NOT_NULL':
      return combine(`(${first.sql} is not null)`, type, parts);
    case 'OPERATOR_COALESCE':
      return combine(`coalesce(${list(parts)})`, type, parts);
    case 'OPERATOR_TRY':
      return combine(`try(${first.sql})`, type, parts);
    default:
      return unsupported(`operator ${name}`);
  }
}
