/** A DuckDB connection, models on disk and a `predict` registered the way an attempt does it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import type { DuckDBConnection } from '@duckdb/node-api';
import { buildModel } from '../../../shared/onnx-model.js';
import type { ModelGraph } from '../../../shared/onnx-model.js';
import type { InferStep, TensorInput, TensorOutput, TensorType } from '../../../shared/plan.js';
import { predictFunction, preparePredict } from '../../../worker/inference/predict.js';
import type { PredictEnv, PreparedPredict } from '../../../worker/inference/predict.js';

export interface Dead {
  readonly row: number;
  readonly code: string;
  readonly message: string;
}

export class Workbench {
  readonly directory = mkdtempSync(join(tmpdir(), 'windrow-inference-'));
  readonly dead: Dead[] = [];
  readonly runs: { rows: number; seconds: number }[] = [];
  readonly control = new Int32Array(new SharedArrayBuffer(4));
  private readonly prepared: PreparedPredict[] = [];
  private models = 0;

  private constructor(
    private readonly instance: DuckDBInstance,
    readonly connection: DuckDBConnection,
  ) {}

  static async open(): Promise<Workbench> {
    const instance = await DuckDBInstance.create(':memory:', { threads: '1' });
    return new Workbench(instance, await instance.connect());
  }

  close(): void {
    for (const one of this.prepared) one.release();
    this.connection.closeSync();
    this.instance.closeSync();
    rmSync(this.directory, { recursive: true, force: true });
  }

  writeModel(model: Uint8Array | ModelGraph): string {
    const path = join(this.directory, `model-${this.models++}.onnx`);
    writeFileSync(path, model instanceof Uint8Array ? model : buildModel(model));
    return path;
  }

  /** Registers `predict` for a step; the SQL to call it with is the returned `call`. */
  async predict(
    modelPath: string,
    step: InferStep,
    more: Partial<PredictEnv> & { name?: string; rowSql?: string } = {},
  ): Promise<PreparedPredict & { call: string }> {
    const { name = 'predict', rowSql, ...env } = more;
    const prepared = await preparePredict({
      modelPath,
      externalPaths: {},
      control: this.control,
      step,
      rowIds: rowSql !== undefined,
      onDead: (row, code, message) => this.dead.push({ row, code, message }),
      onRun: (rows, seconds) => this.runs.push({ rows, seconds }),
      intraOpThreads: 1,
      ...env,
    });
    this.prepared.push(prepared);
    this.connection.registerScalarFunction(predictFunction(name, prepared, rowSql !== undefined));
    const args = [...prepared.argumentSql, ...(rowSql === undefined ? [] : [rowSql])];
    return { ...prepared, call: `${name}(${args.join(', ')})` };
  }

  async rows(sql: string): Promise<unknown[][]> {
    return (await this.connection.runAndReadAll(sql)).getRowsJS() as unknown[][];
  }

  /** The values of a query's one column. */
  async column(sql: string): Promise<unknown[]> {
    return (await this.rows(sql)).map((row) => row[0]);
  }
}

export function scalarInput(
  tensor: string,
  type: TensorType,
  dims: readonly (number | null)[],
  columns: Readonly<Record<string, string>>,
): TensorInput {
  const list = false;
  return {
    tensor,
    type,
    dims,
    columns: Object.entries(columns).map(([name, sql]) => ({ name, type: sql })),
    list,
  };
}

export function listInput(
  tensor: string,
  type: TensorType,
  dims: readonly (number | null)[],
  name: string,
  sql: string,
): TensorInput {
  return { tensor, type, dims, columns: [{ name, type: sql }], list: true };
}

export function output(
  tensor: string,
  type: TensorType,
  dims: readonly (number | null)[],
  columnType: string,
): TensorOutput {
  return { tensor, type, dims, column: { name: `${tensor}_out`, type: columnType } };
}

export function inferStep(
  inputs: readonly TensorInput[],
  outputs: readonly TensorOutput[],
  more: Partial<InferStep> = {},
): InferStep {
  return {
    kind: 'infer',
    id: 'scored',
    model: { digest: '0'.repeat(64), bytes: 1, name: 'model.onnx' },
    externalData: [],
    inputs,
    outputs,
    device: 'cpu',
    batchSize: 'auto',
    onNull: 'fail',
    onError: 'fail',
    ...more,
  };
}

/** `y = x`, of any type and shape. */
export function identityGraph(
  type: TensorType,
  dims: readonly (number | string | null)[],
): ModelGraph {
  return {
    inputs: [{ name: 'x', type, dims }],
    outputs: [{ name: 'y', type, dims }],
    nodes: [{ op: 'Identity', inputs: ['x'], outputs: ['y'] }],
  };
}

/** `y[n] = table[i[n]]`: refuses every row whose index is outside the table. */
export function lookupGraph(table: Float32Array, batch: number | string = 'N'): ModelGraph {
  return {
    inputs: [{ name: 'i', type: 'int64', dims: [batch] }],
    outputs: [{ name: 'y', type: 'float32', dims: [batch] }],
    nodes: [{ op: 'Gather', inputs: ['table', 'i'], outputs: ['y'] }],
    initializers: [{ name: 'table', type: 'float32', dims: [table.length], data: table }],
  };
}
