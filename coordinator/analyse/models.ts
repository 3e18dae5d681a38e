/**
 * Binds an `infer` step: the model's signature against the columns, before any work starts. Never:
 * loads the model; what only ONNX Runtime can tell is found by the worker.
 */
import { fail, type FailureLocation } from '../../shared/failure.js';
import type { StepSpec } from '../../shared/job-spec.js';
import {
  isTensorType,
  type OnnxSignature,
  type TensorSignature,
} from '../../shared/onnx-signature.js';
import type {
  ColumnDef,
  Device,
  PlanNote,
  TensorInput,
  TensorOutput,
  TensorType,
} from '../../shared/plan.js';
import { nameHint } from '../../shared/spec-problems.js';
import { blobRef, type BoundStep, type InferOperator, type JobFile } from '../planner/facts.js';
import { findColumn, columnsByName } from './expressions.js';
import type { Relation } from './bind.js';

type InferStepSpec = Extract<StepSpec, { infer: unknown }>;

export interface BoundModel {
  readonly step: BoundStep;
  readonly notes: readonly PlanNote[];
}

/** @throws WindrowError E_MODEL_INPUT, E_MODEL_OUTPUT, E_MODEL_EXTERNAL, E_UNKNOWN_COLUMN */
export function bindInfer(
  step: InferStepSpec,
  relation: Relation,
  model: { file: JobFile; signature: OnnxSignature; device: Device },
): BoundModel {
  const { infer, id } = step;
  const at = { step: id };
  const { signature } = model;
  const notes: PlanNote[] = [];
  const inputs = bindInputs(infer.inputs, signature, relation, at);
  const outputs = bindOutputs(infer.outputs, signature, relation, at, notes);
  const columns = [...relation.columns, ...outputs.map((output) => output.column)];
  const operator: InferOperator = {
    kind: 'infer',
    step: {
      kind: 'infer',
      id,
      model: blobRef(model.file),
      externalData: externalData(signature, model.file, at).map(blobRef),
      inputs,
      outputs,
      device: model.device,
      batchSize: infer.batchSize,
      onNull: infer.onNull,
      onError: infer.onError,
    },
    columns,
    reads: [...new Set(inputs.flatMap((input) => input.columns.map((column) => column.name)))],
    deterministic: true,
  };
  return { step: { id, from: relation.id, operators: [operator], columns }, notes };
}

function externalData(signature: OnnxSignature, file: JobFile, at: FailureLocation): JobFile[] {
  return signature.externalFiles.map(({ name, bytes }) => {
    if (/[\\/]|^\.\.?$/.test(name)) {
      fail('invalidSpec', 'E_MODEL_EXTERNAL', `model's external data '${name}' lies elsewhere`, {
        at,
        hint: 'save the external data beside the model, under a plain file name',
      });
    }
    const found = file.external.find((external) => external.name === name);
    if (!found) {
      return fail('invalidSpec', 'E_MODEL_EXTERNAL', `model's external data '${name}' is missing`, {
        at,
        hint: 'put it beside the model',
      });
    }
    if (found.bytes < bytes) {
      const message = `model's external data '${name}' has ${found.bytes} bytes, its tensors end at ${bytes}`;
      fail('invalidSpec', 'E_MODEL_EXTERNAL', message, {
        at,
        hint: 'save the model and its external data again, both from one export',
      });
    }
    return found;
  });
}

function bindInputs(
  wanted: InferStepSpec['infer']['inputs'],
  signature: OnnxSignature,
  relation: Relation,
  at: FailureLocation,
): TensorInput[] {
  const names = signature.inputs.map((input) => input.name);
  for (const name of Object.keys(wanted)) {
    if (names.includes(name)) continue;
    badInput(`model has no input '${name}'`, at, nameHint(name, names));
  }
  return signature.inputs.map((input) => {
    const from = Object.hasOwn(wanted, input.name) ? wanted[input.name] : undefined;
    if (from === undefined) {
      return badInput(`model input '${input.name}' is fed by nothing`, at, 'name its columns');
    }
    const columns = [from].flat().map((name) => findColumn(name, relation.columns, at));
    return bindInput(input, columns, at);
  });
}

function bindInput(
  input: TensorSignature,
  columns: readonly ColumnDef[],
  at: FailureLocation,
): TensorInput {
  const { name, type } = input;
  if (!isTensorType(type)) {
    return badInput(`model input '${name}' is ${type}`, at, 'export it with a plain tensor type');
  }
  const lists = columns.filter((column) => listOf(column.type) !== undefined);
  for (const column of columns) checkElement(column, type, input, at);
  if (lists.length > 0 && columns.length > 1) {
    badInput(
      `model input '${name}' mixes list column '${lists[0]!.name}' with others`,
      at,
      'feed it one list column, or scalar columns alone',
    );
  }
  const dims = input.dims ?? [null, null];
  const list = lists.length === 1;
  checkShape(input, dims, columns, list, at);
  return { tensor: name, type, dims, columns, list };
}

function checkShape(
  input: TensorSignature,
  dims: readonly (number | null)[],
  columns: readonly ColumnDef[],
  list: boolean,
  at: FailureLocation,
): void {
  const shape = `${input.name} ${shapeText(dims)}`;
  const inner = dims.slice(1);
  const known = inner.reduce<number>((product, dim) => product * (dim ?? 1), 1);
  const free = inner.filter((dim) => dim === null).length;
  if (dims.length === 0) badInput(`model input ${shape} has no batch dimension`, at);
  if (list) {
    const { name, type } = columns[0]!;
    const widths = listOf(type)?.widths ?? [];
    if (dims.length === 1) {
      badInput(`model input ${shape} takes one value a row, not a list`, at, 'feed it a scalar');
    }
    if (widths.length > 1) {
      const fits =
        widths.length === inner.length &&
        widths.every((width, at) => width === null || (inner[at] ?? width) === width);
      if (fits) return;
      const hint = 'nest it as deep as the model wants, or make one list of it with flatten(...)';
      badInput(`model input ${shape} does not take '${name}', which is ${type}`, at, hint);
    }
    const width = widths[0] ?? undefined;
    if (free > 1) {
      badInput(`model input ${shape} leaves ${free} sizes open`, at, 'export it with one at most');
    }
    const fits = width === undefined || (free === 0 ? width === known : width % known === 0);
    if (!fits) {
      const message = `model input ${shape} takes ${known} values a row; '${name}' has ${width}`;
      badInput(message, at, 'feed it a column of that width');
    }
    return;
  }
  if (dims.length > 2) {
    const hint = 'make one with array_value(...) or list_value(...) in a select step';
    badInput(`model input ${shape} needs a list column`, at, hint);
  }
  const width = dims.length === 1 ? 1 : inner[0]!;
  if (width !== null && width !== columns.length) {
    const message = `model input ${shape} takes ${width} columns, ${columns.length} given`;
    badInput(message, at, 'name them in the order of training');
  }
}

/** Numbers and booleans are cast to the tensor's type; text only fills text. */
function checkElement(
  column: ColumnDef,
  type: TensorType,
  input: TensorSignature,
  at: FailureLocation,
): void {
  const element = listOf(column.type)?.element ?? column.type;
  const numeric =
    /^(U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|FLOAT|DOUBLE|DECIMAL\(\d+,\d+\)|BOOLEAN)$/.test(
      element,
    );
  const fits = type === 'string' ? element === 'VARCHAR' : numeric;
  if (fits) return;
  const message = `column '${column.name}' is ${column.type}; model input '${input.name}' is ${type}`;
  badInput(
    message,
    { ...at, column: column.name },
    type === 'string' ? 'cast it with ::varchar' : 'make a number of it in a select step',
  );
}

interface ListType {
  readonly element: string;
  /** Outermost first; null for a LIST. */
  readonly widths: readonly (number | null)[];
}

export function listOf(type: string): ListType | undefined {
  const match = /^(.*?)((?:\[\d*\])+)$/s.exec(type);
  if (!match) return undefined;
  const sizes = [...match[2]!.matchAll(/\[(\d*)\]/g)].map(([, size]) => size!);
  const widths = sizes.reverse().map((size) => (size === '' ? null : Number(size)));
  return { element: match[1]!, widths };
}

function bindOutputs(
  wanted: InferStepSpec['infer']['outputs'],
  signature: OnnxSignature,
  relation: Relation,
  at: FailureLocation,
  notes: PlanNote[],
): TensorOutput[] {
  const taken = columnsByName(relation.columns);
  return Object.entries(wanted).map(([tensor, column]) => {
    const output = signature.outputs.find((candidate) => candidate.name === tensor);
    if (!output) {
      const names = signature.outputs.map((candidate) => candidate.name);
      return badOutput(`model has no output '${tensor}'`, at, nameHint(tensor, names));
    }
    const clash = taken.get(column.toLowerCase());
    if (clash) {
      const message = `column '${clash.name}' is there already`;
      badOutput(message, { ...at, column }, 'choose another name, or drop the column before');
    }
    taken.set(column.toLowerCase(), { name: column, type: '' });
    if (!isTensorType(output.type)) {
      return badOutput(`model output '${tensor}' is ${output.type}`, at, 'name another output');
    }
    if (output.dims?.length === 0) {
      badOutput(`model output '${tensor}' has no batch dimension`, at, 'name another output');
    }
    if (!output.dims) {
      const text = `the model does not say what shape '${tensor}' has: column '${column}' is a list`;
      notes.push({ kind: 'warning', ...(at.step ? { step: at.step } : {}), text });
    }
    const dims = output.dims ?? [null, null];
    const scalar = dims.slice(1).every((dim) => dim === 1);
    const element = columnTypes[output.type];
    // A list for each dimension after the first; flat where their number is not known.
    const type = scalar ? element : `${element}${'[]'.repeat(output.dims ? dims.length - 1 : 1)}`;
    return { tensor, type: output.type, dims, column: { name: column, type } };
  });
}

const columnTypes: Readonly<Record<TensorType, string>> = {
  float16: 'FLOAT',
  float32: 'FLOAT',
  float64: 'DOUBLE',
  int8: 'TINYINT',
  int16: 'SMALLINT',
  int32: 'INTEGER',
  int64: 'BIGINT',
  uint8: 'UTINYINT',
  uint16: 'USMALLINT',
  uint32: 'UINTEGER',
  uint64: 'UBIGINT',
  bool: 'BOOLEAN',
  string: 'VARCHAR',
};

function shapeText(dims: readonly (number | null)[]): string {
  return `[${dims.map((dim, index) => dim ?? (index === 0 ? 'N' : '?')).join(', ')}]`;
}

function badInput(message: string, at: FailureLocation, hint?: string): never {
  fail('invalidSpec', 'E_MODEL_INPUT', message, { at, ...(hint ? { hint } : {}) });
}

function badOutput(message: string, at: FailureLocation, hint?: string): never {
  fail('invalidSpec', 'E_MODEL_OUTPUT', message, { at, ...(hint ? { hint } : {}) });
}
