/**
 * What a planned query asks of the rows of its sources before anything else: the conditions that
 * stand on its scans, as those of a filter. Never: a condition that other operators stand before.
 */
import { quoteName } from '../../shared/sql-text.js';
import type { Conjunct, ScanConditions, SourceFacts } from '../planner/facts.js';
import {
  inputsOf,
  type Expression,
  type Query,
  type Relation,
  type Scan,
} from '../planner/relational/relation.js';
import type { BindDatabase } from './bind-database.js';
import { boundsOf } from './literals.js';
import { parseExpressions } from './parsing.js';

/** Each scan of a source once. */
export async function scanConditions(
  { relation }: Query,
  sources: ReadonlyMap<string, SourceFacts>,
  database: BindDatabase,
): Promise<ScanConditions[]> {
  const scans: Promise<ScanConditions>[] = [];
  const walk = (each: Relation, above: readonly Expression[]): void => {
    const source = each.kind === 'scan' ? sources.get(each.input) : undefined;
    if (each.kind === 'scan' && source) {
      const conjuncts = Promise.all(above.map((one) => conjunctOf(one, each, source, database)));
      scans.push(conjuncts.then((known) => ({ source: source.id, conjuncts: known })));
    }
    for (const input of inputsOf(each)) walk(input, conditionsBelow(each, above, input));
  };
  walk(relation, []);
  return Promise.all(scans);
}

/** Conditions on the rows of an operator that its input's rows have to meet as well. */
function conditionsBelow(
  relation: Relation,
  above: readonly Expression[],
  input: Relation,
): readonly Expression[] {
  if (relation.kind === 'filter') {
    return [...above, ...relation.conditions.filter((one) => !one.volatile)];
  }
  if (relation.kind !== 'project') return [];
  const known = new Set(input.columns.map(({ id }) => id));
  return above.filter(({ reads }) => reads.every((id) => known.has(id)));
}

/** Ids stand nowhere in a query's text but where its columns are meant. */
async function conjunctOf(
  { sql, reads }: Expression,
  scan: Scan,
  source: SourceFacts,
  database: BindDatabase,
): Promise<Conjunct> {
  const nameOf = (id: string): string =>
    scan.names[scan.columns.findIndex((column) => column.id === id)]!;
  const columns = reads.map(nameOf);
  const named = reads.reduce(
    (text, id, at) => text.replaceAll(quoteName(id), () => quoteName(columns[at]!)),
    sql,
  );
  const at = { column: columns[0] ?? '' };
  const [node] = await parseExpressions([{ text: named, at }], database);
  return { sql: named, columns, bounds: boundsOf(node!, source.columns) };
}
