/**
 * Scalar functions and lambdas of the plan as SQL. DuckDB moves arguments of some functions into
 * private data when it binds them: those are known here one by one, others are unsupported.
 */
import { decimalConstant, decimalDigits } from './decode-constant.js';
import { folded, refuseErased } from './decode-folded.js';
import { isRow, rowType, structMembers, typeText } from './decode-type.js';
import {
  flagOf,
  isObject,
  objectOf,
  objectsOf,
  textOf,
  unsupported,
  type PlanObject,
} from './plan-json.js';
import { combine, type Scope } from './expression.js';
import type { Column, Expression } from './relation.js';
import { quoteName } from '../../../shared/sql-text.js';

/** Decodes an operand; given by the caller, whom this file must not know. */
export type DecodeOperand = (tree: unknown, scope: Scope) => Expression;

/** @throws UnsupportedPlan */
export function functionText(tree: PlanObject, scope: Scope, decode: DecodeOperand): Expression {
  const name = textOf(tree['name'], 'function');
  const type = isRow(tree['return_type']) ? rowType : typeText(tree['return_type']);
  const children = objectsOf(tree['children'], name);
  if (tree['is_operator'] === true) return operatorText(name, type, children, scope, decode);
  const own = { volatile: scope.isVolatile(name) };
  if (flagOf(tree['has_serialize'], name)) {
    const data = objectOf(tree['function_data'], name);
    if (isObject(data['lambda_expr'])) return lambdaText(name, type, children, data, scope, decode);
    return withData(name, type, tree, data, operands(children, scope, decode));
  }
  refuseErased(name, tree);
  const parts = operands(children, scope, decode);
  if (slices.has(name) && children.slice(1).some(isNoBound))
    return sliceText(type, children, parts);
  return combine(
    `${calledName(name)}(${parts.map((part) => part.sql).join(', ')})`,
    type,
    parts,
    own,
  );
}

const slices = new Set(['array_slice', 'list_slice']);

/** A slice with one end: only brackets can leave the other out. */
function sliceText(
  type: string,
  children: readonly PlanObject[],
  parts: readonly Expression[],
): Expression {
  const [list, from, to, step] = parts.map(({ sql }, at) =>
    at > 0 && isNoBound(children[at]!) ? '' : sql,
  );
  const bounds = step === undefined ? [from, to] : [from, to === '' ? '-' : to, step];
  return combine(`(${list})[${bounds.join(':')}]`, type, parts);
}

/** In the plan, a bound that is not there is an empty list. */
function isNoBound(tree: PlanObject): boolean {
  const { value } = tree;
  if (!isObject(value) || !isObject(value['value'])) return false;
  const { children } = value['value'];
  return Array.isArray(children) && children.length === 0;
}

/** Names that can stand before a parenthesis as they are; between quotes all of them can. */
const bareNames =
  /^(?:sum|count|min|max|avg|first|last|any_value|list|array_agg|string_agg|median|mode|stddev|stddev_samp|stddev_pop|variance|var_samp|var_pop|arg_min|arg_max|min_by|max_by|bool_and|bool_or|rank|dense_rank|row_number|percent_rank|cume_dist|ntile|lag|lead|first_value|last_value|nth_value|abs|round|floor|ceil|lower|upper|length|concat|contains|prefix|suffix|year|month|day|date_trunc|date_part|substr|replace|regexp_matches|quantile_cont|quantile_disc)$/;

/** A function's name as a call needs it. */
export function calledName(name: string): string {
  return bareNames.test(name) ? name : quoteName(name);
}

function operands(trees: readonly PlanObject[], scope: Scope, decode: DecodeOperand): Expression[] {
  return trees.map((tree) => decode(tree, scope));
}

function withData(
  name: string,
  type: string,
  tree: PlanObject,
  data: PlanObject,
  parts: readonly Expression[],
): Expression {
  const call = (args: readonly string[]) => combine(`${name}(${args.join(', ')})`, type, parts);
  // New members stand last in the result, in the order of the arguments.
  const named = (given: readonly Expression[]) => {
    const members = structMembers(tree['return_type']).slice(-given.length);
    if (members.length !== given.length) return unsupported(`function ${name}`);
    return given.map((part, index) => `${quoteName(members[index]?.name ?? '')} := ${part.sql}`);
  };
  switch (name) {
    case 'row':
      return call(parts.map((part) => part.sql));
    case 'struct_pack':
      return call(named(parts));
    case 'struct_insert':
      return call([parts[0]?.sql ?? '', ...named(parts.slice(1))]);
    case 'list_aggr':
    case 'list_aggregate':
    case 'array_aggr':
    case 'array_aggregate':
    case 'aggregate': {
      // The aggregate's name stands among the children, its own arguments do not.
      const inner = objectOf(objectOf(data['bind_data'], name)['aggr_expr'], name);
      const { args, order } = folded(textOf(inner['name'], name), inner, parts.slice(0, 1));
      if (parts.length !== 2 || order.length > 0) unsupported(`function ${name} with arguments`);
      return call([...parts, ...args.slice(1)].map((part) => part.sql));
    }
    default:
      return unsupported(`function ${name} with private data`);
  }
}

function operatorText(
  name: string,
  type: string,
  children: readonly PlanObject[],
  scope: Scope,
  decode: DecodeOperand,
): Expression {
  const parts =
    type.startsWith('DECIMAL') && (name === '+' || name === '-')
      ? children.map((child) => narrow(child, scope, decode))
      : children.map((child) => decode(child, scope));
  const [left, right] = parts;
  if (left === undefined || parts.length > 2) return unsupported(`operator ${name}`);
  if (!/^[-+*/%^&|<>~!@=]+$/.test(name)) return unsupported(`operator ${name}`);
  const sql = right ? `(${left.sql} ${name} ${right.sql})` : `(${name} ${left.sql})`;
  const bound =
    name === '*' ? productType(left.type, right?.type) : sumType(left.type, right?.type);
  // Bound again, it may get more digits than the query's own type.
  const exact = bound === type || !type.startsWith('DECIMAL');
  return combine(exact ? sql : `cast(${sql} as ${type})`, type, parts);
}

/**
 * An operand of a decimal sum without the cast that binding put around it, and constants with no
 * more digits than they need, so that binding the sum again gives the same type.
 */
function narrow(tree: PlanObject, scope: Scope, decode: DecodeOperand): Expression {
  if (tree['expression_class'] === 'BOUND_CONSTANT') {
    const decimal = decimalConstant(tree['value']);
    if (decimal) {
      const digits = decimalDigits(decimal.unscaled, decimal.scale);
      const width = Math.max(decimal.scale + 1, digits.replace(/\D/g, '').length);
      const type = `DECIMAL(${width},${decimal.scale})`;
      return combine(`cast('${digits}' as ${type})`, type, []);
    }
  }
  const expression = decode(tree, scope);
  if (tree['expression_class'] !== 'BOUND_CAST' || tree['try_cast'] !== false) return expression;
  const inner = decode(tree['child'], scope);
  const [outside, inside] = [decimalOf(expression.type), decimalOf(inner.type)];
  const widens =
    outside && inside && outside.scale === inside.scale && outside.width >= inside.width;
  return widens ? inner : expression;
}

function decimalOf(type: string): { width: number; scale: number } | undefined {
  const match = /^DECIMAL\((\d+),(\d+)\)$/.exec(type);
  return match ? { width: Number(match[1]), scale: Number(match[2]) } : undefined;
}

/** The type DuckDB gives to a sum of decimals. Source: BindDecimalArithmetic, DuckDB 1.5. */
function sumType(leftType: string, rightType: string | undefined): string | undefined {
  const left = decimalOf(leftType);
  if (rightType === undefined) return leftType;
  const right = decimalOf(rightType);
  if (!left || !right) return undefined;
  const scale = Math.max(left.scale, right.scale);
  const whole = Math.max(left.width - left.scale, right.width - right.scale);
  const widest = Math.max(left.width, right.width);
  const width = Math.max(scale + whole, widest) + 1;
  // Sums of 64-bit decimals stay 64-bit, and overflow is an error.
  const limit = widest <= 18 && width > 18 ? 18 : 38;
  return `DECIMAL(${Math.min(width, limit)},${scale})`;
}

/** The type DuckDB gives to a product of decimals. Source: BindDecimalMultiply, DuckDB 1.5. */
function productType(leftType: string, rightType: string | undefined): string | undefined {
  const left = decimalOf(leftType);
  const right = rightType === undefined ? undefined : decimalOf(rightType);
  if (!left || !right) return undefined;
  const width = left.width + right.width;
  const limit = Math.max(left.width, right.width) <= 18 && width > 18 ? 18 : 38;
  return `DECIMAL(${Math.min(width, limit)},${left.scale + right.scale})`;
}

/** Parameters of a lambda by function, without the index that may follow them. */
const lambdaParameters: Readonly<Record<string, number>> = {
  list_transform: 1,
  array_transform: 1,
  list_apply: 1,
  array_apply: 1,
  apply: 1,
  list_filter: 1,
  array_filter: 1,
  filter: 1,
  list_reduce: 2,
  array_reduce: 2,
  reduce: 2,
};

function lambdaText(
  name: string,
  type: string,
  children: readonly PlanObject[],
  data: PlanObject,
  scope: Scope,
  decode: DecodeOperand,
): Expression {
  const own = lambdaParameters[name] ?? unsupported(`function ${name} with a lambda`);
  const extra = flagOf(data['has_initial'], name) ? 1 : 0;
  const count = own + (flagOf(data['has_index'], name) ? 1 : 0);
  const depth = scope.depth ?? 0;
  const parts = operands(children, scope, decode);
  const fixed = parts.slice(0, 1 + extra);
  // The lambda's own parameters stand first and backwards, then what it reads of the row.
  const parameters = Array.from({ length: count }, (_, index): Column => {
    const id = `x${depth}_${index}`;
    return { id, name: id, type: 'ANY' };
  });
  const slots: (Column | Expression | undefined)[] = [
    ...[...parameters].reverse(),
    ...parts.slice(1 + extra),
  ];
  const body = decode(data['lambda_expr'], { ...scope, slots, depth: depth + 1 });
  const ids = parameters.map(({ id }) => id);
  const outer = { ...body, reads: body.reads.filter((id) => !ids.includes(id)) };
  const [list, initial] = fixed;
  const lambda = `lambda ${ids.map(quoteName).join(', ')}: ${body.sql}`;
  const args = [list?.sql, lambda, ...(initial ? [initial.sql] : [])].join(', ');
  return combine(`${name}(${args})`, type, [...fixed, outer]);
}
