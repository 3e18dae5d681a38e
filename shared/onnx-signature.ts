/**
 * What a model takes and gives, read from its protobuf bytes without loading it. Never: runs or
 * validates operators; ONNX Runtime does that when it loads the model.
 */
import { fail } from './failure.js';
import { ModelHeader } from './gen/onnx.js';
import type {
  AttributeHeader,
  GraphHeader,
  NodeHeader,
  TensorHeader,
  ValueInfoProto,
} from './gen/onnx.js';
import type { TensorType } from './plan.js';

export interface TensorSignature {
  readonly name: string;
  /** A tensor type of ours, or what else the model says, such as `bfloat16` or `sequence`. */
  readonly type: string;
  /** Undefined when the model does not say how many dimensions there are; null is free. */
  readonly dims?: readonly (number | null)[];
}

export interface ExternalFile {
  readonly name: string;
  /** Where the last of its tensors ends. */
  readonly bytes: number;
}

export interface OnnxSignature {
  /** Without the weights that old models list as inputs too. */
  readonly inputs: readonly TensorSignature[];
  readonly outputs: readonly TensorSignature[];
  /** External data by its locations, as the model names them; unique, sorted. */
  readonly externalFiles: readonly ExternalFile[];
  /** Of the standard operator set; 0 when it is not used. */
  readonly opsetVersion: number;
}

/** By TensorProto.DataType. */
const typeNames: Readonly<Record<number, string>> = {
  1: 'float32',
  2: 'uint8',
  3: 'int8',
  4: 'uint16',
  5: 'int16',
  6: 'int32',
  7: 'int64',
  8: 'string',
  9: 'bool',
  10: 'float16',
  11: 'float64',
  12: 'uint32',
  13: 'uint64',
  14: 'complex64',
  15: 'complex128',
  16: 'bfloat16',
};

/** Bytes of an element, by TensorProto.DataType; those of less than a byte are left out. */
const elementBytes: Readonly<Record<number, number>> = {
  1: 4,
  2: 1,
  3: 1,
  4: 2,
  5: 2,
  6: 4,
  7: 8,
  9: 1,
  10: 2,
  11: 8,
  12: 4,
  13: 8,
  14: 8,
  15: 16,
  16: 2,
};

const tensorTypes = new Set<string>(
  Object.values(typeNames).filter((name) => !/^(complex|bfloat)/.test(name)),
);

export function isTensorType(name: string): name is TensorType {
  return tensorTypes.has(name);
}

/** @throws WindrowError E_MODEL_INVALID when the bytes are not an ONNX model */
export function readOnnxSignature(bytes: Uint8Array): OnnxSignature {
  let model: ModelHeader;
  try {
    model = ModelHeader.decode(bytes);
  } catch (error) {
    return notOnnx(`cannot be decoded (${(error as Error).message})`, error);
  }
  const graph = model.graph;
  if (!graph) return notOnnx('has no graph');
  if (model.irVersion < 1 || model.opsetImport.length === 0)
    return notOnnx('names no operator set');
  if (graph.output.length === 0) return notOnnx('has no outputs');
  const weights = new Set(graph.initializer.map((tensor) => tensor.name));
  for (const sparse of graph.sparseInitializer) weights.add(sparse.values?.name ?? '');
  const external: ExternalBytes = new Map();
  try {
    collectGraph(graph, external, 0);
    for (const body of model.functions) collectNodes(body.node, external, 0);
  } catch (error) {
    return notOnnx((error as Error).message, error);
  }
  return {
    inputs: graph.input.filter((input) => !weights.has(input.name)).map(tensorSignature),
    outputs: graph.output.map(tensorSignature),
    externalFiles: Array.from(external, ([name, bytes]) => ({ name, bytes })).sort((a, b) =>
      a.name < b.name ? -1 : 1,
    ),
    opsetVersion: model.opsetImport.find((set) => set.domain === '')?.version ?? 0,
  };
}

function tensorSignature(info: ValueInfoProto): TensorSignature {
  const value = info.type?.value;
  if (value?.$case !== 'tensorType') {
    return { name: info.name, type: value ? value.$case.replace('Type', '') : 'unknown' };
  }
  const tensor = value.value;
  const type = typeNames[tensor.elemType] ?? `type ${tensor.elemType}`;
  if (!tensor.shape) return { name: info.name, type };
  const dims = tensor.shape.dim.map((dim) =>
    // Exporters write 0 or -1 where they mean free.
    dim.value?.$case === 'dimValue' && dim.value.value > 0 ? dim.value.value : null,
  );
  return { name: info.name, type, dims };
}

type ExternalBytes = Map<string, number>;

function collectGraph(graph: GraphHeader, found: ExternalBytes, depth: number): void {
  if (depth > 64) throw new Error('graphs are nested deeper than 64');
  for (const tensor of graph.initializer) collectTensor(tensor, found);
  for (const sparse of graph.sparseInitializer) {
    collectTensor(sparse.values, found);
    collectTensor(sparse.indices, found);
  }
  collectNodes(graph.node, found, depth);
}

function collectNodes(nodes: readonly NodeHeader[], found: ExternalBytes, depth: number): void {
  for (const node of nodes) {
    for (const attribute of node.attribute) collectAttribute(attribute, found, depth);
  }
}

function collectAttribute(attribute: AttributeHeader, found: ExternalBytes, depth: number): void {
  for (const tensor of [attribute.t, ...attribute.tensors]) collectTensor(tensor, found);
  for (const sparse of [attribute.sparseTensor, ...attribute.sparseTensors]) {
    collectTensor(sparse?.values, found);
    collectTensor(sparse?.indices, found);
  }
  for (const graph of [attribute.g, ...attribute.graphs]) {
    if (graph) collectGraph(graph, found, depth + 1);
  }
}

function collectTensor(tensor: TensorHeader | undefined, found: ExternalBytes): void {
  if (!tensor || tensor.externalData.length === 0) return;
  const { location, offset, length } = Object.fromEntries(
    tensor.externalData.map(({ key, value }) => [key, value]),
  );
  if (!location) return;
  const elements = tensor.dims.reduce((product, dim) => product * dim, 1);
  const bytes = Number(length ?? elements * (elementBytes[tensor.dataType] ?? 0));
  const end = Number(offset ?? 0) + bytes;
  found.set(location, Math.max(found.get(location) ?? 0, Number.isFinite(end) ? end : 0));
}

function notOnnx(message: string, cause?: unknown): never {
  fail('invalidSpec', 'E_MODEL_INVALID', `model is not ONNX: ${message}`, {
    hint: 'name a .onnx file written by an exporter',
    cause,
  });
}
