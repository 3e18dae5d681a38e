/** Uploads what the coordinator lacks: models, their external data, bundles; each once, by digest. */
import { createReadStream } from 'node:fs';
import { once } from 'node:events';
import type { ClientWritableStream, Metadata } from '@grpc/grpc-js';
import { toFailure, WindrowError } from '../shared/failure.js';
import type { BlobInfo, BlobPart, JobServiceClient } from '../shared/gen/windrow.js';
import { limits } from '../shared/limits.js';
import { statusToError } from '../shared/rpc.js';
import type { LocalFile } from './types.js';

export async function putMissingBlobs(
  service: JobServiceClient,
  metadata: Metadata,
  files: readonly LocalFile[],
  missing: (digests: string[]) => Promise<readonly string[]>,
): Promise<void> {
  const byDigest = new Map<string, LocalFile>();
  for (const file of files) {
    for (const one of [file, ...file.external]) byDigest.set(one.digest, one);
  }
  for (const digest of await missing([...byDigest.keys()])) {
    const file = byDigest.get(digest);
    if (file) await putBlob(service, metadata, file);
  }
}

/** Sends a file part by part, no faster than the other side takes it. @throws WindrowError */
async function putBlob(
  service: JobServiceClient,
  metadata: Metadata,
  file: LocalFile,
): Promise<void> {
  let call: ClientWritableStream<BlobPart> | undefined;
  const answered = new Promise<BlobInfo>((resolve, reject) => {
    call = service.putBlob(metadata, (error, info) => {
      if (error) reject(statusToError(error));
      else resolve(info);
    });
  });
  const stream = call as ClientWritableStream<BlobPart>;
  const stop = new AbortController();
  const sent = sendParts(stream, file, stop.signal);
  try {
    // The answer may come before the last part: a refusal, or a blob that someone else just put.
    await Promise.race([answered, sent.then(() => answered)]);
  } catch (error) {
    stream.cancel();
    answered.catch(() => undefined);
    if (error instanceof WindrowError) throw error;
    throw new WindrowError(toFailure(error, { kind: 'io', code: 'E_BLOB_UPLOAD' }), error);
  } finally {
    stop.abort();
    await sent.catch(() => undefined);
  }
}

async function sendParts(
  call: ClientWritableStream<BlobPart>,
  file: LocalFile,
  signal: AbortSignal,
): Promise<void> {
  let head = { digest: file.digest, name: file.name };
  const write = async (data: Buffer): Promise<void> => {
    signal.throwIfAborted();
    if (!call.write({ ...head, data })) await once(call, 'drain', { signal });
    head = { digest: '', name: '' };
  };
  if (file.bytes === 0) await write(Buffer.alloc(0));
  for await (const part of createReadStream(file.path, { highWaterMark: limits.blobPartBytes })) {
    await write(part as Buffer);
  }
  call.end();
}
