/**
 * What of a divided file belongs to which partitions: its rows are in their order, and its row groups
 * are read whole. Pure.
 */
import { canonicalJson, sha256Hex } from './chunk-identity.js';
import { fail } from './failure.js';
import { limits } from './limits.js';
import type { ChunkFile, Divided, FileBlock } from './plan.js';

/** Rows of a divided file whose partitions are in [from, to). */
export interface FileSlice {
  readonly path: string;
  /** Of the whole file. */
  readonly bytes: number;
  readonly from: number;
  readonly to: number;
  /** They are rows [rowStart, rowStart + rows) of the file. */
  readonly rowStart: number;
  readonly rows: number;
  /** What of the file is read for them, in order. */
  readonly blocks: readonly FileBlock[];
}

/** What stands for the bytes of a divided file. */
export function checksumOfBlocks(blocks: readonly FileBlock[]): string {
  return sha256Hex(canonicalJson(blocks.map(({ bytes, crc32 }) => [bytes, crc32])));
}

/**
 * Whether what is said of the file fits together.
 * @param partitions of its exchange: rows beyond them nobody would read
 */
export function isConsistent({ bytes, rows, divided }: ChunkFile, partitions: number): boolean {
  if (!divided) return true;
  const { parts, blocks } = divided;
  let end = 0;
  let before = -1;
  const follows = blocks.every((block) => {
    const adjoins = block.offset === end && block.bytes > 0 && block.rows >= 0;
    end += block.bytes;
    return adjoins;
  });
  const ascends = parts.every(({ partition, rows: held }) => {
    const after = partition > before && partition < partitions && held > 0;
    before = partition;
    return after;
  });
  const sum = (held: readonly { readonly rows: number }[]): number =>
    held.reduce((total, each) => total + each.rows, 0);
  return follows && ascends && end === bytes && sum(parts) === rows && sum(blocks) === rows;
}

/**
 * Of a file that is read by partitions: one without them must not pass for one without rows.
 * @throws WindrowError E_INTERNAL
 */
export function dividedOf({ path, divided }: ChunkFile): Divided {
  if (divided) return divided;
  return fail('broken', 'E_INTERNAL', `${path} is to be read by partitions, but is not divided`, {
    hint: 'submit the job again: another version of windrow may have made that file',
  });
}

/** Undefined where it has no such rows. @throws WindrowError as `dividedOf` */
export function sliceOf(file: ChunkFile, from: number, to: number): FileSlice | undefined {
  const { parts, blocks: all } = dividedOf(file);
  let rowStart = 0;
  let rows = 0;
  for (const part of parts) {
    if (part.partition < from) rowStart += part.rows;
    else if (part.partition < to) rows += part.rows;
  }
  if (rows === 0) return undefined;
  const blocks = blocksOf(all, rowStart, rowStart + rows);
  const { path, bytes } = file;
  return { path, bytes, from, to, rowStart, rows, blocks };
}

/** All rows of a divided file; undefined where it has none, and for any other file. */
export function wholeSlice(file: ChunkFile): FileSlice | undefined {
  return file.divided && sliceOf(file, 0, limits.partitionsPerExchange);
}

/** About how many bytes each partition brings. */
export function partitionSizes({
  parts,
  blocks,
}: Divided): { readonly partition: number; readonly bytes: number }[] {
  const groups = blocks.values();
  let perRow = 0;
  let left = 0;
  return parts.map(({ partition, rows }) => {
    let bytes = 0;
    for (let wanted = rows; wanted > 0;) {
      while (left === 0) {
        const group = groups.next().value!;
        left = group.rows;
        perRow = group.bytes / group.rows;
      }
      const taken = Math.min(wanted, left);
      bytes += taken * perRow;
      left -= taken;
      wanted -= taken;
    }
    return { partition, bytes: Math.ceil(bytes) };
  });
}

/** The row groups that have some of these rows, and what is behind all of them. */
function blocksOf(blocks: readonly FileBlock[], start: number, end: number): FileBlock[] {
  let before = 0;
  return blocks.filter(({ rows }) => {
    const from = before;
    before += rows;
    return rows === 0 || (from < end && before > start);
  });
}
