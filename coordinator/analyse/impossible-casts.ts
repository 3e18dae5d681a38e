/**
 * Casts in a bound query that DuckDB takes when it binds, and refuses for every value once it runs:
 * of a list to a number, of a date to one. DuckDB itself says which those are, asked about one made-up
 * value of the type. Never: refuses what some value could pass.
 */
import { structMembers, typeText } from '../planner/relational/decode-type.js';
import {
  indexOf,
  isObject,
  objectOf,
  parsePlan,
  UnsupportedPlan,
  type PlanObject,
} from '../planner/relational/plan-json.js';
import { quoteName, quoteText } from '../../shared/sql-text.js';

interface Cast {
  readonly from: unknown;
  readonly to: unknown;
  /** As the user calls it; undefined where it is no plain column. */
  readonly column?: string;
}

/**
 * The first of them, in words; undefined where there is none, or the query's plan cannot be written.
 * @param rows runs a statement. It must not see any table
 */
export async function impossibleCast(
  query: string,
  rows: (statement: string) => Promise<unknown[][]>,
): Promise<string | undefined> {
  const said = await rows(`select json_serialize_plan(${quoteText(query)})`).catch(() => []);
  const json = String(said[0]?.[0] ?? '');
  // Text with a NUL in it comes cut off.
  if (!json.includes('"BOUND_CAST"') || !json.endsWith('}')) return undefined;
  const asked = new Set<string>();
  for (const { from, to, column } of castsIn(parsePlan(json))) {
    const types = written(from, to);
    if (!types || asked.has(types.statement)) continue;
    asked.add(types.statement);
    const refused = await rows(types.statement).then(
      () => false,
      (error: unknown) => String(error).includes('Unimplemented type for cast'),
    );
    if (!refused) continue;
    const what = column ? `'${column}' is ${types.from}` : `a value is ${types.from}`;
    return `${what} where ${types.to} is needed, and cannot be cast to it`;
  }
  return undefined;
}

function castsIn(tree: unknown): Cast[] {
  if (Array.isArray(tree)) return tree.flatMap(castsIn);
  if (!isObject(tree) || tree['type'] === 'OPERATOR_TRY') return [];
  const inside = Object.values(tree).flatMap(castsIn);
  const { child } = tree;
  if (tree['expression_class'] !== 'BOUND_CAST' || tree['try_cast'] === true) return inside;
  if (!isObject(child) || isNull(child)) return inside;
  const isColumn = /^BOUND_(REF|COLUMN_REF)$/.test(String(child['expression_class']));
  const name = isColumn ? { column: String(child['alias']) } : {};
  return [...inside, { from: child['return_type'], to: tree['return_type'], ...name }];
}

/** NULL is of any type, and so is what never comes to a value, as error(). */
function isNull(tree: PlanObject): boolean {
  const { child, value, return_type: type } = tree;
  if (isObject(type) && type['id'] === 'NULL') return true;
  if (tree['expression_class'] === 'BOUND_CAST') return isObject(child) && isNull(child);
  return isObject(value) && value['is_null'] === true;
}

/** Undefined for types that SQL text cannot name. */
function written(
  from: unknown,
  to: unknown,
): { from: string; to: string; statement: string } | undefined {
  try {
    const types = { from: typeText(from), to: typeText(to) };
    const value = `cast(${quoteText(someValue(from))} as ${ofSomeType(types.from)})`;
    return { ...types, statement: `select cast(v as ${types.to}) from (select ${value} as v)` };
  } catch (error) {
    if (error instanceof UnsupportedPlan) return undefined;
    throw error;
  }
}

/** An empty list, or one of NULLs, is of what becomes anything. A member called NULL stays. */
function ofSomeType(type: string): string {
  return type.replace(/"NULL"(?=[[\],)]|$)/g, 'VARCHAR');
}

/** Text that becomes a value of the type, without a NULL in it where it has a type. @throws UnsupportedPlan */
function someValue(type: unknown): string {
  const { id, type_info: info } = objectOf(type, 'type');
  const { child_type: item, size } = isObject(info) ? info : {};
  switch (id) {
    case 'LIST':
      return `[${someValue(item)}]`;
    case 'ARRAY':
      return `[${new Array<string>(indexOf(size, 'array')).fill(someValue(item)).join(', ')}]`;
    case 'STRUCT': {
      const members = structMembers(type).map(
        (member) => `${quoteName(member.name)}: ${someValue(member.type)}`,
      );
      return `{${members.join(', ')}}`;
    }
    case 'MAP': {
      const [key, value] = structMembers(item);
      return `{${someValue(key?.type)}=${someValue(value?.type)}}`;
    }
    case 'NULL':
      return 'NULL';
    default:
      return plainValues.find(([types]) => types.test(String(id)))![1];
  }
}

const plainValues: readonly (readonly [RegExp, string])[] = [
  [/^(DATE|TIMESTAMP.*)$/, '2000-01-01'],
  [/^TIME/, '00:00:00'],
  [/^INTERVAL$/, '1 day'],
  [/^UUID$/, '00000000-0000-0000-0000-000000000000'],
  [/^/, '0'],
];
