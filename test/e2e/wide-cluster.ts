/**
 * One coordinator with worker processes for many small jobs, and DuckDB on the same files to say what each should
 * give. Never decides which of two answers is right.
 */
import { readFileSync } from 'node:fs';
import { DuckDBInstance, type DuckDBConnection, type DuckDBResultReader } from '@duckdb/node-api';
import { expect } from 'vitest';
import {
  type Client,
  connect,
  type JobSpecInput,
  type JobView,
  prepareJob,
} from '../../client/index.js';
import type { Manifest } from '../../shared/manifest.js';
import { Workplace } from './workplace.js';

export type StepInput = NonNullable<JobSpecInput['steps']>[number];
export type OutputInput = JobSpecInput['outputs'][number];
export type SourceInput = JobSpecInput['sources'][string];

/** Names, types and rows of a table; floating point to nine digits, for sums depend on their order. */
export interface Answer {
  readonly columns: readonly string[];
  readonly rows: readonly string[];
}

export interface Layout {
  readonly files: number;
  /** At least 2048, which is what DuckDB writes at once. */
  readonly rowGroupRows?: number;
  /** Below `data`; default the source's name. */
  readonly folder?: string;
}

export class WideCluster {
  private readonly sources: Record<string, SourceInput> = {};
  private jobs = 0;

  private constructor(
    readonly place: Workplace,
    readonly client: Client,
    private readonly instance: DuckDBInstance,
    private readonly connection: DuckDBConnection,
  ) {}

  static async open(workers = 2): Promise<WideCluster> {
    const place = new Workplace();
    const server = place.start([
      ...['dev', '--workers', String(workers), '--listen', '127.0.0.1:0'],
    ]);
    const address = (await server.says(/ready on (\S+:\d+)/))[1]!;
    return WideCluster.at(place, address);
  }

  /** Of whoever serves at that address. */
  static async at(place: Workplace, address: string): Promise<WideCluster> {
    const instance = await DuckDBInstance.create(':memory:', { threads: '2' });
    const connection = await instance.connect();
    await connection.run(`set TimeZone = 'UTC'`);
    return new WideCluster(place, connect(address), instance, connection);
  }

  /** A source of so many files, its rows dealt out in turn to them; a view of its name for the oracle. */
  async source(name: string, rowsSql: string, layout: Layout): Promise<void> {
    const { files, rowGroupRows = 2048, folder = name } = layout;
    await this.connection.run(
      `create or replace temp table made as select *, row_number() over () as made_row from (${rowsSql})`,
    );
    for (let file = 0; file < files; file += 1) {
      const path = this.place.write(`data/${folder}/${file}.parquet`, '');
      await this.connection.run(
        `copy (select * exclude made_row from made where made_row % ${files} = ${file} order by made_row)
         to '${path}' (format parquet, row_group_size ${rowGroupRows})`,
      );
    }
    await this.view(name, { parquet: `data/${folder}/*.parquet` });
  }

  /** A source of files that are there. */
  async view(name: string, source: SourceInput): Promise<void> {
    const { parquet, unionByName = false } = source;
    const paths = [parquet].flat().map((path) => `'${this.place.path(path)}'`);
    await this.connection.run(
      `create or replace view ${name} as
       from read_parquet([${paths.join(', ')}], hive_partitioning = true, union_by_name = ${unionByName})`,
    );
    this.sources[name] = source;
  }

  run(statement: string): Promise<DuckDBResultReader> {
    return this.connection.runAndReadAll(statement);
  }

  /** A job over all sources. Where it says no outputs, the last step goes to `out/<name>`. */
  spec(
    steps: readonly StepInput[],
    change: Partial<JobSpecInput> = {},
  ): { spec: JobSpecInput; output: string } {
    const name = `wide-${(this.jobs += 1)}`;
    const output = `out/${name}`;
    const spec: JobSpecInput = {
      apiVersion: 'windrow/v1',
      kind: 'Job',
      metadata: { name },
      sources: this.sources,
      steps: [...steps],
      outputs: [{ from: steps.at(-1)!.id, parquet: output }],
      ...change,
    };
    return { spec, output };
  }

  async submit(spec: JobSpecInput): Promise<string> {
    const loaded = await prepareJob(spec, this.place.directory);
    return (await this.client.submit(loaded)).jobId;
  }

  /** Runs a job over all sources to its end; each id that is told goes to `<output>/<id>`. */
  async outputs(steps: readonly StepInput[], ids: readonly string[]): Promise<string> {
    const { spec, output } = this.spec(steps);
    const outputs = ids.map((id) => ({ from: id, parquet: `${output}/${id}` }));
    await this.finish({ ...spec, outputs });
    return output;
  }

  /** A job over all sources, to its end. */
  async job(
    steps: readonly StepInput[],
    change: Partial<JobSpecInput> = {},
  ): Promise<{ view: JobView; output: string }> {
    const { spec, output } = this.spec(steps, change);
    return { view: await this.finish(spec), output };
  }

  private async finish(spec: JobSpecInput): Promise<JobView> {
    const jobId = await this.submit(spec);
    const view = await this.client.wait(jobId, { timeoutMs: 60_000 });
    expect(view.failure, JSON.stringify(spec.steps)).toBeUndefined();
    expect(view.state).toBe('succeeded');
    return view;
  }

  manifest(output: string): Manifest {
    const path = this.place.path(output, '_windrow', 'manifest.json');
    return JSON.parse(readFileSync(path, 'utf8')) as Manifest;
  }

  /** What was published, in the order of the manifest. */
  async published(output: string): Promise<Answer> {
    const files = this.manifest(output).files.map(
      ({ name }) => `'${this.place.path(output, name)}'`,
    );
    const glob = await this.answer(
      `select count(*) as n from glob('${this.place.path(output)}/**/*.parquet')`,
    );
    expect(glob.rows, 'files that no manifest names').toEqual([`'${files.length}'`]);
    return this.answer(`from read_parquet([${files.join(', ')}], hive_partitioning = true)`);
  }

  async answer(sql: string): Promise<Answer> {
    const result = await this.connection.runAndReadAll(sql);
    const names = result.columnNames();
    const types = result
      .columnTypes()
      .map((type) => String(type).replace('HUGEINT', 'DECIMAL(38,0)'));
    return {
      columns: names.map((name, k) => `${name} ${types[k]!}`),
      rows: result.getRows().map((row) => row.map(cellText).join(' | ')),
    };
  }

  /** The job's only output has the rows of the statement, in any order. */
  async expectRows(steps: readonly StepInput[], oracle: string): Promise<JobView> {
    const { view, output } = await this.job(steps);
    const expected = await this.answer(oracle);
    const found = await this.published(output);
    expect(unordered(found), `${JSON.stringify(steps)}\n${oracle}`).toEqual(unordered(expected));
    expect(view.rows.out).toBe(expected.rows.length);
    return view;
  }

  async close(): Promise<void> {
    this.client.close();
    this.connection.closeSync();
    this.instance.closeSync();
    await this.place.close();
  }
}

export function unordered({ columns, rows }: Answer): Answer {
  return { columns, rows: [...rows].sort() };
}

/** Which of two equal zeros comes out is anybody's choice. */
function cellText(value: unknown): string {
  if (value === null) return 'NULL';
  if (typeof value !== 'number') return `'${String(value)}'`;
  return Number.isFinite(value) ? `'${Number(value.toPrecision(9)) + 0}'` : `'${value}'`;
}
