/** Domain types to protocol messages and back: the one place where both are known. */
import { jobId, stageId, type AttemptRef } from './ids.js';
import type { FileSlice } from './divided-file.js';
import type { ChunkCounts, ChunkFile, ChunkPart, ChunkRecord, Divided, FileBlock } from './plan.js';
import type { ModelRuns } from './model-runs.js';
import type * as wire from './gen/windrow.js';

export function attemptToWire(ref: AttemptRef): wire.AttemptId {
  return { jobId: ref.jobId, stageId: ref.stageId, task: ref.task, attempt: ref.attempt };
}

export function attemptFromWire(message: wire.AttemptId): AttemptRef {
  return {
    jobId: jobId(message.jobId),
    stageId: stageId(message.stageId),
    task: message.task,
    attempt: message.attempt,
  };
}

export function chunkFileToWire(file: ChunkFile): wire.ChunkFile {
  return {
    path: file.path,
    rows: file.rows,
    bytes: file.bytes,
    sha256: file.sha256,
    partition: file.partition.map(({ column, value }) => ({
      column,
      ...(value === null ? {} : { value }),
    })),
    ...(file.divided ? { divided: dividedToWire(file.divided) } : {}),
  };
}

export function chunkFileFromWire(message: wire.ChunkFile): ChunkFile {
  return {
    path: message.path,
    rows: message.rows,
    bytes: message.bytes,
    sha256: message.sha256,
    partition: message.partition.map(({ column, value }) => ({ column, value: value ?? null })),
    ...(message.divided ? { divided: dividedFromWire(message.divided) } : {}),
  };
}

function dividedToWire({ parts, blocks }: Divided): wire.Divided {
  return { parts: parts.map(partOf), blocks: blocks.map(blockOf) };
}

function dividedFromWire({ parts, blocks }: wire.Divided): Divided {
  return { parts: parts.map(partOf), blocks: blocks.map(blockOf) };
}

/** The same on both sides, without what else such an object may hold. */
function partOf({ partition, rows }: ChunkPart): ChunkPart {
  return { partition, rows };
}

function blockOf({ offset, bytes, rows, crc32 }: FileBlock): FileBlock {
  return { offset, bytes, rows, crc32 };
}

/** The same for a file that an attempt reads: with the worker to ask where it is not to be read. */
export function servedFileFromWire(message: wire.ChunkFile): ChunkFile & ServedBy {
  return { ...chunkFileFromWire(message), ...servedBy(message) };
}

export function fileSliceToWire(slice: FileSlice & ServedBy): wire.FileSlice {
  const { path, bytes, from, to, rowStart, rows, blocks } = slice;
  const range = { path, bytes, from, to, rowStart, rows, blocks: blocks.map(blockOf) };
  return { ...range, ...servedBy(slice) };
}

export function fileSliceFromWire(message: wire.FileSlice): FileSlice & ServedBy {
  const { path, bytes, from, to, rowStart, rows, blocks } = message;
  const range = { path, bytes, from, to, rowStart, rows, blocks: blocks.map(blockOf) };
  return { ...range, ...servedBy(message) };
}

interface ServedBy {
  readonly servedBy?: string;
}

function servedBy({ servedBy: address }: { servedBy?: string | undefined }): ServedBy {
  return address === undefined ? {} : { servedBy: address };
}

function countsFromWire(message: wire.ChunkCounts | undefined): ChunkCounts {
  return {
    rowsIn: message?.rowsIn ?? 0,
    rowsOut: message?.rowsOut ?? 0,
    filtered: message?.filtered ?? 0,
    dead: message?.dead ?? 0,
    inferred: message?.inferred ?? 0,
    warnings: { ...message?.warnings },
  };
}

export function chunkDoneToWire(
  attempt: AttemptRef,
  chunk: number,
  record: ChunkRecord,
): wire.ChunkDone {
  return {
    attempt: attemptToWire(attempt),
    chunk,
    identity: record.identity,
    files: record.files.map(chunkFileToWire),
    counts: { ...record.counts, warnings: { ...record.counts.warnings } },
    deadLetters: record.deadLetters ? chunkFileToWire(record.deadLetters) : undefined,
  };
}

export function chunkRecordFromWire(message: wire.ChunkDone): ChunkRecord {
  return {
    identity: message.identity,
    files: message.files.map(chunkFileFromWire),
    counts: countsFromWire(message.counts),
    ...(message.deadLetters ? { deadLetters: chunkFileFromWire(message.deadLetters) } : {}),
  };
}

export function modelRunsToWire({ device, seconds, rows }: ModelRuns): wire.ModelRuns {
  const distribution = ({ counts, sum }: ModelRuns['rows']): wire.Distribution => ({
    counts: [...counts],
    sum,
  });
  return { device, seconds: distribution(seconds), rows: distribution(rows) };
}

export function modelRunsFromWire({ device, seconds, rows }: wire.ModelRuns): ModelRuns {
  const none = { counts: [], sum: 0 };
  return { device, seconds: seconds ?? none, rows: rows ?? none };
}
