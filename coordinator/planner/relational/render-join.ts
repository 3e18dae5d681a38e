/**
 * Joins as SQL. Mark and single joins have no syntax of their own: they become the subqueries that
 * DuckDB makes them from, so that its rules for NULL and for second rows hold.
 */
import { comparedIn, type Join } from './relation.js';
import type { Output, Subselect } from './render.js';
import { quoteName } from '../../../shared/sql-text.js';

export function joinText(
  join: Join,
  outputs: readonly Output[],
  sub: Subselect,
  names: (outputs: readonly Output[]) => string,
): string {
  const conditions = [
    ...join.equalities.map(
      ({ left, right, nullSafe }) =>
        `${left.sql} ${nullSafe ? 'is not distinct from' : '='} ${right.sql}`,
    ),
    ...join.residual.map(({ sql }) => sql),
  ];
  const needed = new Set([
    ...outputs.map(({ id }) => id),
    ...join.equalities.flatMap(({ left, right }) => [...left.reads, ...right.reads]),
    ...join.residual.flatMap(({ reads }) => reads),
    ...comparedIn(join).flatMap(({ left, right }) => [...left.reads, ...right.reads]),
  ]);
  const left = sub(join.left, needed);
  const right = sub(join.right, needed);
  const on = conditions.length > 0 ? conditions.join(' and ') : 'true';
  switch (join.join) {
    case 'cross':
      return `select ${names(outputs)} from ${left} as l cross join ${right} as r`;
    case 'inner':
    case 'left':
    case 'right':
    case 'full':
    case 'semi':
    case 'anti':
    case 'asof':
    case 'asof left':
      return `select ${names(outputs)} from ${left} as l ${join.join} join ${right} as r on ${on}`;
    case 'mark':
    case 'single': {
      const column = join.join === 'mark' ? (join.mark?.column.id ?? '') : '_partner';
      const partner = partnerOf(join, outputs);
      const make = (from: string) =>
        join.join === 'mark'
          ? markText(join, from, conditions)
          : `(select ${partner.value} from ${from} as r${where(conditions)})`;
      const rows = (from: string) =>
        `select ${names(outputs)} from (select *${partner.back} from ` +
        `(select *, ${make(from)} as ${quoteName(column)} from ${left} as l))`;
      // DuckDB cannot decorrelate just any subquery, but it can a filter on rows that are there.
      return conditions.length === 0
        ? rows(right)
        : `with "_partners" as materialized (select * from ${right}) ${rows('"_partners"')}`;
    }
  }
}

function where(conditions: readonly string[]): string {
  return conditions.length > 0 ? ` where ${conditions.join(' and ')}` : '';
}

function markText(join: Join, from: string, conditions: readonly string[]): string {
  const test = join.mark?.test;
  if (!test) return `(exists (select 1 from ${from} as r${where(conditions)}))`;
  const compared = comparedIn(join);
  const left = compared.map((each) => each.left.sql).join(', ');
  const right = compared.map((each) => each.right.sql).join(', ');
  const row = compared.length > 1 ? `(${left})` : left;
  return `(${row} ${test.operator} any (select ${right} from ${from} as r${where(conditions)}))`;
}

/** The partner's columns come as one struct, for a scalar subquery has one column. */
function partnerOf(join: Join, outputs: readonly Output[]): { value: string; back: string } {
  if (join.join === 'mark') return { value: '', back: '' };
  const own = new Set(join.left.columns.map(({ id }) => id));
  const partner = outputs.filter(({ id }) => !own.has(id)).map(({ id }) => id);
  const fields = partner.map((id) => `${quoteName(id)} := ${quoteName(id)}`);
  const back = partner.map((id) => `, struct_extract("_partner", '${id}') as ${quoteName(id)}`);
  return {
    value: fields.length > 0 ? `struct_pack(${fields.join(', ')})` : '1',
    back: back.join(''),
  };
}
