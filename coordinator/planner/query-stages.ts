/**
 * The next stages of a query, from the sizes of those that are done: what `distribute` decides,
 * laid out in chunks and tasks. Asked again after a restart, it answers the same. Pure.
 */
import { sha256Hex } from '../../shared/chunk-identity.js';
import { stageId, type StageId } from '../../shared/ids.js';
import { limits } from '../../shared/limits.js';
import type {
  InputFile,
  PlanNote,
  QueryInput,
  RowLayout,
  StagePlan,
  StageProgram,
  TableRef,
} from '../../shared/plan.js';
import { distribute, type SourceSize } from './relational/distribute.js';
import type { Fragment, PhysicalStage, StageSize } from './relational/physical.js';
import { canonical } from './relational/canonical.js';
import type { Column, Query, Relation } from './relational/relation.js';
import { gatheredProgram, resultProgram, stageProgram } from './relational/stage-program.js';
import { inOrder, narrowed, scanOf } from './relational/wrap.js';
import { Estimates } from './relational/estimate.js';
import { columnExpression } from './relational/expression.js';
import { layOut, type LayoutFacts } from './stage-layout.js';
import { programDigest } from './program-digest.js';
import { bytesPerRow, rowsRead } from './splits.js';

/** A query's stage before it is laid out. */
export type QueryStage = StagePlan & { readonly input: QueryInput };

export interface QueryState extends LayoutFacts {
  readonly query: QueryStage;
  /** Stages that it had added, all done. */
  readonly parts: readonly StagePlan[];
}

export interface QueryStep {
  /** To run now; empty when `final` is there. */
  readonly stages: readonly StagePlan[];
  /** The query's own stage, laid out. */
  readonly final?: StagePlan;
  /** Rows that each of them gives, about, from the true sizes of what it reads. */
  readonly expected: ReadonlyMap<StageId, number>;
  readonly notes: readonly PlanNote[];
}

/** Up to this many bytes a side of a join is read whole by every chunk of the other. */
const broadcastBytes = 64 * 1024 * 1024;
/** Up to this many bytes of its files a source is read by every chunk itself. */
const inlineBytes = 8 * 1024 * 1024;
/** Up to this many bytes one chunk sorts by itself. */
const sortBytes = 64 * 1024 * 1024;

/** @throws WindrowError E_TYPE_UNSUPPORTED */
export function planQuery(state: QueryState): QueryStep {
  const { relational } = state.query.input;
  if (relational === undefined) return gathered(state);
  const query = JSON.parse(relational) as Query;
  const keys = new Map(state.parts.map((part) => [part.part!.key, part.id]));
  const results = new Map(
    [...keys].map(([key, id]): [string, StageSize] => [key, state.results(id)]),
  );
  const sources = tableSizes(state);
  const found = distribute(query, { sources, results, broadcastBytes, inlineBytes, sortBytes });
  const adding = new Adding(state, keys, sources);
  if (!found.complete) {
    for (const stage of found.stages) {
      adding.part(stage, stageProgram(stage, state.query.input.partitions));
    }
    return adding.step();
  }
  const { fragments, result } = found;
  const [only] = fragments;
  if (only && fragments.length === 1 && !state.query.input.layout) {
    return adding.final(only, resultProgram(result, only));
  }
  return rearranged(state, result, fragments, adding);
}

/** For a result that is there already: no chunk at all. */
export function nothingToDo(query: QueryStage): StagePlan {
  const table = { kind: 'stages', stages: [] } as const;
  const driving = { kind: 'split', leaf: '', table, units: 0, starts: [] } as const;
  return { ...query, input: { kind: 'exchange', driving, whole: [] }, taskStarts: [] };
}

/** Several fragments, or an order of its own for chunks: the rows are kept, then dealt out. */
function rearranged(
  { query, results }: QueryState,
  result: readonly Column[],
  fragments: readonly Fragment[],
  adding: Adding,
): QueryStep {
  const { layout = {} } = query.input;
  const needed = new Set(result.map(({ id }) => id));
  const first = narrowed(fragments[0]!.relation, needed).columns;
  const keys = result
    .filter(({ name }) => layout.keys?.includes(name) ?? true)
    .map(columnExpression);
  /** @param into partitions; absent where each chunk's rows stay together */
  const keep = (key: string, fragment: Fragment, into: number | undefined): void => {
    if (adding.has(key)) return;
    const { columns } = fragment.relation;
    const divide = into === undefined ? {} : { divide: { kind: 'hash', keys } as const };
    const stage: PhysicalStage = { ...canonical({ fragment, columns, ...divide }), key };
    const program = stageProgram(stage, into ?? 0);
    const { compression } = query.program.sink;
    // A size that is asked for is that of files of the result.
    const sink = layout.targetBytes === undefined ? {} : { compression };
    adding.part(stage, { ...program, sink: { ...program.sink, ...sink } });
  };
  const names = fragments.map((_, index) => `result ${index}`);
  const atOnce = layout.targetBytes === undefined ? partitionsKnown(query) : undefined;
  for (const [index, fragment] of fragments.entries()) {
    const relation = inOrder(narrowed(fragment.relation, needed), first);
    keep(names[index]!, { ...fragment, relation }, atOnce);
  }
  if (adding.some) return adding.step();
  const leaf = 'result';
  const rowsOf = (driving: Fragment['driving']): Fragment => {
    return { driving, sides: [], relation: scanOf(leaf, first), hashed: [] };
  };
  const kept = rowsOf({ kind: 'chunks', leaf, stages: names });
  const sizes = names.flatMap((name) => results(adding.stageOf(name)).chunks);
  const into = partitionsOfSize(layout, sizes);
  if (into !== undefined) keep(dealtOut, kept, into);
  if (adding.some) return adding.step();
  if (atOnce === undefined && into === undefined) {
    return adding.final(kept, resultProgram(result, kept));
  }
  const stages = into === undefined ? names : [dealtOut];
  const inputs = [{ leaf, stages, divisible: false }];
  const rows = rowsOf({ kind: 'partitions', inputs });
  return adding.final(rows, resultProgram(result, rows));
}

/** What the stage is called whose rows are divided once their size is known. */
const dealtOut = 'dealt out';
/** Keys are divided into so many times as many partitions as chunks: taken together, they come out even. */
const partitionsPerChunk = 4;
/** A chunk of up to so many times the size that is asked for is about as large. */
const aboutAsLarge = 1.5;

/** Partitions that rows are dealt out to; undefined where only their size could tell. */
function partitionsKnown({ input: { layout, partitions } }: QueryStage): number | undefined {
  return layout?.partitions ?? (layout?.keys && partitions);
}

/** For chunks of the size that is asked for; undefined where the kept ones have only to be put together. */
function partitionsOfSize(
  { targetBytes, keys }: RowLayout,
  kept: readonly { readonly bytes: number }[],
): number | undefined {
  if (targetBytes === undefined) return undefined;
  const chunks = Math.ceil(kept.reduce((sum, { bytes }) => sum + bytes, 0) / targetBytes);
  const small = kept.every(({ bytes }) => bytes <= targetBytes * aboutAsLarge);
  if (chunks <= 1 || (keys === undefined && small)) return undefined;
  return Math.min(limits.partitionsPerExchange, chunks * (keys ? partitionsPerChunk : 1));
}

/** All of it in one chunk. */
function gathered(state: QueryState): QueryStep {
  const { input } = state.query;
  const leaves = Object.entries(input.tables);
  const sides = leaves.map(([leaf]) => ({ kind: 'source', leaf, source: leaf }) as const);
  const program = gatheredProgram(
    input.sql,
    leaves.map(([leaf, { columns }]) => ({ leaf, columns })),
    state.query.program.sink.columns,
  );
  return new Adding(state, new Map(), new Map()).final(
    { driving: { kind: 'once' }, sides },
    program,
  );
}

/** A fragment; without its relation where the query itself is all that is known. */
type Placed = Pick<Fragment, 'driving' | 'sides'> & Partial<Pick<Fragment, 'relation'>>;

class Adding {
  private readonly added: StagePlan[] = [];
  private readonly notes: PlanNote[] = [];
  private readonly expected = new Map<StageId, number>();

  constructor(
    private readonly state: QueryState,
    private readonly keys: Map<string, StageId>,
    private readonly tables: ReadonlyMap<string, SourceSize>,
  ) {}

  get some(): boolean {
    return this.added.length > 0;
  }

  has(key: string): boolean {
    return this.keys.has(key);
  }

  /** Of those that were there before. */
  stageOf(key: string): StageId {
    return this.keys.get(key)!;
  }

  part({ key, fragment, bounds }: PhysicalStage, program: StageProgram): void {
    const { query, parts } = this.state;
    const id = stageId(`${query.id}_${parts.length + this.added.length + 1}`);
    this.added.push({
      ...this.stage(id, fragment, program),
      part: { of: query.id, key, ...(bounds ? { bounds: true } : {}) },
    });
  }

  step(): QueryStep {
    return { stages: this.added, expected: this.expected, notes: this.notes };
  }

  /** What lands is as the output wants it. */
  final(fragment: Placed, program: StageProgram): QueryStep {
    const { query } = this.state;
    const { sink, steps } = query.program;
    const final = this.stage(query.id, fragment, { ...program, sink, steps });
    return { stages: [], final, expected: this.expected, notes: this.notes };
  }

  /** As conditions, joins and groups leave them, about. */
  private rowsOf({ driving, sides }: Placed, relation: Relation): number {
    const rows = new Map<string, { rows: number }>();
    const inputs = driving.kind === 'partitions' ? driving.inputs : [driving];
    for (const each of [...inputs, ...sides]) {
      if ('source' in each) rows.set(each.leaf, { rows: this.tables.get(each.source)!.rows });
      if (!('stages' in each)) continue;
      const all = each.stages.map((key) => this.state.results(this.stageOf(key)).rows);
      rows.set(each.leaf, { rows: all.reduce((sum, count) => sum + count, 0) });
    }
    return new Estimates(rows).of(relation).rows;
  }

  private stage(id: StageId, fragment: Placed, program: StageProgram): StagePlan {
    const { query } = this.state;
    if (fragment.relation) this.expected.set(id, this.rowsOf(fragment, fragment.relation));
    const { tables } = query.input;
    const stageOf = (key: string): StageId => this.stageOf(key);
    const { layout } = query.input;
    const facts = { ...this.state, ...(layout && id === query.id ? { wanted: layout } : {}) };
    const { input, rows, taskStarts, notes } = layOut(id, fragment, tables, stageOf, facts);
    this.notes.push(...notes);
    const ready = withPathColumns(program, fragment, tables, this.state.sources);
    const { pool, deterministic, standsFor = [] } = query;
    const work = programDigest(ready, query.input.versions);
    // Equal work that draws its rows at random is not the same work, in this query or another.
    const digest = deterministic ? work : sha256Hex(`${work}\n${id}`);
    const devices: StagePlan['devices'] = [];
    const place = { pool, devices, rows };
    return { id, input, program: ready, digest, deterministic, standsFor, taskStarts, ...place };
  }
}

/** Columns of the path are not in the files. */
function withPathColumns(
  program: StageProgram,
  { driving, sides }: Pick<Fragment, 'driving' | 'sides'>,
  tables: Readonly<Record<string, TableRef>>,
  sources: Readonly<Record<string, readonly InputFile[]>>,
): StageProgram {
  const { query } = program;
  if (!query) return program;
  const named = new Map<string, string>();
  for (const each of [driving, ...sides])
    if (each.kind === 'source') named.set(each.leaf, each.source);
  const leaves = query.leaves.map((leaf) => {
    const table = tables[named.get(leaf.leaf) ?? ''];
    const hive = table?.kind === 'source' ? (sources[table.source]?.[0]?.hive ?? {}) : {};
    if (!leaf.columns.some(({ name }) => name in hive)) return leaf;
    return {
      ...leaf,
      columns: leaf.columns.filter(({ name }) => !(name in hive)),
      hive: leaf.columns.filter(({ name }) => name in hive),
    };
  });
  return { ...program, query: { ...query, leaves } };
}

function tableSizes({ query, sources, results }: QueryState): Map<string, SourceSize> {
  const sizes = Object.entries(query.input.tables).map(([name, table]): [string, SourceSize] => {
    if (table.kind === 'source') {
      const { ranged = [] } = table;
      const columns = ranged.map(({ column }) => column);
      const files = sources[table.source] ?? [];
      const bytes = files.reduce((sum, file) => sum + bytesPerRow(file) * rowsRead([file]), 0);
      return [name, { bytes, rows: rowsRead(files), ranged: columns }];
    }
    const all = table.stages.map(results);
    return [
      name,
      {
        bytes: all.reduce((sum, { bytes }) => sum + bytes, 0),
        rows: all.reduce((sum, { rows }) => sum + rows, 0),
      },
    ];
  });
  return new Map(sizes);
}
