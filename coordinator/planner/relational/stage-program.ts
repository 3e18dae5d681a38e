/**
 * From a fragment to the program that workers run on each of its chunks: one query over named leaves,
 * and a sink whose types survive the way through a file. Pure.
 */
import type {
  ColumnDef,
  Division,
  QueryLeaf,
  StageProgram,
  StageQuery,
} from '../../../shared/plan.js';
import { travelled } from '../types.js';
import type { Dividing, Fragment, PhysicalStage } from './physical.js';
import { type Aggregate, inputsOf, type Query, type Relation, type SortKey } from './relation.js';
import { callText } from './render-call.js';
import { renderQuery, renderSql, type Leaf } from './render.js';
import { quoteName } from '../../../shared/sql-text.js';

/**
 * A stage whose rows other stages read, its columns called by their ids.
 * @param partitions how many an exchange has; the same for all that meet in one chunk
 * @throws WindrowError E_TYPE_UNSUPPORTED
 */
export function stageProgram(stage: PhysicalStage, partitions: number): StageProgram {
  const columns = stage.columns.map(({ id, type }) => ({ name: id, type }));
  const sql = renderSql(stage.fragment.relation, leafName);
  if (stage.bounds) {
    return program(stage.fragment, boundsSql(sql, stage.bounds), [
      { name: 'bound', type: 'VARCHAR' },
    ]);
  }
  return program(stage.fragment, sql, columns, divisionOf(stage.divide, partitions));
}

/** As workers divide. */
export function divisionOf(divide: Dividing | undefined, partitions: number): Division | undefined {
  switch (divide?.kind) {
    case undefined:
      return undefined;
    case 'hash':
      return { kind: 'hash', partitions, keys: divide.keys.map(({ sql }) => sql) };
    case 'range': {
      const { bounds } = divide;
      const keys = divide.keys.map((key) => ({ expr: key.expression.sql, order: orderOf(key) }));
      return { kind: 'range', keys, bounds };
    }
  }
}

/** Rows that bounds are chosen from: enough for a few hundred ranges of about equal size. */
const sampleRows = 20_000;

/** Keys of a sample that cut it into ranges, as hex text, ascending. */
export function boundsSql(
  rows: string,
  { keys, ranges }: { readonly keys: readonly SortKey[]; readonly ranges: number },
): string {
  const items = keys.map((key) => `${key.expression.sql}, '${orderOf(key)}'`);
  // Short keys would come as numbers; behind text they are bytes as all others.
  items.push(`'', 'ASC NULLS LAST'`);
  const sample = `select create_sort_key(${items.join(', ')}) as k from (${rows}) using sample reservoir(${sampleRows} rows) repeatable (1)`;
  const placed = `select k, (row_number() over (order by k) - 1) * ${ranges} // count(*) over () as range from (${sample})`;
  return `select hex(k) as bound from (select range, min(k) as k from (${placed}) group by range) where range > 0 order by k`;
}

/** As DuckDB's `create_sort_key` takes it. */
function orderOf({ descending, nullsFirst }: SortKey): string {
  return `${descending ? 'DESC' : 'ASC'} NULLS ${nullsFirst ? 'FIRST' : 'LAST'}`;
}

/** The last stage of a query: its columns as the user called them. */
export function resultProgram(result: Query['result'], fragment: Fragment): StageProgram {
  const columns = result.map(({ name, type }) => ({ name, type }));
  const sql = renderQuery({ result, relation: fragment.relation }, leafName);
  const made = program(fragment, sql, columns);
  const own = Object.fromEntries(columns.map(({ name }) => [name, name]));
  return { ...made, query: { ...made.query!, shown: { ...made.query!.shown, ...own } } };
}

/** A query that one chunk computes from all that it reads. */
export function gatheredProgram(
  sql: string,
  leaves: readonly Pick<QueryLeaf, 'leaf' | 'columns'>[],
  columns: readonly ColumnDef[],
): StageProgram {
  return programOf({
    sql,
    leaves: leaves.map(({ leaf, columns }) => ({ leaf, columns, driving: true })),
    columns,
  });
}

function program(
  fragment: Fragment,
  sql: string,
  columns: readonly ColumnDef[],
  divide?: Division,
): StageProgram {
  const shown = namesIn(fragment.relation);
  return programOf({ sql, leaves: leavesOf(fragment), columns, shown }, divide);
}

/**
 * What users call the columns, by id. Measures have the names of their functions, and are called as
 * they are computed; not those of what other stages have aggregated already.
 */
function namesIn(relation: Relation): Record<string, string> {
  const names = new Map<string, string>();
  const measures = new Map<string, Aggregate['measures'][number]>();
  const walk = (each: Relation): void => {
    if (each.kind === 'aggregate') {
      for (const measure of each.measures) measures.set(measure.column.id, measure);
    }
    for (const { id, name } of each.columns) names.set(id, name);
    inputsOf(each).forEach(walk);
  };
  walk(relation);
  for (const id of measures.keys()) names.delete(id);
  for (const [id, { column, call }] of measures) {
    const read = call.args.flatMap(({ reads }) => reads.map((each) => names.get(each)));
    if (read.some((name) => name === undefined || name === column.name)) continue;
    const text = callText(call).replace(
      /"([^"]+)"/g,
      (quoted, each: string) => names.get(each) ?? quoted,
    );
    names.set(id, text);
  }
  return Object.fromEntries(names);
}

function programOf(query: StageQuery, divide?: Division): StageProgram {
  return {
    query,
    scan: { kind: 'chunks', columns: [], hive: [] },
    steps: [],
    sink: {
      columns: query.columns.map(travelled),
      // What is read once and soon is not worth compressing.
      compression: 'uncompressed',
      partitionBy: [],
      expendable: true,
      ...(divide ? { divide } : {}),
    },
    rowwise: false,
  };
}

function leafName(leaf: Leaf): string {
  return quoteName(leaf.kind === 'scan' ? leaf.input : leaf.shared);
}

/** Every leaf with the columns that the query reads of it, and what users call them. */
function leavesOf({ driving, sides, relation }: Fragment): QueryLeaf[] {
  const leaves = new Map<string, Map<string, ColumnDef>>();
  const shown = new Map<string, Record<string, string>>();
  const walk = (each: Relation): void => {
    if (each.kind === 'scan') {
      const known = leaves.get(each.input) ?? new Map<string, ColumnDef>();
      leaves.set(each.input, known);
      each.names.forEach((name, at) => {
        const column = each.columns[at]!;
        known.set(name, { name, type: column.type });
        if (column.name === name) return;
        shown.set(each.input, { ...shown.get(each.input), [name]: column.name });
      });
    }
    inputsOf(each).forEach(walk);
  };
  walk(relation);
  // Where nothing drives a chunk, the rows that enter are those of all that it reads.
  const aside = new Set(driving.kind === 'once' ? [] : sides.map(({ leaf }) => leaf));
  return [...leaves].map(([leaf, columns]) => ({
    leaf,
    columns: [...columns.values()],
    driving: !aside.has(leaf),
    ...(shown.has(leaf) ? { shown: shown.get(leaf)! } : {}),
  }));
}
