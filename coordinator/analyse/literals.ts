/**
 * Recognises `column op literal` in a closed expression, `IN` lists and alternatives of such, with
 * the literal in the units that statistics have. Never: guesses at a conversion; what DuckDB might cast otherwise has no form here.
 */
import type { ColumnDef } from '../../shared/plan.js';
import type { Bound, Comparison, ComparisonOp, LiteralKind } from '../planner/facts.js';
import { columnsByName } from './expressions.js';
import { isNode, nodesOf, textsOf, wholeNumber, type TreeNode } from './syntax.js';

const operators: Readonly<Record<string, { op: ComparisonOp; flipped: ComparisonOp }>> = {
  COMPARE_EQUAL: { op: '=', flipped: '=' },
  COMPARE_LESSTHAN: { op: '<', flipped: '>' },
  COMPARE_LESSTHANOREQUALTO: { op: '<=', flipped: '>=' },
  COMPARE_GREATERTHAN: { op: '>', flipped: '<' },
  COMPARE_GREATERTHANOREQUALTO: { op: '>=', flipped: '<=' },
};

/** A longer list is not worth holding against every row group. */
const alternativesMax = 1000;

/** Bounds that all hold where the expression is true; none when it has another shape. */
export function boundsOf(node: TreeNode, columns: readonly ColumnDef[]): Bound[] {
  const byName = columnsByName(columns);
  const compare = (left: unknown, op: ComparisonOp, right: unknown): Comparison[] => {
    const column = columnOf(left, byName);
    const literal = column && literalOf(right, column.type);
    return column && literal ? [{ column: column.name, op, ...literal }] : [];
  };
  const bounds = (part: TreeNode): Bound[] => {
    if (part.class === 'COMPARISON') {
      const form = operators[String(part.type)];
      if (!form) return [];
      const straight = compare(part['left'], form.op, part['right']);
      return straight.length > 0 ? straight : compare(part['right'], form.flipped, part['left']);
    }
    if (part.class === 'BETWEEN' && part.type === 'COMPARE_BETWEEN') {
      return [
        ...compare(part['input'], '>=', part['lower']),
        ...compare(part['input'], '<=', part['upper']),
      ];
    }
    if (part.class === 'OPERATOR' && part.type === 'COMPARE_IN') {
      const [input, ...values] = nodesOf(part['children']);
      return anyOf(values.map((value) => compare(input, '=', value)));
    }
    if (part.class === 'CONJUNCTION') {
      const parts = nodesOf(part['children']).map(bounds);
      return part.type === 'CONJUNCTION_AND' ? parts.flat() : anyOf(parts);
    }
    return [];
  };
  return bounds(node);
}

/** Nothing where nothing is known of one of them. */
function anyOf(any: readonly Bound[][]): Bound[] {
  const known = any.length <= alternativesMax && any.every((all) => all.length > 0);
  return known ? [{ any }] : [];
}

function columnOf(node: unknown, byName: ReadonlyMap<string, ColumnDef>): ColumnDef | undefined {
  if (!isNode(node) || node.class !== 'COLUMN_REF') return undefined;
  const names = textsOf(node['column_names']);
  return names.length === 1 ? byName.get((names[0] ?? '').toLowerCase()) : undefined;
}

const integers = /^(TINYINT|SMALLINT|INTEGER|BIGINT)$/;

interface Literal {
  readonly kind: LiteralKind;
  readonly value: bigint | string;
}

function literalOf(node: unknown, columnType: string): Literal | undefined {
  if (!isNode(node)) return undefined;
  if (integers.test(columnType)) {
    const value = constantOf(uncast(node, integers), integers);
    const whole = wholeNumber(value);
    return whole === undefined ? undefined : { kind: 'integer', value: whole };
  }
  if (columnType === 'VARCHAR') {
    const value = constantOf(uncast(node, /^VARCHAR$/), /^VARCHAR$/);
    // U+0001 marks numbers in the tree.
    return typeof value === 'string' && !value.startsWith('\u0001')
      ? { kind: 'string', value }
      : undefined;
  }
  if (columnType === 'DATE') {
    const days = daysOf(textOf(node, ['DATE']));
    return days === undefined ? undefined : { kind: 'date', value: days };
  }
  if (/^TIMESTAMP(_NS| WITH TIME ZONE)?$/.test(columnType)) {
    const micros = microsOf(textOf(node, ['DATE', columnType]));
    return micros === undefined ? undefined : { kind: 'timestamp', value: micros };
  }
  return undefined;
}

function constantOf(node: TreeNode, type: RegExp): unknown {
  if (node.class !== 'CONSTANT' || !isNode(node['value'])) return undefined;
  const { value, is_null: isNull, type: of } = node['value'] as Record<string, unknown>;
  return isNode(of) && type.test(String(of['id'])) && isNull === false ? value : undefined;
}

/** What a cast to such a type stands around; a value that does not fit fails wherever it is asked. */
function uncast(node: TreeNode, to: RegExp): TreeNode {
  if (node.class !== 'CAST' || node['try_cast'] !== false) return node;
  const { cast_type: type, child } = node;
  return isNode(type) && to.test(String(type['id'])) && isNode(child) ? child : node;
}

/** The text of a string constant, bare or cast to one of the types. */
function textOf(node: TreeNode, casts: readonly string[]): string | undefined {
  if (node.class === 'CAST' && node['try_cast'] === false && isNode(node['child'])) {
    const to = isNode(node['cast_type']) ? String(node['cast_type']['id']) : '';
    const text = constantOf(node['child'], /^VARCHAR$/);
    // A time cast to DATE loses its time: then only a plain date means what it says.
    if (to === 'DATE' && typeof text === 'string' && daysOf(text) === undefined) return undefined;
    return casts.includes(to) && typeof text === 'string' ? text : undefined;
  }
  const text = constantOf(node, /^VARCHAR$/);
  return typeof text === 'string' ? text : undefined;
}

const msPerDay = 86_400_000;

function daysOf(text: string | undefined): bigint | undefined {
  if (text === undefined || !/^\d{4}-\d{2}-\d{2}$/.test(text) || text < '0001') return undefined;
  const ms = Date.parse(`${text}T00:00:00Z`);
  // Date.parse rolls some days that do not exist over into the next month.
  if (Number.isNaN(ms) || new Date(ms).toISOString().slice(0, 10) !== text) return undefined;
  return BigInt(ms / msPerDay);
}

function microsOf(text: string | undefined): bigint | undefined {
  const match =
    /^(\d{4}-\d{2}-\d{2})(?:[ T](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,6}))?(?:\+00|Z)?)?$/.exec(
      text ?? '',
    );
  if (!match) return undefined;
  const days = daysOf(match[1]);
  const [hours, minutes, seconds] = [match[2], match[3], match[4]].map((part) => Number(part ?? 0));
  if (days === undefined || hours! > 23 || minutes! > 59 || seconds! > 59) return undefined;
  const inDay = BigInt(hours! * 3600 + minutes! * 60 + seconds!) * 1_000_000n;
  return days * BigInt(msPerDay) * 1000n + inDay + BigInt((match[5] ?? '').padEnd(6, '0') || 0);
}
