/** A model and its external data as files to send: checked, counted, hashed. Never: runs a model. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { sha256Hex } from '../shared/chunk-identity.js';
import { fail, toFailure, WindrowError } from '../shared/failure.js';
import { limits } from '../shared/limits.js';
import { readOnnxSignature } from '../shared/onnx-signature.js';
import type { LocalFile } from './types.js';

/** A protobuf message cannot be longer; larger models keep their weights in external data. */
const modelBytesMax = 2 ** 31 - 1;

interface Whose {
  readonly step?: string;
}

/**
 * @param path absolute
 * @param of the step that names it, for messages
 * @throws WindrowError E_MODEL_MISSING, E_MODEL_INVALID, E_MODEL_EXTERNAL, E_BLOB_TOO_LARGE
 */
export async function readModel(path: string, of: Whose = {}): Promise<LocalFile> {
  const at = { ...of, file: path };
  const found = await stat(path).catch(() => undefined);
  if (!found) {
    fail('invalidSpec', 'E_MODEL_MISSING', `there is no model at ${path}`, {
      at: of,
      hint: 'give the path of an .onnx file, relative to the spec',
    });
  }
  if (!found.isFile()) {
    fail('invalidSpec', 'E_MODEL_INVALID', 'the model is not a regular file', {
      at,
      hint: 'give the path of an .onnx file',
    });
  }
  if (found.size > modelBytesMax) {
    fail('invalidSpec', 'E_MODEL_INVALID', `a model of ${found.size} bytes cannot be read`, {
      at,
      hint: 'save its weights as external data: an ONNX file holds at most 2 GiB',
    });
  }
  const bytes = await readFile(path).catch((error: unknown) => {
    throw new WindrowError({ ...toFailure(error, { kind: 'io', code: 'E_IO' }), at }, error);
  });
  const external: LocalFile[] = [];
  for (const name of new Set(externalNames(bytes, at))) {
    external.push(await readExternal(dirname(path), name, of));
  }
  return {
    digest: sha256Hex(bytes),
    bytes: bytes.byteLength,
    name: basename(path),
    path,
    external,
  };
}

function externalNames(bytes: Uint8Array, at: Whose & { file: string }): readonly string[] {
  try {
    return readOnnxSignature(bytes).externalFiles.map(({ name }) => name);
  } catch (error) {
    const failure = toFailure(error, { kind: 'invalidSpec', code: 'E_MODEL_INVALID' });
    throw new WindrowError({ ...failure, at: { ...failure.at, ...at } }, error);
  }
}

/** A model may name any path as its data, so only plain names beside it are followed. */
async function readExternal(directory: string, name: string, of: Whose): Promise<LocalFile> {
  const refuse = (why: string): never =>
    fail('invalidSpec', 'E_MODEL_EXTERNAL', `external data '${name}' ${why}`, {
      at: of,
      hint: 'keep external data in regular files beside the model',
    });
  if (name === '' || name === '.' || name === '..' || /[/\\\0]/.test(name)) {
    refuse('is not the name of a file beside the model');
  }
  const path = join(directory, name);
  const found = await lstat(path).catch(() => undefined);
  if (!found) return refuse('is not there');
  if (!found.isFile()) refuse('is not a regular file');
  if (found.size > limits.blobBytes) {
    fail('invalidSpec', 'E_BLOB_TOO_LARGE', `external data '${name}' has ${found.size} bytes`, {
      at: of,
      hint: `split it into files of at most ${limits.blobBytes} bytes`,
    });
  }
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: limits.blobPartBytes }), hash);
  return { digest: hash.digest('hex'), bytes: found.size, name, path, external: [] };
}
