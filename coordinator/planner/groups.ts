/** Groups finished chunks for a stage that rewrites them, from their true sizes. Pure. */
import { taskStarts } from './splits.js';

export interface GroupOptions {
  /** Wanted bytes of an output file; absent keeps a file for each chunk, unless partitioned. */
  readonly targetBytes?: number;
  /** Rows are divided by key, so that a group of few chunks makes many small files. */
  readonly partitioned: boolean;
  readonly slots: number;
  /** Chunks that are not grouped with the one before. */
  readonly apart?: ReadonlySet<number>;
}

/** Without a wanted size, partitioned output gathers about this much before it divides. */
const partitionedBytes = 64 * 1024 * 1024;

/**
 * @param sizes bytes of each upstream chunk, in order
 * @returns runs of upstream chunks, one for each new chunk, and the tasks over them
 */
export function sizeGroups(
  sizes: readonly number[],
  options: GroupOptions,
): { groups: { from: number; to: number }[]; taskStarts: number[] } {
  const target = options.targetBytes ?? (options.partitioned ? partitionedBytes : 0);
  const groups: { from: number; to: number }[] = [];
  const weights: number[] = [];
  for (let at = 0; at < sizes.length;) {
    const from = at;
    let bytes = 0;
    do {
      bytes += sizes[at] ?? 0;
      at += 1;
      if (at === sizes.length || options.apart?.has(at)) break;
      // Half of the next chunk decides on which side of the target it lies nearer.
    } while (bytes + (sizes[at] ?? 0) / 2 <= target);
    groups.push({ from, to: at });
    weights.push(bytes);
  }
  return { groups, taskStarts: taskStarts(weights, options.slots) };
}
