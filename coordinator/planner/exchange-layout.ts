/**
 * What each chunk behind an exchange reads, once the sizes of all partitions are known: small
 * neighbours together, a partition that is far larger than the others in several shares. Pure.
 */
import type { Division, PartitionRange } from '../../shared/plan.js';

/** Bytes that one input brings, by producer and partition; a producer without rows has an empty list. */
export interface ExchangeSizes {
  readonly partitions: number;
  readonly bytes: readonly (readonly { readonly partition: number; readonly bytes: number }[])[];
  /**
   * Whether a partition's rows may be dealt out to several chunks: each of them then reads all of the
   * partition's rows of the other inputs.
   */
  readonly divisible: boolean;
}

export interface Skew {
  readonly partition: number;
  readonly input: number;
  readonly bytes: number;
  readonly shares: number;
}

export interface ExchangeLayout {
  readonly chunks: readonly PartitionRange[];
  readonly skewed: readonly Skew[];
}

export interface LayoutOptions {
  /** Bytes of all inputs that a chunk should read, however few. */
  readonly targetBytes: number;
  /** Tasks that can run at once: never fewer chunks than this, as long as each has enough to do. */
  readonly slots: number;
}

/** Below this a chunk costs more to start than to run. */
const worthwhileBytes = 1024 * 1024;
/** A partition is skewed when it is so many times as large as the one in the middle. */
const skewFactor = 4;

/** Bytes of sources for each partition of their exchanges, as files have them. */
const bytesPerPartition = 128 * 1024 * 1024;
const partitionsMin = 4;
const partitionsMax = 256;

/** How many partitions the exchanges of a job have that reads so many bytes; a power of two. */
export function exchangePartitions(sourceBytes: number): number {
  let partitions = partitionsMin;
  while (partitions < partitionsMax && partitions * bytesPerPartition < sourceBytes)
    partitions *= 2;
  return partitions;
}

/** Partitions that a division has; 0 where nothing is divided. */
export function partitionCount(divide: Division | undefined): number {
  if (!divide) return 0;
  return divide.kind === 'hash' ? divide.partitions : divide.bounds.length + 1;
}

/** @param inputs divided into the same number of partitions; at least one */
export function exchangeLayout(
  inputs: readonly ExchangeSizes[],
  options: LayoutOptions,
): ExchangeLayout {
  const partitions = inputs[0]?.partitions ?? 0;
  const byInput = inputs.map((input) => partitionBytes(input));
  const total = Array.from({ length: partitions }, (_, partition) =>
    byInput.reduce((sum, bytes) => sum + bytes[partition]!, 0),
  );
  const all = total.reduce((sum, bytes) => sum + bytes, 0);
  const even = all / Math.max(1, options.slots);
  const most = Math.min(options.targetBytes, Math.max(worthwhileBytes, even));
  // Equal chunks rather than full ones and a rest.
  const target = all / Math.max(1, Math.ceil(all / most - 1e-9));
  const middle = median(total.filter((bytes) => bytes > 0));
  const chunks: PartitionRange[] = [];
  const skewed: Skew[] = [];
  let open: { from: number; bytes: number } | undefined;
  const close = (to: number): void => {
    if (open) chunks.push({ from: open.from, to });
    open = undefined;
  };
  for (let partition = 0; partition < partitions; partition += 1) {
    const bytes = total[partition]!;
    const input = divisibleInput(inputs, byInput, partition);
    if (input !== undefined && bytes > 2 * target && bytes > skewFactor * middle) {
      const shares = producerShares(inputs[input]!, partition, target);
      if (shares.length > 1) {
        close(partition);
        for (const share of shares) {
          chunks.push({ from: partition, to: partition + 1, share: { input, ...share } });
        }
        skewed.push({ partition, input, bytes, shares: shares.length });
        continue;
      }
    }
    if (open && open.bytes + bytes / 2 > target) close(partition);
    open ??= { from: partition, bytes: 0 };
    open.bytes += bytes;
  }
  close(partitions);
  return { chunks, skewed };
}

/** Bytes of each partition, from all producers. */
export function partitionBytes({ partitions, bytes }: ExchangeSizes): number[] {
  const sums = new Array<number>(partitions).fill(0);
  for (const producer of bytes) for (const part of producer) sums[part.partition]! += part.bytes;
  return sums;
}

/** The largest input of those whose rows may be dealt out. */
function divisibleInput(
  inputs: readonly ExchangeSizes[],
  byInput: readonly (readonly number[])[],
  partition: number,
): number | undefined {
  let largest: number | undefined;
  inputs.forEach(({ divisible }, index) => {
    const bytes = byInput[index]![partition]!;
    if (divisible && (largest === undefined || bytes > byInput[largest]![partition]!)) {
      largest = index;
    }
  });
  return largest;
}

/** Runs of producers that bring about `target` bytes of the partition each. */
function producerShares(
  { bytes }: ExchangeSizes,
  partition: number,
  target: number,
): { from: number; to: number }[] {
  const shares: { from: number; to: number }[] = [];
  let from = 0;
  let taken = 0;
  bytes.forEach((producer, index) => {
    const brought = producer.reduce(
      (sum, part) => sum + (part.partition === partition ? part.bytes : 0),
      0,
    );
    if (taken > 0 && taken + brought / 2 > target) {
      shares.push({ from, to: index });
      from = index;
      taken = 0;
    }
    taken += brought;
  });
  shares.push({ from, to: bytes.length });
  return shares;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? 0;
}
