/** The stage that a query ends with, before anything of it has run. Pure. */
import { canonicalJson, sha256Hex } from '../../shared/chunk-identity.js';
import type { StageId } from '../../shared/ids.js';
import type {
  InputFile,
  QueryInput,
  QueryTable,
  SinkProgram,
  StagePlan,
  StageProgram,
} from '../../shared/plan.js';
import { exchangePartitions } from './exchange-layout.js';
import type { Facts, QueryFacts, SourceFacts } from './facts.js';
import { programDigest } from './program-digest.js';
import { rangedColumns } from './ranged-files.js';
import { rowsRead } from './splits.js';

export interface QueryStageOptions {
  readonly id: StageId;
  readonly sink: SinkProgram;
  /** The stage that gives the rows of a step, or of another query. */
  readonly stageOf: (table: string) => StageId;
  readonly pool: string;
  /** Files of a source, without the row groups that no query needs. */
  readonly filesOf: (source: string) => readonly InputFile[];
}

export function queryStage(
  query: QueryFacts,
  facts: Facts,
  { id, sink, stageOf, pool, filesOf }: QueryStageOptions,
): StagePlan {
  const { sql, relational, layout, deterministic, steps } = query;
  const tables = query.tables.map(
    (table) => [table.id, tableOf(table, facts.sources.get(table.id), stageOf)] as const,
  );
  const input: QueryInput = {
    kind: 'query',
    sql,
    ...(relational === undefined ? {} : { relational }),
    tables: Object.fromEntries(tables),
    partitions: partitionsOf(facts),
    ...(layout ? { layout } : {}),
    versions: { duckdb: facts.versions.duckdb, onnxruntime: facts.versions.onnxruntime },
  };
  const program: StageProgram = {
    scan: { kind: 'chunks', columns: [], hive: [] },
    steps: [],
    sink,
    rowwise: false,
  };
  const does = [
    programDigest(program, facts.versions),
    relational ?? sql,
    input.partitions,
    layout,
  ];
  const sources = query.tables.filter((table) => facts.sources.has(table.id));
  return {
    id,
    input,
    program,
    digest: sha256Hex(canonicalJson(does)),
    deterministic,
    standsFor: steps,
    taskStarts: [],
    pool,
    devices: [],
    rows: rowsRead(sources.flatMap((table) => filesOf(table.id))),
  };
}

function tableOf(
  { id, columns }: QueryFacts['tables'][number],
  source: SourceFacts | undefined,
  stageOf: (table: string) => StageId,
): QueryTable {
  if (!source) return { kind: 'stages', stages: [stageOf(id)], columns };
  const ranged = rangedColumns(
    source,
    columns.map(({ name }) => name),
  );
  return { kind: 'source', source: id, columns, ...(ranged.length > 0 ? { ranged } : {}) };
}

/** The same for all exchanges of a job, from the sizes of what its queries read alone. */
function partitionsOf({ queries, sources }: Facts): number {
  const read = new Set([...queries.values()].flatMap(({ tables }) => tables.map(({ id }) => id)));
  const files = [...sources.values()]
    .filter(({ id }) => read.has(id))
    .flatMap(({ files }) => files);
  return exchangePartitions(files.reduce((sum, { file }) => sum + file.bytes, 0));
}
