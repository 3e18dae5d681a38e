/** Runs the stages of a distributed query on tables in memory: what workers do, without workers. */
import type { DuckDBConnection } from '@duckdb/node-api';
import { serialiseQuery } from '../../../../coordinator/analyse/relational.js';
import { decodeQuery } from '../../../../coordinator/planner/relational/decode.js';
import { distribute } from '../../../../coordinator/planner/relational/distribute.js';
import type {
  ExchangeInput,
  Fragment,
  PhysicalStage,
  StageSize,
} from '../../../../coordinator/planner/relational/physical.js';
import type { Query } from '../../../../coordinator/planner/relational/relation.js';
import {
  renderQuery,
  renderSql,
  type Leaf,
} from '../../../../coordinator/planner/relational/render.js';
import { boundsSql, divisionOf } from '../../../../coordinator/planner/relational/stage-program.js';
import { partitionColumn, partitionNumber } from '../../../../worker/shuffle/divide.js';
import { quoteName } from '../../../../shared/sql-text.js';
import type { Oracle } from './tables.js';

export interface SimulationOptions {
  /** Of each source, none for one without files; also of each partition's producers where they may be dealt out. */
  readonly splits: number;
  readonly partitions: number;
  readonly broadcastBytes: number;
  readonly inlineBytes: number;
  /** Absent: one chunk sorts, whatever there is. */
  readonly sortBytes?: number;
  readonly rows: (source: string) => number;
}

export interface Simulated {
  /** One statement whose rows are the query's. */
  readonly sql: string;
  readonly stages: readonly PhysicalStage[];
  readonly fragments: readonly Fragment[];
  /** What each chunk of a fragment reads, leaf by leaf, as text for FROM. */
  readonly chunksOf: (fragment: Fragment) => readonly ChunkReads[];
}

interface ChunkReads {
  readonly [leaf: string]: string;
}

const rowBytes = 100;
const stagesMax = 60;

/** The same from a query's text. */
export async function simulateSql(
  oracle: Oracle,
  sql: string,
  options: SimulationOptions,
): Promise<Simulated> {
  return simulate(oracle.connection, await decodeSql(oracle, sql), options);
}

export async function decodeSql({ inputs }: Oracle, sql: string): Promise<Query> {
  const plan = await serialiseQuery(inputs, sql);
  if (!plan.ok) throw new Error(`${plan.type}: ${plan.message}`);
  const names = plan.columns.map(({ name }) => name);
  const decoded = decodeQuery(plan.json, names, plan.isVolatile);
  if (!decoded.ok) throw new Error(`unsupported: ${decoded.what}`);
  return decoded.query;
}

export async function simulate(
  connection: DuckDBConnection,
  query: Query,
  options: SimulationOptions,
): Promise<Simulated> {
  const run = new Simulation(connection, options);
  const done: PhysicalStage[] = [];
  for (;;) {
    const sources = new Proxy(new Map<string, { bytes: number; rows: number }>(), {
      get: (map, name) =>
        name === 'get'
          ? (source: string) => ({
              rows: options.rows(source),
              bytes: options.rows(source) * rowBytes,
            })
          : Reflect.get(map, name),
    });
    const { broadcastBytes, inlineBytes, sortBytes = Infinity } = options;
    const found = distribute(query, {
      sources,
      results: run.sizes,
      broadcastBytes,
      inlineBytes,
      sortBytes,
    });
    if (found.complete) {
      const tables = [];
      for (const fragment of found.fragments) {
        for (const reads of run.chunksOf(fragment)) {
          const { result } = found;
          tables.push(renderQuery({ result, relation: fragment.relation }, leafSql(reads)));
        }
      }
      const sql =
        tables.length === 1 ? tables[0]! : tables.map((text) => `(${text})`).join(' union all ');
      return {
        sql,
        stages: done,
        fragments: found.fragments,
        chunksOf: (fragment) => run.chunksOf(fragment),
      };
    }
    if (found.stages.length === 0) throw new Error('nothing can be done, yet it is not complete');
    for (const stage of found.stages) {
      if (run.sizes.has(stage.key)) throw new Error(`${stage.key} is asked for again`);
      await run.stage(stage);
      done.push(stage);
    }
    if (done.length > stagesMax) throw new Error('there is no end to the stages');
  }
}

const leafSql =
  (reads: ChunkReads) =>
  (leaf: Leaf): string => {
    const text = leaf.kind === 'scan' ? reads[leaf.input] : undefined;
    if (text === undefined) throw new Error(`a chunk does not read ${JSON.stringify(leaf)}`);
    return text;
  };

class Simulation {
  readonly sizes = new Map<string, StageSize>();
  private readonly chunks = new Map<string, string[]>();
  /** Of stages that are divided by range. */
  private readonly ranges = new Map<string, number>();

  constructor(
    private readonly connection: DuckDBConnection,
    private readonly options: SimulationOptions,
  ) {}

  async stage(stage: PhysicalStage): Promise<void> {
    const { key, fragment, columns } = stage;
    if (stage.bounds) return this.bounds(stage, stage.bounds);
    const division = divisionOf(stage.divide, this.options.partitions);
    const tables: string[] = [];
    let rows = 0;
    for (const reads of this.chunksOf(fragment)) {
      const table = `chunk_${key}_${tables.length}`;
      tables.push(table);
      const partition = division ? partitionNumber(division) : '0';
      const names = columns.map(({ id }) => quoteName(id));
      await this.connection.run(
        `create or replace table ${table} as select ${[...names, `${partition} as ${partitionColumn}`].join(', ')}
         from (${renderSql(fragment.relation, leafSql(reads))})`,
      );
      const counted = await this.connection.runAndReadAll(`select count(*) from ${table}`);
      rows += Number(counted.getRows()[0]![0]);
    }
    if (tables.length === 0) tables.push(await this.none(stage));
    this.chunks.set(key, tables);
    if (division?.kind === 'range') this.ranges.set(key, division.bounds.length + 1);
    this.sizes.set(key, { rows, bytes: rows * rowBytes });
  }

  /** What there is to read of a stage without chunks. */
  private async none({ key, columns }: PhysicalStage): Promise<string> {
    const typed = columns.map(({ id, type }) => `cast(null as ${type}) as ${quoteName(id)}`);
    const list = [...typed, `0 as ${partitionColumn}`].join(', ');
    await this.connection.run(`create or replace table none_${key} as select ${list} where false`);
    return `none_${key}`;
  }

  private async bounds(
    { key, fragment }: PhysicalStage,
    wanted: NonNullable<PhysicalStage['bounds']>,
  ): Promise<void> {
    const [reads] = this.chunksOf(fragment);
    const sql = boundsSql(renderSql(fragment.relation, leafSql(reads!)), wanted);
    const found = await this.connection.runAndReadAll(sql);
    const bounds = found.getRows().map(([bound]) => String(bound));
    this.sizes.set(key, { rows: bounds.length, bytes: 0, bounds });
  }

  chunksOf({ driving, sides }: Fragment): ChunkReads[] {
    const always: Record<string, string> = {};
    for (const side of sides) {
      always[side.leaf] = side.kind === 'source' ? quoteName(side.source) : this.all(side);
    }
    return this.driven(driving).map((reads) => ({ ...always, ...reads }));
  }

  private driven(driving: Fragment['driving']): ChunkReads[] {
    const { splits, partitions } = this.options;
    switch (driving.kind) {
      case 'once':
        return [{}];
      case 'source':
        return Array.from({ length: splits }, (_, split) => ({
          [driving.leaf]: `(select * from ${quoteName(driving.source)} where rowid % ${splits} = ${split})`,
        }));
      case 'chunks':
        return this.tables(driving).map((table) => ({ [driving.leaf]: table }));
      case 'partitions':
        return Array.from(
          { length: this.ranges.get(driving.inputs[0]!.stages[0]!) ?? partitions },
          (_, partition) => partition,
        ).flatMap((partition) => {
          const whole = Object.fromEntries(
            driving.inputs.map((input) => [input.leaf, this.part(this.tables(input), partition)]),
          );
          const divided = driving.inputs.find(({ divisible }) => divisible);
          if (!divided || partition % 2 === 0) return [whole];
          return this.tables(divided).map((table) => ({
            ...whole,
            [divided.leaf]: this.part([table], partition),
          }));
        });
    }
  }

  private tables({ stages }: ExchangeInput): string[] {
    return stages.flatMap((key) => {
      const tables = this.chunks.get(key);
      if (!tables) throw new Error(`${key} is read before it is there`);
      return tables;
    });
  }

  private all(input: ExchangeInput): string {
    return `(${this.tables(input)
      .map((table) => `select * from ${table}`)
      .join(' union all ')})`;
  }

  private part(tables: readonly string[], partition: number): string {
    return `(${tables
      .map((table) => `select * from ${table} where ${partitionColumn} = ${partition}`)
      .join(' union all ')})`;
  }
}
