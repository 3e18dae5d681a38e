/**
 * A model as a vectorised scalar function inside a DuckDB statement: columns in, predictions out,
 * at most 2,048 rows a call. Never: awaits inside the callback, or lets a row vanish: each one is
 * run, becomes NULL where the step says so, or is reported dead.
 */
import {
  ARRAY,
  BIGINT,
  BOOLEAN,
  DOUBLE,
  DuckDBScalarFunction,
  DuckDBVector,
  LIST,
  STRUCT,
} from '@duckdb/node-api';
import type { DuckDBDataChunk, DuckDBType } from '@duckdb/node-api';
import { WindrowError, toFailure } from '../../shared/failure.js';
import type { InferStep, TensorInput } from '../../shared/plan.js';
import { Batch } from './batch.js';
import type { BatchResult } from './batch.js';
import { ComputedReader } from './computed-columns.js';
import type { ComputedInput } from './computed-columns.js';
import type { DeviceChannel } from './device-thread.js';
import { elementTypes } from './host-tensor.js';
import { outputWriter } from './outputs.js';
import type { OutputWriter } from './outputs.js';
import { setRawMain, structChild, writeItems } from './raw-vectors.js';
import type { RawVector } from './raw-vectors.js';
import { inputReader, isPacked } from './tensors.js';
import { quoteName } from '../../shared/sql-text.js';

export interface PredictEnv {
  readonly modelPath: string;
  /** External data: name in the model -> local path. */
  readonly externalPaths: Readonly<Record<string, string>>;
  /** `[0] === 1` cancels. */
  readonly control: Int32Array;
  readonly step: InferStep;
  /** The caller appends each row's number (BIGINT) as last argument. */
  readonly rowIds: boolean;
  /** For each input of the step how it is computed; undefined, and absent, as its columns lie there. */
  readonly computed?: readonly (ComputedInput | undefined)[];
  /** A row to drop: its number, or -1 when `rowIds` is false. */
  onDead(row: number, code: string, message: string): void;
  /** A run of the model that went well, and how long it took, waiting for the device included. */
  onRun(rows: number, seconds: number): void;
  readonly intraOpThreads: number;
  /** To the process's device thread; without it this thread starts one of its own when needed. */
  readonly device?: DeviceChannel;
}

export interface PreparedPredict {
  /** Without the row number, which the caller appends. */
  readonly parameterTypes: readonly DuckDBType[];
  /** Cast and quoted column expressions, in order; without the row number. */
  readonly argumentSql: readonly string[];
  /** `scalar`: the one output itself. `struct`: `o0`, `o1`, … in the step's order, then `ok`. */
  readonly returnType: DuckDBType;
  readonly shape: 'scalar' | 'struct';
  /** The struct ends with `ok BOOLEAN`: false for rows to drop. */
  readonly hasOk: boolean;
  /** Fills `out` with the predictions of a chunk's rows. @throws WindrowError */
  main(chunk: DuckDBDataChunk, out: RawVector): void;
  /** Rows that came out of the model so far. */
  rowsInferred(): number;
  release(): void;
}

/**
 * Loads the model and fixes types; the session stays in this thread after `release`.
 * @throws WindrowError badData `E_MODEL_INVALID`, invalidSpec `E_MODEL_INPUT`, resource
 *   `E_DEVICE_MEMORY` or `E_DEVICE_LOST`
 */
export async function preparePredict(env: PredictEnv): Promise<PreparedPredict> {
  const { step } = env;
  const cancelled = (): boolean => Atomics.load(env.control, 0) === 1;
  let argumentCount = 0;
  const computedAt = (index: number): ComputedInput | undefined => env.computed?.[index];
  const readers = step.inputs.map((input, index) => {
    const computed = computedAt(index);
    const reader = computed
      ? new ComputedReader(input, computed, argumentCount)
      : inputReader(input, argumentCount);
    argumentCount += isPacked(input) ? 1 : input.columns.length;
    return reader;
  });
  const writers = step.outputs.map(outputWriter);
  const hasOk = step.onNull === 'deadLetter' || step.onError === 'deadLetter';
  const shape = writers.length === 1 && !hasOk ? 'scalar' : 'struct';
  // ONNX Runtime comes with it: threads without models do without.
  const { acquireModel } = await import('./models.js');
  const model = await acquireModel({ ...env, device: step.device }, env.device, cancelled).catch(
    (error: unknown) => failStep(step, error),
  );
  const rowArgument = env.rowIds ? argumentCount : undefined;
  const onDead = env.onDead.bind(env);
  const onRun = env.onRun.bind(env);
  const batch = new Batch(
    { step, model, readers, writers, rowArgument, cancelled, onDead, onRun },
    DuckDBVector.standardSize(),
  );

  return {
    parameterTypes: step.inputs.flatMap((input, index) =>
      computedAt(index) ? [LIST(DOUBLE)] : parameterTypes(input),
    ),
    argumentSql: step.inputs.flatMap((input, index) => {
      const computed = computedAt(index);
      return computed ? [`list_value(${computed.leaves.join(', ')})`] : argumentSql(input);
    }),
    returnType: shape === 'scalar' ? writers[0]!.type : structType(writers, hasOk),
    shape,
    hasOk,
    main(chunk, out) {
      try {
        writeResult(out, batch.process(chunk), writers, shape, hasOk);
      } catch (error) {
        // DuckDB hands on the text alone; who needs the failure itself catches it around this.
        failStep(step, error);
      }
    },
    rowsInferred: () => batch.inferred,
    release: () => model.release(),
  };
}

/** The function to register, with the two settings it cannot do without. */
export function predictFunction(
  name: string,
  prepared: PreparedPredict,
  rowIds: boolean,
): DuckDBScalarFunction {
  const scalar = new DuckDBScalarFunction();
  scalar.setName(name);
  for (const type of prepared.parameterTypes) scalar.addParameter(type);
  if (rowIds) scalar.addParameter(BIGINT);
  scalar.setReturnType(prepared.returnType);
  // Otherwise DuckDB may call it twice a row when a filter above reads its result …
  scalar.setVolatile();
  // … and answers NULL itself for a constant NULL argument, past the step's `onNull`.
  scalar.setSpecialHandling();
  setRawMain(scalar, (chunk, out) => prepared.main(chunk, out));
  return scalar;
}

function writeResult(
  vector: RawVector,
  result: BatchResult,
  writers: readonly OutputWriter[],
  shape: 'scalar' | 'struct',
  hasOk: boolean,
): void {
  if (shape === 'scalar') {
    writers[0]!.finish(vector, result.valid);
    return;
  }
  writers.forEach((writer, index) => writer.finish(structChild(vector, index), result.valid));
  if (hasOk) {
    const alive = result.alive ?? new Uint8Array(result.rows).fill(1);
    writeItems(structChild(vector, writers.length), alive, result.rows);
  }
}

function structType(writers: readonly OutputWriter[], hasOk: boolean): DuckDBType {
  const entries: Record<string, DuckDBType> = {};
  writers.forEach((writer, index) => (entries[`o${index}`] = writer.type));
  if (hasOk) entries['ok'] = BOOLEAN;
  return STRUCT(entries);
}

/** `[]` and `[n]` at the end of a DuckDB type, outermost last. */
function listSuffixes(type: string): readonly string[] {
  return /(\[\d*\])*$/.exec(type.trim())![0].match(/\[\d*\]/g) ?? [];
}

function failStep(step: InferStep, error: unknown): never {
  const found = toFailure(error);
  throw new WindrowError({ ...found, at: { step: step.id, ...found.at } }, error);
}

function parameterTypes(input: TensorInput): DuckDBType[] {
  const { duck } = elementTypes[input.type];
  if (isPacked(input)) return [LIST(duck)];
  return input.columns.map(({ type }) =>
    listSuffixes(type).reduce<DuckDBType>(
      (inner, suffix) =>
        suffix === '[]' ? LIST(inner) : ARRAY(inner, Number(suffix.slice(1, -1))),
      duck,
    ),
  );
}

function argumentSql(input: TensorInput): string[] {
  const { sql } = elementTypes[input.type];
  const columns = input.columns.map(({ name, type }) => {
    const quoted = quoteName(name);
    return `CAST(${quoted} AS ${sql}${listSuffixes(type).join('')})`;
  });
  return isPacked(input) ? [`list_value(${columns.join(', ')})`] : columns;
}
