/** Two small tables, steps over them, and what their queries give on DuckDB. */
import type { Facts, WideStep } from '../../../coordinator/planner/facts.js';
import type { Failure } from '../../../shared/failure.js';
import { WindrowError } from '../../../shared/failure.js';
import type { JobSpecInput } from '../../../shared/job-spec.js';
import { Workbench, type WorkOptions } from './workbench.js';

export type StepInput = NonNullable<JobSpecInput['steps']>[number];
/** A step without its id, which is `x`. */
export type StepBody = Record<string, unknown>;

export const params = { minAmount: 10, ratio: 0.01, before: 2 };

export class WideBench {
  private constructor(private readonly bench: Workbench) {}

  static async open(): Promise<WideBench> {
    const bench = await Workbench.open();
    await bench.parquet(
      'orders.parquet',
      `select i::integer as id, case when i % 7 = 0 then null else i % 5 end as user_id,
         case when i % 11 = 0 then null else i * 1.5::double end as amount, 'u' || (i % 4) as name,
         date '2026-01-01' + (i % 5)::integer as day, [i, i + 1] as list, {'f': i} as s
       from range(60) t(i)`,
    );
    await bench.parquet(
      'users.parquet',
      `select case when i = 4 then null else i end as user_id, 'n' || i as name, i % 2 as grp,
         i::utinyint as level
       from range(8) t(i)`,
    );
    for (const id of ['orders', 'users']) {
      const path = bench.path(`${id}.parquet`);
      await bench.connection.run(`create table ${id} as from read_parquet('${path}')`);
    }
    return new WideBench(bench);
  }

  /** Facts of the steps, all but the last of which may be named; the last is step `x`. */
  facts(
    body: StepBody,
    before: readonly unknown[] = [],
    options: WorkOptions = {},
  ): Promise<Facts> {
    const source = (id: string) => ({ parquet: this.bench.path(`${id}.parquet`) });
    return this.bench.facts(
      {
        params,
        sources: { orders: source('orders'), users: source('users') },
        steps: [...before, { id: 'x', ...body }] as StepInput[],
        outputs: [{ from: 'x', parquet: this.bench.path('out') }],
      },
      options,
    );
  }

  async wide(
    body: StepBody,
    before: readonly unknown[] = [],
    options: WorkOptions = {},
  ): Promise<WideStep> {
    const step = (await this.facts(body, before, options)).wide.get('x');
    if (!step) throw new Error('the step is not wide');
    return step;
  }

  async refusal(body: StepBody, before: readonly unknown[] = []): Promise<Failure> {
    try {
      await this.facts(body, before);
    } catch (error) {
      if (error instanceof WindrowError) return error.failure;
      throw error;
    }
    throw new Error('the step was accepted');
  }

  /** Column names, types and rows of a query; the rows in an order of their own unless kept. */
  async answer(sql: string, keepOrder = false): Promise<{ columns: string[]; rows: string[] }> {
    const described = await this.bench.connection.runAndReadAll(`describe ${sql}`);
    const result = await this.bench.connection.runAndReadAll(sql);
    const rows = result.getRowsJson().map((row) => JSON.stringify(row));
    return {
      columns: described.getRows().map(([name, type]) => `${String(name)} ${String(type)}`),
      rows: keepOrder ? rows : rows.sort(),
    };
  }

  close(): void {
    this.bench.close();
  }
}
