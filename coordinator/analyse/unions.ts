/** A `union` step as a query: rows of several inputs under one list of columns. */
import { fail } from '../../shared/failure.js';
import type { StepOf } from '../../shared/step-spec.js';
import { quoteName } from '../../shared/sql-text.js';
import type { Relation } from './bind.js';
import { comparable } from './type-families.js';
import type { QueryText } from './wide.js';

/** A column of the result, and what each input gives for it; undefined where it has none. */
interface UnitedColumn {
  readonly name: string;
  readonly type: string;
  readonly from: (string | undefined)[];
}

/** @throws WindrowError E_TYPE_MISMATCH */
export function unionQuery({ id, union }: StepOf<'union'>, reads: readonly Relation[]): QueryText {
  const columns = union.by === 'name' ? byName(reads, id) : byPosition(reads, id);
  const selects = reads.map((relation, index) => {
    const list = columns.map(({ name, type, from }) => {
      const own = from[index];
      return `${own === undefined ? `cast(null as ${type})` : quoteName(own)} as ${quoteName(name)}`;
    });
    return `select ${list.join(', ')} from ${quoteName(relation.id)}`;
  });
  const sql = selects.join(' union all ');
  if (union.distinct !== true) return { sql };
  return { sql: `select distinct * from (${sql}) as united` };
}

function byName(reads: readonly Relation[], step: string): UnitedColumn[] {
  const united = new Map<string, UnitedColumn>();
  reads.forEach((relation, index) => {
    for (const { name, type } of relation.columns) {
      const column = united.get(name.toLowerCase());
      if (column) refuseMismatch(column, { relation, name, type }, step);
      const from = column?.from ?? reads.map(() => undefined);
      from[index] = name;
      if (!column) united.set(name.toLowerCase(), { name, type, from });
    }
  });
  return [...united.values()];
}

function byPosition(reads: readonly Relation[], step: string): UnitedColumn[] {
  const first = reads[0]!;
  for (const relation of reads) {
    if (relation.columns.length === first.columns.length) continue;
    const counts = `${first.id} has ${first.columns.length} columns, ${relation.id} ${relation.columns.length}`;
    fail('invalidSpec', 'E_TYPE_MISMATCH', counts, {
      at: { step },
      hint: 'unite them by name, or select the same columns of each first',
    });
  }
  return first.columns.map(({ name, type }, index) => {
    const from = reads.map((relation) => {
      const own = relation.columns[index]!;
      refuseMismatch({ name, type }, { relation, ...own }, step);
      return own.name;
    });
    return { name, type, from };
  });
}

function refuseMismatch(
  column: { readonly name: string; readonly type: string },
  other: { readonly relation: Relation; readonly name: string; readonly type: string },
  step: string,
): void {
  if (comparable(column.type, other.type)) return;
  fail(
    'invalidSpec',
    'E_TYPE_MISMATCH',
    `'${column.name}' is ${column.type}, but ${other.type} in ${other.relation.id}`,
    {
      at: { step, column: other.name },
      hint: 'cast one of them in a select step before the union',
    },
  );
}
