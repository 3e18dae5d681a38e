/**
 * Chunks and tasks of one stage of a query, from the true sizes of what it reads. Chunks depend on
 * those sizes alone, never on how many slots there are, so that any number of workers can reuse
 * them. Pure.
 */
import type { StageId } from '../../shared/ids.js';
import { limits } from '../../shared/limits.js';
import type {
  DrivingInput,
  ExchangeInput,
  InputFile,
  PartitionRange,
  PlanNote,
  QueryTable,
  RangedColumn,
  RowLayout,
  SourceRange,
  TableRef,
  WholeInput,
} from '../../shared/plan.js';
import {
  exchangeLayout,
  type ExchangeLayout,
  type ExchangeSizes,
  partitionBytes,
} from './exchange-layout.js';
import { filesAmong } from './ranged-files.js';
import type { Driving, Fragment, Side, StageSize } from './relational/physical.js';
import { bytesPerRow, rowsRead, sourceChunks, taskStarts } from './splits.js';

/** A finished stage, chunk by chunk. */
export interface StageResult extends StageSize {
  /** 0 where it is not divided. */
  readonly partitions: number;
  readonly chunks: readonly {
    readonly bytes: number;
    /** Of a divided stage: its partitions with rows. */
    readonly parts: readonly { readonly partition: number; readonly bytes: number }[];
  }[];
}

export interface LayoutFacts {
  readonly sources: Readonly<Record<string, readonly InputFile[]>>;
  /** Of stages that are done. */
  readonly results: (stage: StageId) => StageResult;
  /** Tasks that can run at once, as far as is known now. */
  readonly slots: number;
  /** What a user wants of these chunks. */
  readonly wanted?: RowLayout;
}

export interface StageLayout {
  readonly input: ExchangeInput;
  readonly taskStarts: readonly number[];
  /** Of sources that enter chunk by chunk. */
  readonly rows: number;
  readonly notes: readonly PlanNote[];
}

/** Bytes that a chunk behind an exchange should read, as the parts lie in files. */
const chunkBytes = 64 * 1024 * 1024;
/** Chunks that an exchange should leave at least, where there is enough for each to do. */
const chunksAtLeast = 8;
/** Bytes of files that a chunk of a source should read at least: fewer are done before they are dealt out. */
const worthwhileBytes = 4 * 1024 * 1024;

interface Laid {
  readonly driving: DrivingInput;
  /** Bytes of each chunk. */
  readonly weights: readonly number[];
  readonly rows: number;
  readonly notes: readonly PlanNote[];
}

/** What the names in a fragment stand for. */
interface Names {
  readonly tableOf: (source: string) => TableRef;
  readonly stagesOf: (keys: readonly string[]) => TableRef;
  /** Whether no file of the source may be cut. */
  readonly isRanged: (source: string) => boolean;
}

/** @param stageOf the stage that a key of the fragment stands for */
export function layOut(
  id: StageId,
  { driving, sides }: Pick<Fragment, 'driving' | 'sides'>,
  tables: Readonly<Record<string, TableRef & Pick<QueryTable, 'ranged'>>>,
  stageOf: (key: string) => StageId,
  facts: LayoutFacts,
): StageLayout {
  const stagesOf = (keys: readonly string[]): TableRef => ({
    kind: 'stages',
    stages: keys.map(stageOf),
  });
  const tableOf = (source: string): TableRef => plain(tables[source]!);
  const isRanged = (source: string): boolean => (tables[source]!.ranged ?? []).length > 0;
  const laid = layOutDriving(id, driving, { tableOf, stagesOf, isRanged }, facts);
  const whole = sides.map((side): WholeInput => {
    if (side.kind === 'stages') return { leaf: side.leaf, table: stagesOf(side.stages) };
    const input = { leaf: side.leaf, table: tableOf(side.source) };
    if (!side.among || driving.kind !== 'source' || laid.driving.kind !== 'split') return input;
    return { ...input, slices: slicesAmong(laid.driving, driving.source, side, tables, facts) };
  });
  const rowsWhole = (): number =>
    whole.reduce(
      (sum, { table }) =>
        table.kind === 'source' ? sum + rowsRead(facts.sources[table.source] ?? []) : sum,
      0,
    );
  return {
    input: { kind: 'exchange', driving: laid.driving, whole },
    taskStarts: taskStarts(laid.weights, facts.slots),
    rows: driving.kind === 'once' ? rowsWhole() : laid.rows,
    notes: laid.notes,
  };
}

function layOutDriving(
  id: StageId,
  driving: Driving,
  { tableOf, stagesOf, isRanged }: Names,
  facts: LayoutFacts,
): Laid {
  switch (driving.kind) {
    case 'once':
      return { driving: { kind: 'once' }, weights: [0], rows: 0, notes: [] };
    case 'source':
      return split(driving.leaf, tableOf(driving.source), facts, isRanged(driving.source));
    case 'chunks':
      return split(driving.leaf, stagesOf(driving.stages), facts);
    case 'partitions':
      return layOutPartitions(id, driving, stagesOf, facts);
  }
}

function split(leaf: string, table: TableRef, facts: LayoutFacts, whole = false): Laid {
  if (table.kind === 'source') {
    return splitSource(leaf, table, facts.sources[table.source] ?? [], whole);
  }
  const sizes = table.stages.flatMap((stage) =>
    facts.results(stage).chunks.map(({ bytes }) => bytes),
  );
  const target = facts.wanted?.targetBytes ?? chunkBytes / chunksAtLeast;
  const starts: number[] = [];
  const weights: number[] = [];
  sizes.forEach((bytes, unit) => {
    const last = weights.at(-1);
    if (last !== undefined && last + bytes / 2 <= target) {
      weights[weights.length - 1] = last + bytes;
    } else {
      starts.push(unit);
      weights.push(bytes);
    }
  });
  const driving = { kind: 'split', leaf, table, units: sizes.length, starts } as const;
  return { driving, weights, rows: 0, notes: [] };
}

/**
 * Ranges that follow one another are one chunk, across files, too: about an eighth of the source,
 * if that is worth while, and not too many rows.
 * @param whole no file is cut: rows that are equal in some column are then in the same chunk
 */
function splitSource(
  leaf: string,
  table: TableRef,
  files: readonly InputFile[],
  whole: boolean,
): Laid {
  const ranges = sourceChunks({ kind: 'source', source: '', files });
  const units = whole
    ? runsOfFiles(ranges)
    : ranges.map((_, unit) => ({ from: unit, to: unit + 1 }));
  const perRow = files.map(bytesPerRow);
  const sizes = units.map(({ from, to }) => sizeOf(ranges.slice(from, to), perRow));
  const all = sumOf(sizes);
  const even = Math.max(worthwhileBytes, all.bytes / chunksAtLeast);
  const starts: number[] = [];
  const weights: number[] = [];
  let rows = 0;
  units.forEach(({ from }, at) => {
    const size = sizes[at]!;
    const last = weights.at(-1);
    if (last === undefined || last + size.bytes > even || rows + size.rows > limits.wideChunkRows) {
      starts.push(from);
      weights.push(size.bytes);
      rows = size.rows;
    } else {
      weights[weights.length - 1] = last + size.bytes;
      rows += size.rows;
    }
  });
  const driving = { kind: 'split', leaf, table, units: ranges.length, starts } as const;
  return { driving, weights, rows: all.rows, notes: [] };
}

interface Size {
  readonly rows: number;
  readonly bytes: number;
}

function sizeOf(ranges: readonly SourceRange[], perRow: readonly number[]): Size {
  return sumOf(
    ranges.map(({ file, rowStart, rowEnd }) => {
      const rows = rowEnd - rowStart;
      return { rows, bytes: rows * perRow[file]! };
    }),
  );
}

function sumOf(sizes: readonly Size[]): Size {
  return {
    rows: sizes.reduce((sum, { rows }) => sum + rows, 0),
    bytes: sizes.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}

/** What each chunk reads of a side whose files are ranged as those of its own source are. */
function slicesAmong(
  laid: Extract<DrivingInput, { kind: 'split' }>,
  drivingSource: string,
  { source, among }: Extract<Side, { kind: 'source' }>,
  tables: Readonly<Record<string, TableRef & Pick<QueryTable, 'ranged'>>>,
  facts: LayoutFacts,
): NonNullable<WholeInput['slices']> {
  const rangesOf = (name: string): SourceRange[] => {
    const table = tables[name]!;
    const files = table.kind === 'source' ? (facts.sources[table.source] ?? []) : [];
    return sourceChunks({ kind: 'source', source: name, files });
  };
  const columnOf = (name: string, wanted: string): RangedColumn =>
    tables[name]!.ranged!.find(({ column }) => column === wanted)!;
  const own = rangesOf(drivingSource);
  const runs = laid.starts.map((start, at) => [
    ...new Set(own.slice(start, laid.starts[at + 1] ?? laid.units).map(({ file }) => file)),
  ]);
  const units = new Map<number, { from: number; to: number }>();
  const other = rangesOf(source);
  for (const run of runsOfFiles(other)) units.set(other[run.from]!.file, run);
  const found = filesAmong(
    columnOf(drivingSource, among!.driving),
    columnOf(source, among!.column),
    runs,
  );
  return found.map((files) => {
    const slices: [number, number][] = [];
    for (const { from, to } of files.flatMap((file) => units.get(file) ?? [])) {
      const last = slices.at(-1);
      if (last?.[1] === from) last[1] = to;
      else slices.push([from, to]);
    }
    return slices;
  });
}

/** The ranges of each file, by their numbers. */
function runsOfFiles(ranges: readonly SourceRange[]): { from: number; to: number }[] {
  const runs: { from: number; to: number }[] = [];
  ranges.forEach(({ file }, unit) => {
    const last = runs.at(-1);
    if (last && ranges[last.from]!.file === file) last.to = unit + 1;
    else runs.push({ from: unit, to: unit + 1 });
  });
  return runs;
}

function layOutPartitions(
  id: StageId,
  { inputs }: Extract<Driving, { kind: 'partitions' }>,
  stagesOf: (keys: readonly string[]) => TableRef,
  facts: LayoutFacts,
): Laid {
  const read = inputs.map(({ leaf, stages, divisible }) => {
    const table = stagesOf(stages);
    const ids = table.kind === 'stages' ? table.stages : [];
    return { leaf, stages: ids, divisible };
  });
  const sizes = read.map(({ stages, divisible }): ExchangeSizes => {
    const results = stages.map(facts.results);
    const bytes = results.flatMap(({ chunks }) => chunks.map(({ parts }) => parts));
    return { partitions: results[0]?.partitions ?? 0, bytes, divisible };
  });
  const { chunks, skewed } = rangesOf(sizes, facts.wanted);
  const notes = skewed.map(({ partition, input, bytes, shares }): PlanNote => ({
    kind: 'exchange',
    step: id,
    text: `partition ${partition} of ${read[input]!.stages.join(' and ')} has ${bytes} bytes, far more than others: it is dealt out to ${shares} chunks`,
  }));
  const weights = bytesRead(sizes, chunks);
  const driving = {
    kind: 'partitions',
    inputs: read.map(({ leaf, stages }) => ({ leaf, stages })),
    ranges: chunks,
  } as const;
  return { driving, weights, rows: 0, notes };
}

/** Who wants so many partitions gets each as one chunk, however small. */
function rangesOf(
  sizes: readonly ExchangeSizes[],
  { partitions, targetBytes }: RowLayout = {},
): ExchangeLayout {
  if (partitions === undefined) {
    const slots = targetBytes === undefined ? chunksAtLeast : 1;
    return exchangeLayout(sizes, { targetBytes: targetBytes ?? chunkBytes, slots });
  }
  const chunks = Array.from({ length: partitions }, (_, from) => ({ from, to: from + 1 }));
  return { chunks, skewed: [] };
}

/** Bytes of each chunk. */
function bytesRead(sizes: readonly ExchangeSizes[], chunks: readonly PartitionRange[]): number[] {
  const all = sizes.map(partitionBytes);
  return chunks.map(({ from, to, share }) =>
    sizes.reduce((sum, input, at) => {
      const bytes =
        share?.input === at
          ? partitionBytes({ ...input, bytes: input.bytes.slice(share.from, share.to) })
          : all[at]!;
      return bytes.slice(from, to).reduce((total, each) => total + each, sum);
    }, 0),
  );
}

/** Without what is known of the table besides. */
function plain(table: TableRef): TableRef {
  return table.kind === 'source'
    ? { kind: 'source', source: table.source }
    : { kind: 'stages', stages: table.stages };
}
