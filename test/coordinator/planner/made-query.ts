/** Queries as analysis hands them to the planner, from SQL over made-up tables. */
import { serialiseQuery, type RelationalInput } from '../../../coordinator/analyse/relational.js';
import type { QueryStage } from '../../../coordinator/planner/query-stages.js';
import { decodeQuery } from '../../../coordinator/planner/relational/decode.js';
import { stageId } from '../../../shared/ids.js';
import type { RowLayout } from '../../../shared/plan.js';
import { stagePlan } from '../core/fixtures.js';

export interface Made {
  readonly layout?: RowLayout;
  /** Stages in the place of sources, by the name of the table. */
  readonly stages?: Readonly<Record<string, string>>;
  /** It cannot be divided. */
  readonly whole?: boolean;
}

export const partitions = 8;

/** Stage s1, which is to write its rows as zstd. */
export async function queryOf(
  inputs: readonly RelationalInput[],
  sql: string,
  { layout, stages = {}, whole }: Made = {},
): Promise<QueryStage> {
  const plan = await serialiseQuery(inputs, sql);
  if (!plan.ok) throw new Error(`${plan.type}: ${plan.message}`);
  const names = plan.columns.map(({ name }) => name);
  const decoded = decodeQuery(plan.json, names, plan.isVolatile);
  if (!decoded.ok) throw new Error(`unsupported: ${decoded.what}`);
  const tables = inputs.map(({ name, columns }) => {
    const stage = stages[name];
    const ref = stage
      ? ({ kind: 'stages', stages: [stageId(stage)] } as const)
      : ({ kind: 'source', source: name } as const);
    return [name, { ...ref, columns }] as const;
  });
  const base = stagePlan({ id: 's1', rows: 0 });
  const sink = {
    columns: decoded.query.result.map(({ name, type }) => ({ name, type })),
    compression: 'zstd',
    partitionBy: [],
  } as const;
  return {
    ...base,
    program: { ...base.program, sink },
    pool: 'large',
    input: {
      kind: 'query',
      sql,
      ...(whole ? {} : { relational: JSON.stringify(decoded.query) }),
      tables: Object.fromEntries(tables),
      partitions,
      ...(layout ? { layout } : {}),
      versions: { duckdb: 'v1', onnxruntime: 'v1' },
    },
  };
}
