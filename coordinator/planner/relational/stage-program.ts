/**
 * From a fragment to the program that workers run on each of its chunks: one query over named leaves,
 * and a sink whose types survive the way through a file. Pure.
 */
import type { ColumnDef, Division, QueryLeaf, StageProgram } from '../../../shared/plan.js';
import { travelled } from '../types.js';
import type { Fragment, PhysicalStage } from './physical.js';
import { inputsOf, type Query, type Relation } from './relation.js';
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
  const keys = stage.divide?.map((key) => key.sql);
  return program(stage.fragment, sql, columns, keys && { kind: 'hash', partitions, keys });
}

/** The last stage of a query: its columns as the user called them. */
export function resultProgram(query: Query, fragment: Fragment): StageProgram {
  const columns = query.result.map(({ name, type }) => ({ name, type }));
  return program(
    fragment,
    renderQuery({ ...query, relation: fragment.relation }, leafName),
    columns,
  );
}

function program(
  fragment: Fragment,
  sql: string,
  columns: readonly ColumnDef[],
  divide?: Division,
): StageProgram {
  return {
    query: { sql, leaves: leavesOf(fragment), columns },
    scan: { kind: 'chunks', columns: [], hive: [] },
    steps: [],
    sink: {
      columns: columns.map(travelled),
      // What is read once and soon is not worth compressing.
      compression: 'uncompressed',
      partitionBy: [],
      ...(divide ? { divide } : {}),
    },
    rowwise: false,
  };
}

function leafName(leaf: Leaf): string {
  return quoteName(leaf.kind === 'scan' ? leaf.input : leaf.shared);
}

/** Every leaf with the columns that the query reads of it. */
function leavesOf({ driving, sides, relation }: Fragment): QueryLeaf[] {
  const leaves = new Map<string, Map<string, ColumnDef>>();
  const walk = (each: Relation): void => {
    if (each.kind === 'scan') {
      const known = leaves.get(each.input) ?? new Map<string, ColumnDef>();
      leaves.set(each.input, known);
      each.names.forEach((name, at) => known.set(name, { name, type: each.columns[at]!.type }));
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
  }));
}
