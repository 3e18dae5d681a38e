/** Identities: SHA-256 over canonical JSON. The only place that decides what a chunk depends on. */
import { createHash } from 'node:crypto';
import { chunkIdentity, type ChunkIdentity } from './ids.js';
import type { InputFile, SourceRange } from './plan.js';

/** Bump when the bytes Windrow writes for the same program change. */
export const chunkFormat = 2;

/** JSON with sorted keys and no white space, so that equal values have equal text. */
export function canonicalJson(value: unknown): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null';
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  const entries = Object.entries(value as Record<string, unknown>)
    .filter(([, member]) => member !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return `{${entries.map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`).join(',')}}`;
}

export function sha256Hex(bytes: string | Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Identity of one file's content as far as a chunk is concerned: path, size, mtime, footer. */
export function fileIdentity(file: InputFile): string {
  return sha256Hex(
    canonicalJson([file.path, file.bytes, file.mtimeMs, file.footerHash, file.hive]),
  );
}

/**
 * Identity of a chunk over a source range.
 * @param stageDigest what the stage's program contributes (StagePlan.digest, salted if need be)
 * @param file `fileIdentity` of the file
 */
export function sourceChunkIdentity(
  stageDigest: string,
  file: string,
  range: Pick<SourceRange, 'rowStart' | 'rowEnd'>,
): ChunkIdentity {
  return chunkIdentity(sha256Hex(`${stageDigest}\n${file}\n${range.rowStart}\n${range.rowEnd}`));
}

/** Identity of a chunk that rewrites finished chunks, in order. */
export function derivedChunkIdentity(
  stageDigest: string,
  inputs: readonly string[],
): ChunkIdentity {
  return chunkIdentity(sha256Hex(`${stageDigest}\n${inputs.join('\n')}`));
}
