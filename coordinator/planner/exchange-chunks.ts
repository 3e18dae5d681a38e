/** What each chunk of a laid-out stage reads, of sources and of other stages' chunks. Pure. */
import type {
  ExchangeInput,
  InputFile,
  SourceRange,
  StagePlan,
  TableRef,
} from '../../shared/plan.js';
import type { StageId } from '../../shared/ids.js';
import { sourceChunks } from './splits.js';

export interface PlacedRange {
  readonly file: InputFile;
  readonly range: SourceRange;
}

/** Chunks [from, to) of a stage. */
export interface ChunkRun {
  readonly stage: StageId;
  readonly from: number;
  readonly to: number;
}

/** What a chunk reads under one leaf's name. */
export interface LeafNeeds {
  readonly leaf: string;
  readonly ranges: readonly PlacedRange[];
  readonly runs: readonly ChunkRun[];
  /** Only these of the runs' divided files: [from, to). */
  readonly partitions?: { readonly from: number; readonly to: number };
}

/** What lies behind the names of tables. */
export interface TableFacts {
  /** All row ranges of a source, in order. */
  readonly ranges: (source: string) => readonly PlacedRange[];
  /** Chunks of a stage. */
  readonly count: (stage: StageId) => number;
}

export function exchangeChunkCount({ driving }: ExchangeInput): number {
  switch (driving.kind) {
    case 'split':
      return driving.starts.length;
    case 'partitions':
      return driving.ranges.length;
    case 'once':
      return 1;
  }
}

/** Chunks of a stage; undefined while the sizes of what it reads are not known. */
export function plannedChunkCount({ input }: StagePlan): number | undefined {
  switch (input.kind) {
    case 'source':
      return sourceChunks(input).length;
    case 'exchange':
      return exchangeChunkCount(input);
    case 'empty':
      return input.chunks;
    case 'stage':
    case 'query':
      return undefined;
  }
}

/** Every leaf of the chunk, each once. */
export function leafNeeds(
  { driving, whole }: ExchangeInput,
  chunk: number,
  facts: TableFacts,
): LeafNeeds[] {
  const sides = whole.map(({ leaf, table, slices }) => {
    if (!slices) return { leaf, ...wholeTable(table, facts) };
    const units = (slices[chunk] ?? []).map(([from, to]) => unitsOf(table, from, to, facts));
    return {
      leaf,
      ranges: units.flatMap(({ ranges }) => ranges),
      runs: units.flatMap(({ runs }) => runs),
    };
  });
  switch (driving.kind) {
    case 'once':
      return sides;
    case 'split': {
      const from = driving.starts[chunk] ?? driving.units;
      const to = driving.starts[chunk + 1] ?? driving.units;
      return [{ leaf: driving.leaf, ...unitsOf(driving.table, from, to, facts) }, ...sides];
    }
    case 'partitions': {
      const range = driving.ranges[chunk];
      if (!range) throw new RangeError(`there is no chunk ${chunk}`);
      const { from, to, share } = range;
      const inputs = driving.inputs.map(({ leaf, stages }, at): LeafNeeds => {
        const table = { kind: 'stages', stages } as const;
        const read =
          share?.input === at
            ? unitsOf(table, share.from, share.to, facts)
            : wholeTable(table, facts);
        return { leaf, ...read, partitions: { from, to } };
      });
      return [...inputs, ...sides];
    }
  }
}

/** Stages whose chunks a stage reads, each once. */
export function stagesRead({ input }: StagePlan): readonly StageId[] {
  switch (input.kind) {
    case 'source':
    case 'empty':
      return [];
    case 'stage':
      return [input.stage];
    case 'query':
      return distinct(Object.values(input.tables).flatMap(stagesOf));
    case 'exchange':
      return distinct([
        ...drivingStages(input.driving),
        ...input.whole.flatMap(({ table }) => stagesOf(table)),
      ]);
  }
}

function drivingStages(driving: ExchangeInput['driving']): readonly StageId[] {
  if (driving.kind === 'split') return stagesOf(driving.table);
  return driving.kind === 'partitions' ? driving.inputs.flatMap(({ stages }) => stages) : [];
}

function stagesOf(table: TableRef): readonly StageId[] {
  return table.kind === 'stages' ? table.stages : [];
}

function distinct(stages: readonly StageId[]): StageId[] {
  return [...new Set(stages)];
}

type Units = Pick<LeafNeeds, 'ranges' | 'runs'>;

function wholeTable(table: TableRef, facts: TableFacts): Units {
  if (table.kind === 'source') return { ranges: facts.ranges(table.source), runs: [] };
  return {
    ranges: [],
    runs: table.stages.map((stage) => ({ stage, from: 0, to: facts.count(stage) })),
  };
}

/** Units [from, to) of all that the table's parts have, one part after the other. */
function unitsOf(table: TableRef, from: number, to: number, facts: TableFacts): Units {
  if (table.kind === 'source') {
    return { ranges: facts.ranges(table.source).slice(from, to), runs: [] };
  }
  const runs: ChunkRun[] = [];
  let before = 0;
  for (const stage of table.stages) {
    const count = facts.count(stage);
    const first = Math.max(from - before, 0);
    const last = Math.min(to - before, count);
    if (first < last) runs.push({ stage, from: first, to: last });
    before += count;
  }
  return { ranges: [], runs };
}
