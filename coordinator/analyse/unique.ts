/**
 * Columns in which no two rows may have the same values, as a query: all rows, and for each list of
 * such columns one more that is true where the row is alone, and one that says how many are like it.
 * Never: says what becomes of them.
 */
import { quoteName } from '../../shared/sql-text.js';
import type { WideStep } from '../planner/facts.js';
import type { BindContext, Relation } from './bind.js';
import { bindWide } from './wide.js';

/** Ids that begin so are no user's. */
const prefix = '_windrow_unique_';
const timesColumn = `${prefix}times`;

export interface UniqueQuery {
  /** Reads its relation twice, and needs the same rows both times. */
  readonly wide: WideStep;
  /** The added columns, in the order of the lists. */
  readonly verdicts: readonly string[];
  /** Rows that have a row's values; NULL where it is alone. */
  readonly times: readonly string[];
}

/** What users know a query's step as: the check's own step. */
export function shownStep(id: string): string {
  return id.startsWith(prefix) ? id.slice(prefix.length) : id;
}

/**
 * Only keys are grouped and only those of several rows come back, so that the rows themselves stay
 * where they are.
 * @param lists columns by their true names; a row with NULL in one of them counts as alone
 */
export async function uniqueQuery(
  step: string,
  lists: readonly (readonly string[])[],
  relation: Relation,
  context: BindContext,
): Promise<UniqueQuery> {
  const table = quoteName(relation.id);
  const taken = new Set(relation.columns.map(({ name }) => name.toLowerCase()));
  const verdicts: string[] = [];
  const times: string[] = [];
  const items = relation.columns.map(({ name }) => `${table}.${quoteName(name)}`);
  const joins = lists.map((columns, index) => {
    const verdict = freeName(`unique (${columns.join(', ')})`, taken);
    verdicts.push(verdict);
    const count = freeName(`times (${columns.join(', ')})`, taken);
    times.push(count);
    const several = quoteName(`${prefix}${index}`);
    items.push(`${several}.${quoteName(columns[0]!)} is null as ${quoteName(verdict)}`);
    items.push(`${several}.${quoteName(timesColumn)} as ${quoteName(count)}`);
    return `left join (${severalTimes(columns, table)}) as ${several} on ${columns
      .map((name) => `${table}.${quoteName(name)} = ${several}.${quoteName(name)}`)
      .join(' and ')}`;
  });
  const sql = `select ${items.join(', ')} from ${table} ${joins.join(' ')}`;
  const reads = [relation];
  const bound = await bindWide(
    { id: step, reads, sql, deterministic: true, usesClock: false },
    context,
  );
  return { wide: { ...bound, id: prefix + step }, verdicts, times };
}

/** Keys that more than one row has. */
function severalTimes(columns: readonly string[], table: string): string {
  const names = columns.map(quoteName);
  const keys = names.join(', ');
  const known = names.map((name) => `${name} is not null`).join(' and ');
  return `select ${keys}, count(*) as ${quoteName(timesColumn)} from ${table} where ${known} group by ${keys} having count(*) > 1`;
}

/** A name that messages can show, as it stands in the condition of the check. */
function freeName(wanted: string, taken: Set<string>): string {
  let name = wanted;
  while (taken.has(name.toLowerCase())) name += "'";
  taken.add(name.toLowerCase());
  return name;
}
