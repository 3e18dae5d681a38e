/**
 * ONNX Runtime called synchronously: the native object under the public session, because a DuckDB
 * callback cannot await. It is not a documented entry, so its version and shape are checked before
 * use. Never: anything else may touch that entry; a device thread is the way round it.
 */
import { createRequire } from 'node:module';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { fail } from '../../shared/failure.js';
import type { HostTensor, Tensors } from './host-tensor.js';

/** The one version this file was written against and tested with. */
export const supportedVersion = '1.30.0';

export type SessionOptions = InferenceSession.SessionOptions;
type OrtTensors = Record<string, Tensor>;

interface NativeSession {
  loadModel(path: string, options: SessionOptions): void;
  readonly inputMetadata: readonly { readonly name: string }[];
  readonly outputMetadata: readonly { readonly name: string }[];
  run(feeds: OrtTensors, fetches: Record<string, null>, options: object): OrtTensors;
  dispose(): void;
}

interface NativeModule {
  readonly binding: { readonly InferenceSession: new () => NativeSession };
  initOrt(): void;
}

const nativeMethods = ['loadModel', 'run', 'dispose'] as const;
let native: NativeModule | undefined | null = null;

/** The native entry, or undefined when it is not the one we know. */
function nativeModule(): NativeModule | undefined {
  if (native !== null) return native;
  native = undefined;
  const require = createRequire(import.meta.url);
  const { version } = require('onnxruntime-node/package.json') as { version: string };
  if (version !== supportedVersion) return undefined;
  const found = require('onnxruntime-node/dist/binding.js') as Partial<NativeModule>;
  const prototype = found.binding?.InferenceSession?.prototype as
    Record<string, unknown> | undefined;
  const known =
    typeof found.initOrt === 'function' &&
    prototype !== undefined &&
    nativeMethods.every((method) => typeof prototype[method] === 'function');
  if (!known) return undefined;
  native = found as NativeModule;
  native.initOrt();
  return native;
}

/** Whether sessions can be called synchronously in this process. */
export function canRunSynchronously(): boolean {
  return nativeModule() !== undefined;
}

/** A session whose `run` returns when the results are there. */
export interface SyncSession {
  run(feeds: Tensors): Tensors;
  dispose(): void;
}

/** @throws WindrowError badData `E_MODEL_INVALID`, resource `E_DEVICE_MEMORY` */
export function loadSync(path: string, options: SessionOptions): SyncSession {
  const module = nativeModule();
  if (!module) {
    fail(
      'broken',
      'E_INTERNAL',
      `onnxruntime-node is not ${supportedVersion} with a known binding`,
      {
        hint: 'install the locked dependencies with npm ci',
      },
    );
  }
  const session = new module.binding.InferenceSession();
  try {
    session.loadModel(path, options);
  } catch (error) {
    failLoad(path, error);
  }
  const fetches = Object.fromEntries(session.outputMetadata.map(({ name }) => [name, null]));
  return {
    run(feeds) {
      const given = toOrt(feeds);
      let results: OrtTensors;
      try {
        results = session.run(given, fetches, {});
      } catch (error) {
        failRun(error);
      }
      return fromOrt(results);
    },
    dispose: () => session.dispose(),
  };
}

/** The same through the documented, promised entry; for threads that may await. */
export async function loadAsync(path: string, options: SessionOptions) {
  const session = await InferenceSession.create(path, options).catch((error: unknown) =>
    failLoad(path, error),
  );
  return {
    run: async (feeds: Tensors): Promise<Tensors> =>
      fromOrt((await session.run(toOrt(feeds)).catch(failRun)) as OrtTensors),
    dispose: () => session.release(),
  };
}

function toOrt(feeds: Tensors): OrtTensors {
  const tensors: OrtTensors = {};
  for (const name in feeds) {
    const { type, data, dims } = feeds[name]!;
    if (type === 'string') refuseCut(name, data as readonly string[]);
    tensors[name] = new Tensor(type, data as never, dims);
    if (type === 'float16') keepBits(tensors[name], data);
  }
  return tensors;
}

/** The binding hands text on as C strings, which end at the first NUL. */
function refuseCut(input: string, texts: readonly string[]): void {
  const cut = texts.find((text) => text.includes('\0'));
  if (cut === undefined) return;
  const message = `input "${input}" gets a text with a NUL character (U+0000), where it would end`;
  fail('badData', 'E_MODEL_RUN', message, {
    hint: 'take the character out in a select before the model, or set onError: deadLetter',
  });
}

/**
 * From Node 24 on there are arrays of half floats, in which the class wraps the bits, and of which the
 * binding counts no bytes (microsoft/onnxruntime#32323); it takes the bits themselves.
 */
function keepBits(tensor: Tensor, bits: HostTensor['data']): void {
  (tensor as unknown as { cpuData: HostTensor['data'] }).cpuData = bits;
}

/** What came back, as bits whatever the class made of them. */
function bitsOf(data: Tensor['data']): Uint16Array {
  const { buffer, byteOffset, length } = data as Uint16Array;
  return new Uint16Array(buffer, byteOffset, length);
}

function fromOrt(results: OrtTensors): Tensors {
  const tensors: Record<string, HostTensor> = {};
  for (const name in results) {
    const { type, dims, data } = results[name]!;
    const kept = type === 'float16' ? bitsOf(data) : (data as HostTensor['data']);
    tensors[name] = { type: type as HostTensor['type'], dims, data: kept };
  }
  return tensors;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

// ONNX Runtime reports everything as text; memory is the one thing that is not the model's fault.
const memoryWords =
  /failed to allocate|out of memory|bad_alloc|bad allocation|OUT_OF_(DEVICE|HOST)_MEMORY|CUDA failure 2:|BFCArena/i;

const lostWords = /device (was |is )?lost|DEVICE_LOST|CUDA failure|CUDNN failure|CUBLAS failure/i;

function failLoad(path: string, error: unknown): never {
  // The path is that of a copy.
  const text = messageOf(error).replace(`Load model from ${path} failed:`, '').replaceAll(path, '');
  if (memoryWords.test(text)) failMemory(text, error);
  fail('badData', 'E_MODEL_INVALID', `onnx runtime cannot load the model: ${text}`, {
    hint: 'check the file with onnx.checker, and that its operator set is one the runtime knows',
    cause: error,
  });
}

function failRun(error: unknown): never {
  const text = messageOf(error);
  if (memoryWords.test(text)) failMemory(text, error);
  if (lostWords.test(text)) {
    fail('resource', 'E_DEVICE_LOST', `the device stopped answering: ${text}`, {
      hint: 'check the driver with windrow doctor',
      cause: error,
    });
  }
  fail('badData', 'E_MODEL_RUN', `onnx runtime refused the rows: ${text}`, {
    hint: 'correct the data before the model, or set onError: deadLetter',
    cause: error,
  });
}

function failMemory(text: string, cause: unknown): never {
  fail('resource', 'E_DEVICE_MEMORY', `the device has not enough memory: ${text}`, {
    hint: 'lower batchSize or the number of slots',
    cause,
  });
}
