/** Uploads what the coordinator lacks: models, their external data, bundles; each once, by digest. */
import { createReadStream } from 'node:fs';
import { once } from 'node:events';
import type { ClientWritableStream } from '@grpc/grpc-js';
import { toFailure, WindrowError } from '../shared/failure.js';
import type { BlobInfo, BlobPart, JobServiceClient } from '../shared/gen/windrow.js';
import { limits } from '../shared/limits.js';
import type { Calls } from './calls.js';
import type { LocalFile } from './types.js';

/** Slower than one MB a second, an upload is taken for stuck. */
const bytesPerMsMin = 1000;

export async function putMissingBlobs(
  service: JobServiceClient,
  calls: Calls,
  files: readonly LocalFile[],
): Promise<void> {
  const byDigest = new Map<string, LocalFile>();
  for (const file of files) {
    for (const one of [file, ...file.external]) byDigest.set(one.digest, one);
  }
  const request = { digests: [...byDigest.keys()] };
  const { digests } = await calls.call(service, service.missingBlobs, request);
  for (const digest of digests) {
    const file = byDigest.get(digest);
    if (file) await putBlob(service, calls, file);
  }
}

/**
 * Sends a file part by part, no faster than the other side takes it.
 * @throws WindrowError E_DEADLINE where it is not taken
 */
async function putBlob(service: JobServiceClient, calls: Calls, file: LocalFile): Promise<void> {
  const { call: stream, answer: answered } = calls.begin<ClientWritableStream<BlobPart>, BlobInfo>(
    calls.longMs + file.bytes / bytesPerMsMin,
    (options, done) => service.putBlob(calls.metadata, options, done),
  );
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
