/**
 * Writes ONNX models: graphs for tests and measurements, and multi-layer perceptrons that were
 * trained here. Never: reads a model or judges one; that is onnx-signature.ts.
 */
import {
  AttributeProto,
  AttributeProto_AttributeType as AttributeType,
  GraphProto,
  ModelProto,
  NodeProto,
  StringStringEntryProto,
  TensorProto,
  TensorProto_DataLocation as DataLocation,
  TensorProto_DataType as DataType,
  TypeProto_Tensor,
  ValueInfoProto,
} from './gen/onnx.js';
import type { TensorType } from './plan.js';

/** A graph input or output. A number is a fixed dimension, a string a named free one. */
export interface ModelTensor {
  readonly name: string;
  readonly type: TensorType;
  readonly dims: readonly (number | string | null)[];
}

export interface ModelInitializer {
  readonly name: string;
  readonly type: TensorType;
  readonly dims: readonly number[];
  /** The typed array of the element type (Uint16Array for float16, Uint8Array for bool). */
  readonly data: ArrayBufferView | readonly string[];
  /** Keep the bytes in this file beside the model instead; the caller writes `data` there. */
  readonly external?: { readonly location: string; readonly offset?: number };
}

export type ModelAttribute =
  | { readonly int: number }
  | { readonly float: number }
  | { readonly string: string }
  | { readonly ints: readonly number[] }
  | { readonly floats: readonly number[] }
  | { readonly tensor: ModelInitializer };

export interface ModelNode {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: Readonly<Record<string, ModelAttribute>>;
}

export interface ModelGraph {
  readonly inputs: readonly ModelTensor[];
  readonly outputs: readonly ModelTensor[];
  /** In topological order. */
  readonly nodes: readonly ModelNode[];
  readonly initializers?: readonly ModelInitializer[];
  /** Version of the standard operator set; default 17. */
  readonly opset?: number;
}

export type Activation = 'none' | 'relu' | 'sigmoid' | 'tanh' | 'softmax';

/** One dense layer: `activation(x · weights + bias)`. */
export interface DenseLayer {
  /** `[inputs, outputs]`, row-major. */
  readonly weights: Float32Array;
  /** `[outputs]`. */
  readonly bias: Float32Array;
  readonly activation: Activation;
}

/** ONNX's numbers for the element types. */
export const onnxDataTypes: Readonly<Record<TensorType, number>> = {
  float16: DataType.FLOAT16,
  float32: DataType.FLOAT,
  float64: DataType.DOUBLE,
  int8: DataType.INT8,
  int16: DataType.INT16,
  int32: DataType.INT32,
  int64: DataType.INT64,
  uint8: DataType.UINT8,
  uint16: DataType.UINT16,
  uint32: DataType.UINT32,
  uint64: DataType.UINT64,
  bool: DataType.BOOL,
  string: DataType.STRING,
};

const irVersion = 8;
const defaultOpset = 17;

/** The bytes of an `.onnx` file; equal graphs give equal bytes. */
export function buildModel(graph: ModelGraph): Uint8Array {
  const model = ModelProto.fromPartial({
    irVersion,
    producerName: 'windrow',
    opsetImport: [{ domain: '', version: graph.opset ?? defaultOpset }],
    graph: GraphProto.fromPartial({
      name: 'graph',
      node: graph.nodes.map(nodeOf),
      initializer: (graph.initializers ?? []).map(tensorOf),
      input: graph.inputs.map(valueOf),
      output: graph.outputs.map(valueOf),
    }),
  });
  return ModelProto.encode(model).finish();
}

/** A perceptron from `[N, inputs]` to `[N, outputs]` in float32, its batch dimension free. */
export function mlpModel(
  layers: readonly DenseLayer[],
  names: { readonly input: string; readonly output: string },
): Uint8Array {
  const nodes: ModelNode[] = [];
  const initializers: ModelInitializer[] = [];
  let current = names.input;
  let width = 0;
  layers.forEach((layer, index) => {
    const outputs = layer.bias.length;
    const inputs = layer.weights.length / outputs;
    if (!Number.isInteger(inputs) || (index > 0 && inputs !== width)) {
      throw new RangeError(
        `layer ${index} has ${layer.weights.length} weights and ${outputs} biases after a width of ${width}`,
      );
    }
    initializers.push(
      { name: `w${index}`, type: 'float32', dims: [inputs, outputs], data: layer.weights },
      { name: `b${index}`, type: 'float32', dims: [outputs], data: layer.bias },
    );
    const last = index === layers.length - 1;
    const target = last ? names.output : `h${index}`;
    const dense = layer.activation === 'none' ? target : `d${index}`;
    nodes.push({ op: 'Gemm', inputs: [current, `w${index}`, `b${index}`], outputs: [dense] });
    if (layer.activation !== 'none') {
      nodes.push({ op: activationOps[layer.activation], inputs: [dense], outputs: [target] });
    }
    current = target;
    width = outputs;
  });
  const first = layers[0];
  if (!first) throw new RangeError('a perceptron needs at least one layer');
  return buildModel({
    inputs: [
      {
        name: names.input,
        type: 'float32',
        dims: ['N', first.weights.length / first.bias.length],
      },
    ],
    outputs: [{ name: names.output, type: 'float32', dims: ['N', width] }],
    nodes,
    initializers,
  });
}

const activationOps: Readonly<Record<Exclude<Activation, 'none'>, string>> = {
  relu: 'Relu',
  sigmoid: 'Sigmoid',
  tanh: 'Tanh',
  softmax: 'Softmax',
};

function nodeOf(node: ModelNode): NodeProto {
  return NodeProto.fromPartial({
    opType: node.op,
    name: node.outputs[0] ?? node.op,
    input: [...node.inputs],
    output: [...node.outputs],
    attribute: Object.entries(node.attributes ?? {}).map(([name, value]) =>
      attributeOf(name, value),
    ),
  });
}

function attributeOf(name: string, value: ModelAttribute): AttributeProto {
  if ('int' in value)
    return AttributeProto.fromPartial({ name, type: AttributeType.INT, i: value.int });
  if ('float' in value)
    return AttributeProto.fromPartial({ name, type: AttributeType.FLOAT, f: value.float });
  if ('string' in value)
    return AttributeProto.fromPartial({
      name,
      type: AttributeType.STRING,
      s: Buffer.from(value.string, 'utf8'),
    });
  if ('ints' in value)
    return AttributeProto.fromPartial({ name, type: AttributeType.INTS, ints: [...value.ints] });
  if ('floats' in value)
    return AttributeProto.fromPartial({
      name,
      type: AttributeType.FLOATS,
      floats: [...value.floats],
    });
  return AttributeProto.fromPartial({
    name,
    type: AttributeType.TENSOR,
    t: tensorOf(value.tensor),
  });
}

function tensorOf(initializer: ModelInitializer): TensorProto {
  const { data, external } = initializer;
  const base = {
    name: initializer.name,
    dims: [...initializer.dims],
    dataType: onnxDataTypes[initializer.type],
  };
  if (!ArrayBuffer.isView(data)) {
    return TensorProto.fromPartial({
      ...base,
      stringData: data.map((text) => Buffer.from(text, 'utf8')),
    });
  }
  if (external) {
    const entries: readonly (readonly [string, string])[] = [
      ['location', external.location],
      ['offset', String(external.offset ?? 0)],
      ['length', String(data.byteLength)],
    ];
    return TensorProto.fromPartial({
      ...base,
      dataLocation: DataLocation.EXTERNAL,
      externalData: entries.map(([key, value]) =>
        StringStringEntryProto.fromPartial({ key, value }),
      ),
    });
  }
  // Raw data is little-endian by definition, as are the machines Windrow runs on.
  return TensorProto.fromPartial({
    ...base,
    rawData: Buffer.from(data.buffer, data.byteOffset, data.byteLength),
  });
}

function valueOf(tensor: ModelTensor): ValueInfoProto {
  const dim = tensor.dims.map((size) => {
    if (size === null) return {};
    return typeof size === 'number'
      ? { value: { $case: 'dimValue' as const, value: size } }
      : { value: { $case: 'dimParam' as const, value: size } };
  });
  return ValueInfoProto.fromPartial({
    name: tensor.name,
    type: {
      value: {
        $case: 'tensorType',
        value: TypeProto_Tensor.fromPartial({
          elemType: onnxDataTypes[tensor.type],
          shape: { dim },
        }),
      },
    },
  });
}
