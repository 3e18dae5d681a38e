/** Cuts files into chunks and runs of chunks into tasks. Depends on footers alone, never on workers for chunks. */
import { fileIdentity, sourceChunkIdentity } from '../../shared/chunk-identity.js';
import type { ChunkIdentity, JobId } from '../../shared/ids.js';
import { limits } from '../../shared/limits.js';
import type {
  EarlierProgram,
  InputFile,
  SourceInput,
  SourceRange,
  StagePlan,
  StageProgram,
} from '../../shared/plan.js';
import { sha256Hex } from '../../shared/chunk-identity.js';

/**
 * The chunks of a source, in file and row order; pruned row groups have none. Where that leaves
 * none at all, one of no rows stands for the source, so that its schema is published.
 */
export function sourceChunks(input: SourceInput): SourceRange[] {
  const ranges: SourceRange[] = [];
  input.files.forEach((file, index) => {
    const pruned = new Set(file.prunedRowGroups);
    let start = 0;
    file.rowGroupRows.forEach((rows, rowGroup) => {
      if (!pruned.has(rowGroup)) pushRowGroup(ranges, index, rowGroup, start, rows);
      start += rows;
    });
  });
  if (ranges.length === 0 && input.files.length > 0) {
    ranges.push({ file: 0, rowGroup: 0, rowStart: 0, rowEnd: 0 });
  }
  return ranges;
}

function pushRowGroup(
  ranges: SourceRange[],
  file: number,
  rowGroup: number,
  start: number,
  rows: number,
): void {
  if (rows === 0) return;
  const step = rows <= limits.chunkRowsWhole ? rows : limits.chunkRowsCut;
  for (let at = 0; at < rows; at += step) {
    ranges.push({
      file,
      rowGroup,
      rowStart: start + at,
      rowEnd: start + Math.min(at + step, rows),
    });
  }
}

/** Rows of the file, pruned ones included. */
export function rowsOfFile({ rowGroupRows }: Pick<InputFile, 'rowGroupRows'>): number {
  return rowGroupRows.reduce((sum, count) => sum + count, 0);
}

export function rowsOfFiles(files: readonly Pick<InputFile, 'rowGroupRows'>[]): number {
  return files.reduce((sum, file) => sum + rowsOfFile(file), 0);
}

/** Rows of the files that are read: those of pruned row groups are not. */
export function rowsRead(
  files: readonly Pick<InputFile, 'rowGroupRows' | 'prunedRowGroups'>[],
): number {
  return rowsOfFiles(files) - rowsPruned(files);
}

export function rowsPruned(
  files: readonly Pick<InputFile, 'rowGroupRows' | 'prunedRowGroups'>[],
): number {
  return files.reduce(
    (sum, { rowGroupRows, prunedRowGroups }) =>
      prunedRowGroups.reduce((rows, group) => rows + rowGroupRows[group]!, sum),
    0,
  );
}

/** Average bytes of a row of this file, as stored. */
export function bytesPerRow(file: InputFile): number {
  const rows = rowsOfFile(file);
  return rows === 0 ? 0 : file.bytes / rows;
}

/**
 * First chunk of each task. Tasks take about `limits.taskBytes`, and ever less towards the end
 * (guided self-scheduling), so that no slot works alone on a long last task.
 * @param weights bytes of each chunk, in order
 * @param slots how many tasks can run at once, as far as is known now
 */
export function taskStarts(weights: readonly number[], slots: number): number[] {
  const starts: number[] = [];
  let left = weights.reduce((sum, weight) => sum + weight, 0);
  let at = 0;
  while (at < weights.length) {
    starts.push(at);
    const target = Math.min(limits.taskBytes, left / (2 * Math.max(1, slots)));
    let taken = 0;
    do {
      taken += weights[at] ?? 0;
      at += 1;
    } while (at < weights.length && taken + (weights[at] ?? 0) <= target);
    left -= taken;
  }
  return starts;
}

/** A stage's chunks with their identities, which are hashed when first asked for. */
export class ChunkTable {
  readonly ranges: readonly SourceRange[];
  private readonly fileIdentities: readonly string[];
  private readonly digest: string;
  /** By chunk; empty where no chunk is an earlier program's. */
  private readonly earlier: EarlierProgram[] = [];

  constructor(
    private readonly stage: StagePlan,
    salt: JobId,
  ) {
    this.digest = stageDigest(stage, salt);
    if (stage.input.kind === 'source') {
      this.ranges = sourceChunks(stage.input);
      this.fileIdentities = stage.input.files.map(fileIdentity);
    } else {
      this.ranges = [];
      this.fileIdentities = [];
    }
    for (const each of stage.earlier ?? []) {
      for (const [from, to] of each.chunks) {
        for (let chunk = from; chunk < to; chunk += 1) this.earlier[chunk] = each;
      }
    }
  }

  /** What makes a chunk. */
  program(chunk: number): { readonly program: StageProgram; readonly digest: string } {
    return this.earlier[chunk] ?? this.stage;
  }

  identity(chunk: number): ChunkIdentity {
    return this.identityBy(this.earlier[chunk]?.digest ?? this.digest, chunk);
  }

  /** What the rows of a chunk are called where a program of this digest made it. */
  identityBy(digest: string, chunk: number): ChunkIdentity {
    const range = this.ranges[chunk];
    if (!range) throw new RangeError(`stage has no chunk ${chunk}`);
    return sourceChunkIdentity(digest, this.fileIdentities[range.file] ?? '', range);
  }
}

/**
 * The digest that enters identities.
 * @param salt `constants.jobId` of the plan: enters where the stage is not deterministic
 */
export function stageDigest(stage: StagePlan, salt: JobId): string {
  return stage.deterministic ? stage.digest : sha256Hex(`${stage.digest}\n${salt}`);
}

/** Those of all programs that its chunks are made by. */
export function stageDigests(stage: StagePlan, salt: JobId): string[] {
  const kept = (stage.earlier ?? []).filter(({ chunks }) => chunks.length > 0);
  return [stageDigest(stage, salt), ...kept.map(({ digest }) => digest)];
}
