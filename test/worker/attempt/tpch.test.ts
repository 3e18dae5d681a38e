/** All of TPC-H through attempts as workers run them, files and exchanges included. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { queryName, queryNumbers, queryText } from '../../../bench/tpch/queries.js';
import { preparation, rowsSql, sizeOf, tables } from '../../../bench/tpch/tables.js';
import { serialiseQuery } from '../../../coordinator/analyse/relational.js';
import { decodeQuery } from '../../../coordinator/planner/relational/decode.js';
import { distribute } from '../../../coordinator/planner/relational/distribute.js';
import type {
  ExchangeInput,
  Fragment,
  StageSize,
} from '../../../coordinator/planner/relational/physical.js';
import type { Query } from '../../../coordinator/planner/relational/relation.js';
import {
  resultProgram,
  stageProgram,
} from '../../../coordinator/planner/relational/stage-program.js';
import { sha256Hex } from '../../../shared/chunk-identity.js';
import { sliceOf } from '../../../shared/divided-file.js';
import type { ChunkRecord, StageProgram } from '../../../shared/plan.js';
import type { ChunkWork, LeafRead, SourceWork } from '../../../worker/attempt/protocol.js';
import type { ServedFile } from '../../../worker/shuffle/fetch.js';
import { openOracle, resultOf, type Oracle } from '../../coordinator/planner/relational/tables.js';
import { OtherMachine } from '../shuffle/machines.js';
import { Place } from './fixture.js';
import { quoteName } from '../../../shared/sql-text.js';

const scale = 0.01;
const partitions = 3;
let oracle: Oracle;
let place: Place;
/** Has the same chunks, by names that mean nothing here. */
let machine: OtherMachine;
const sources = new Map<string, { works: SourceWork[]; size: StageSize }>();

beforeAll(async () => {
  place = new Place();
  machine = await OtherMachine.start(place.chunks);
  const statements = tables.map(
    (table) => `create table ${table} as ${rowsSql(table, scale, 0, sizeOf(table, scale).rows)}`,
  );
  const rows = Object.fromEntries(tables.map((table) => [table, sizeOf(table, 10).rows]));
  oracle = await openOracle([...preparation(), ...statements], rows);
  mkdirSync(join(place.root, 'data'));
  for (const table of tables) {
    const path = join(place.root, 'data', `${table}.parquet`);
    await oracle.connection.run(`copy ${table} to '${path}' (row_group_size 24576)`);
    const works = (await place.worksOf(path)).map(({ source }) => source!);
    sources.set(table, { works, size: { rows: works.at(-1)!.rowEnd, bytes: works[0]!.bytes } });
  }
}, 120_000);
afterAll(() => {
  oracle.close();
  machine.close();
  place.close();
});

type Reads = Record<string, Partial<LeafRead>>;

class DistributedRun {
  private readonly records = new Map<string, ChunkRecord[]>();
  private readonly sizes = new Map<string, StageSize>();
  stages = 0;

  constructor(
    private readonly limits: { broadcastBytes: number; inlineBytes: number },
    private readonly elsewhere: boolean,
  ) {}

  /** One statement over the files of the result. */
  async of(query: Query): Promise<string> {
    for (;;) {
      const sizes = new Map([...sources].map(([name, { size }]) => [name, size]));
      const found = distribute(query, {
        sources: sizes,
        results: this.sizes,
        sortBytes: Infinity,
        ...this.limits,
      });
      if (found.complete) {
        const files: string[] = [];
        for (const fragment of found.fragments) {
          const records = await this.run(fragment, resultProgram(found.result, fragment));
          files.push(...records.flatMap((record) => record.files.map(({ path }) => `'${path}'`)));
        }
        const cells = query.result.map(
          ({ name, type }) => `cast(${quoteName(name)} as ${type}) as ${quoteName(name)}`,
        );
        return `select ${cells.join(', ')} from read_parquet([${files.join(', ')}])`;
      }
      for (const stage of found.stages) {
        const { key, fragment } = stage;
        const records = await this.run(fragment, stageProgram(stage, partitions));
        const files = records.flatMap((record) => record.files);
        this.records.set(key, this.elsewhere ? records.map(served) : records);
        this.sizes.set(key, {
          rows: files.reduce((sum, { rows }) => sum + rows, 0),
          bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
        });
        this.stages += 1;
      }
    }
  }

  private async run(fragment: Fragment, program: StageProgram): Promise<ChunkRecord[]> {
    const { sql, leaves } = program.query!;
    const works = this.chunksOf(fragment).map((reads, chunk): ChunkWork => {
      const all = leaves.map(({ leaf }) => {
        return { leaf, sources: [], files: [], slices: [], ...reads[leaf] };
      });
      const identity = sha256Hex(`${sql} ${chunk}`);
      return { chunk, identity, inputs: [], poisonRows: [], reads: all };
    });
    const { failure, records } = await place.run(program, works);
    if (failure) throw new Error(`${JSON.stringify(failure)} in ${sql}`);
    return records;
  }

  private chunksOf({ driving, sides }: Fragment): Reads[] {
    const always: Reads = {};
    for (const side of sides) {
      always[side.leaf] =
        side.kind === 'source'
          ? { sources: sources.get(side.source)!.works }
          : { files: this.recordsOf(side).flatMap(({ files }) => files) };
    }
    return this.driven(driving).map((reads) => ({ ...always, ...reads }));
  }

  private driven(driving: Fragment['driving']): Reads[] {
    switch (driving.kind) {
      case 'once':
        return [{}];
      case 'source':
        return sources
          .get(driving.source)!
          .works.map((source) => ({ [driving.leaf]: { sources: [source] } }));
      case 'chunks':
        return this.recordsOf(driving).map(({ files }) => ({ [driving.leaf]: { files } }));
      case 'partitions':
        return Array.from({ length: partitions }, (_, partition) => partition).flatMap(
          (partition): Reads[] => {
            const whole = Object.fromEntries(
              driving.inputs.map((input) => [
                input.leaf,
                partsOf(this.recordsOf(input), partition),
              ]),
            );
            const dealt = driving.inputs.find(({ divisible }) => divisible);
            if (!dealt || partition % 2 === 0) return [whole];
            return this.recordsOf(dealt).map((record) => ({
              ...whole,
              [dealt.leaf]: partsOf([record], partition),
            }));
          },
        );
    }
  }

  private recordsOf({ stages }: ExchangeInput): ChunkRecord[] {
    return stages.flatMap((key) => this.records.get(key)!);
  }
}

function served(record: ChunkRecord): ChunkRecord {
  const files = record.files.map((file) => {
    return { ...file, path: machine.nameOf(file.path), servedBy: machine.address };
  });
  return { ...record, files };
}

function partsOf(records: readonly ChunkRecord[], partition: number): Partial<LeafRead> {
  const files = records.flatMap((record) => record.files);
  return {
    slices: files.flatMap((file: ServedFile) => {
      const slice = sliceOf(file, partition, partition + 1);
      return slice ? [{ ...slice, ...(file.servedBy ? { servedBy: file.servedBy } : {}) }] : [];
    }),
  };
}

const ways = {
  'all divided by keys': { broadcastBytes: -1, inlineBytes: -1 },
  'small sides read whole': { broadcastBytes: 300_000, inlineBytes: 10_000 },
  'all from another machine': { broadcastBytes: 300_000, inlineBytes: 10_000 },
};

describe.each(Object.entries(ways))('%s', (way, limits) => {
  test.each(queryNumbers.map((number) => [queryName(number), number] as const))(
    '%s has its rows, in their order',
    async (_name, number) => {
      const sql = queryText(number, scale);
      const plan = await serialiseQuery(oracle.inputs, sql);
      if (!plan.ok) throw new Error(`${plan.type}: ${plan.message}`);
      const names = plan.columns.map(({ name }) => name);
      const decoded = decodeQuery(plan.json, names, plan.isVolatile);
      if (!decoded.ok) throw new Error(`unsupported: ${decoded.what}`);
      const run = new DistributedRun(limits, way === 'all from another machine');
      const found = await run.of(decoded.query);
      expect(run.stages).toBeGreaterThan(0);
      expect(await resultOf(oracle.connection, found)).toEqual(
        await resultOf(oracle.connection, sql),
      );
    },
    60_000,
  );
});
