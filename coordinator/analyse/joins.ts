/** A `join` step as a query. Never: decides how rows meet; the planner does. */
import { fail, type FailureLocation } from '../../shared/failure.js';
import type { StepOf } from '../../shared/step-spec.js';
import type { ColumnDef } from '../../shared/plan.js';
import { quoteName } from '../../shared/sql-text.js';
import type { Relation } from './bind.js';
import { columnsByName, findColumn } from './expressions.js';
import { ofRow, type Fragments } from './fragments.js';
import { comparable } from './type-families.js';
import type { QueryText } from './wide.js';

type JoinSpec = StepOf<'join'>['join'];
type Sides = readonly [left: Relation, right: Relation];

interface Key {
  readonly left: ColumnDef;
  readonly right: ColumnDef;
}

/** @throws WindrowError E_UNKNOWN_COLUMN, E_TYPE_MISMATCH, E_DUPLICATE_COLUMN, E_SPEC_INVALID */
export async function joinQuery(
  join: JoinSpec,
  sides: Sides,
  fragments: Fragments,
): Promise<QueryText> {
  const at = { step: fragments.step };
  const [left, right] = sides;
  const keys = keysOf(join.keys ?? [], sides, at);
  const equals = join.nullSafe === true ? 'is not distinct from' : '=';
  const conditions = keys.map(
    (key) => `${column(left, key.left)} ${equals} ${column(right, key.right)}`,
  );
  const where =
    join.where === undefined ? undefined : await fragments.expression(join.where, ofRow);
  if (where !== undefined) conditions.push(where);
  const kind = join.how === 'cross' ? 'inner' : join.how;
  const from = `from ${quoteName(left.id)} ${kind} join ${quoteName(right.id)}`;
  const on = conditions.length === 0 ? 'true' : conditions.join(' and ');
  const all = `from ${quoteName(left.id)}, ${quoteName(right.id)}`;
  return {
    sql: `select ${resultColumns(join, keys, sides, at).join(', ')} ${from} on ${on}`,
    ...(where === undefined ? {} : { conditions: [{ sql: `select ${where} ${all}`, at }] }),
  };
}

function keysOf(
  keys: NonNullable<JoinSpec['keys']>,
  [left, right]: Sides,
  at: FailureLocation,
): Key[] {
  const pairs = Array.isArray(keys)
    ? keys.map((name): [string, string] => [name, name])
    : Object.entries(keys);
  return pairs.map(([leftName, rightName]) => {
    const key = {
      left: findColumn(leftName, left.columns, { ...at, column: `${left.id}.${leftName}` }),
      right: findColumn(rightName, right.columns, { ...at, column: `${right.id}.${rightName}` }),
    };
    if (!comparable(key.left.type, key.right.type)) {
      fail(
        'invalidSpec',
        'E_TYPE_MISMATCH',
        `${left.id}.${key.left.name} is ${key.left.type}, ${right.id}.${key.right.name} is ${key.right.type}`,
        { at, hint: 'cast one of them in a select step before the join' },
      );
    }
    return key;
  });
}

/** The left's columns, then the right's without its keys; a key is never lost for lack of a left row. */
function resultColumns(
  join: JoinSpec,
  keys: readonly Key[],
  [left, right]: Sides,
  at: FailureLocation,
): string[] {
  const keyOf = new Map(keys.map((key) => [key.left.name, key]));
  const ofLeft = left.columns.map((each) => {
    const key = keyOf.get(each.name);
    const own = column(left, each);
    if (!key || (join.how !== 'right' && join.how !== 'full')) return own;
    const other = column(right, key.right);
    const value = join.how === 'right' ? other : `coalesce(${own}, ${other})`;
    return `${value} as ${quoteName(each.name)}`;
  });
  if (join.how === 'semi' || join.how === 'anti') return ofLeft;
  const taken = columnsByName(left.columns);
  const joined = new Set(keys.map((key) => key.right.name));
  const ofRight = right.columns
    .filter((each) => !joined.has(each.name))
    .map((each) => {
      if (!taken.has(each.name.toLowerCase())) return column(right, each);
      if (join.suffix === undefined) refuseTwin(each.name, [left, right], at);
      return `${column(right, each)} as ${quoteName(each.name + join.suffix)}`;
    });
  return [...ofLeft, ...ofRight];
}

function refuseTwin(name: string, [left, right]: Sides, at: FailureLocation): never {
  fail('invalidSpec', 'E_DUPLICATE_COLUMN', `both ${left.id} and ${right.id} have '${name}'`, {
    at: { ...at, column: name },
    hint: `write suffix: _${right.id}, which is added to such columns of the right; or make it a key`,
  });
}

function column(relation: Relation, { name }: ColumnDef): string {
  return `${quoteName(relation.id)}.${quoteName(name)}`;
}
