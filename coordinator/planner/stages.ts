/** Turns stage drafts into stage plans: columns, pruning, programs, digests, tasks. Pure. */
import { canonicalJson } from '../../shared/chunk-identity.js';
import { stageId, type StageId } from '../../shared/ids.js';
import { parseByteSize } from '../../shared/byte-size.js';
import type { JobSpec, OutputSpec } from '../../shared/job-spec.js';
import type {
  ColumnDef,
  Device,
  InputFile,
  PlanNote,
  ProgramStep,
  SinkProgram,
  SourceInput,
  StagePlan,
  StageProgram,
} from '../../shared/plan.js';
import type { StageDraft } from './drafts.js';
import { queryStage } from './query-draft.js';
import type { Facts, Operator, QueryFacts, SourceFacts } from './facts.js';
import type { Chain } from './logical.js';
import { leadingConjuncts, pruneSource, scansOf } from './pruning.js';
import { programDigest } from './program-digest.js';
import { dropColumns, moveFilters, neededColumns } from './pushdown.js';
import { bytesPerRow, sourceChunks, taskStarts } from './splits.js';
import { landed } from './types.js';
import { quoteName } from '../../shared/sql-text.js';

export interface PlannedStages {
  readonly stages: readonly StagePlan[];
  readonly notes: readonly PlanNote[];
  /** By index of the output in the spec: the stage that is published there. */
  readonly finals: ReadonlyMap<number, StageId>;
  /** Files of the sources that queries read. */
  readonly sources: ReadonlyMap<string, readonly InputFile[]>;
  readonly rowsTotal: number;
  readonly rowsPruned: number;
}

export function planStages(
  spec: JobSpec,
  drafts: readonly StageDraft[],
  facts: Facts,
  slots: number,
): PlannedStages {
  const planning = new StagePlanning(spec, facts, slots);
  for (const draft of drafts) planning.add(planning.narrow(draft), undefined);
  return planning;
}

/** Whether an output's files are made from finished chunks. */
export function rewritesChunks(output: OutputSpec): boolean {
  return output.partitionBy !== undefined || output.targetFileSize !== undefined;
}

export function targetBytes(output: OutputSpec | undefined): number | undefined {
  return output?.targetFileSize === undefined ? undefined : parseByteSize(output.targetFileSize);
}

/** A draft with its filters moved and its columns dropped. */
interface Narrowed {
  readonly draft: StageDraft;
  readonly operators: readonly Operator[];
  /** Columns that enter: typed as the step before made them. */
  readonly scan: readonly ColumnDef[];
  /** Columns that leave. */
  readonly sink: readonly ColumnDef[];
  readonly children: readonly Narrowed[];
  readonly notes: readonly PlanNote[];
}

class StagePlanning implements PlannedStages {
  readonly stages: StagePlan[] = [];
  readonly notes: PlanNote[] = [];
  readonly finals = new Map<number, StageId>();
  rowsTotal = 0;
  rowsPruned = 0;
  /** Stages by what they do and what they read. */
  private readonly made = new Map<string, StageId>();
  /** Stages by the names under which queries read their rows. */
  private readonly tables = new Map<string, StageId>();
  readonly sources = new Map<string, readonly InputFile[]>();

  constructor(
    private readonly spec: JobSpec,
    private readonly facts: Facts,
    private readonly slots: number,
  ) {}

  /** From the outputs back: what a stage must keep is what its readers need. */
  narrow(draft: StageDraft, entering?: readonly ColumnDef[]): Narrowed {
    const before = columnsOf(draft.origin) ?? entering ?? [];
    const after = columnsAfter(draft.operators, before);
    const children = draft.children.map((child) => this.narrow(child, after));
    const wanted = draft.final
      ? new Set(after.map((column) => column.name))
      : new Set([
          ...children.flatMap((child) => child.scan.map((column) => column.name)),
          ...draft.tables.flatMap((table) => this.columnsRead(table)),
        ]);
    const { operators: moved, notes } = moveFilters(draft.operators);
    const sink = neededColumns(after, wanted);
    const { operators, needed } = dropColumns(
      moved,
      sink.map((column) => column.name),
    );
    return { draft, operators, scan: neededColumns(before, needed), sink, children, notes };
  }

  /** Columns that any query reads of a step. */
  private columnsRead(table: string): string[] {
    return [...this.facts.queries.values()].flatMap(({ tables }) =>
      tables.flatMap(({ id, columns }) => (id === table ? columns.map(({ name }) => name) : [])),
    );
  }

  /** What an equal stage does already is not done twice: its chunks serve both. */
  add(narrowed: Narrowed, upstream: StageId | undefined): void {
    const { draft, scan, operators } = narrowed;
    const { origin } = draft;
    if (origin.kind === 'query') return this.addQuery(narrowed, origin.query);
    const hive = new Set(
      origin.kind === 'source' ? origin.source.hive.map(({ name }) => name) : [],
    );
    const program: StageProgram = {
      scan: {
        kind: origin.kind === 'source' ? 'source' : 'chunks',
        columns: scan
          .filter(({ name }) => !hive.has(name))
          .map((column) => (origin.kind === 'source' ? column : landed(column))),
        hive: scan.filter(({ name }) => hive.has(name)),
      },
      steps: [
        ...(origin.kind === 'stage' ? restoreTypes(scan, operators) : []),
        ...operators.map((operator) => operator.step),
      ],
      sink: this.sink(narrowed),
      rowwise: operators.every((operator) => operator.kind !== 'map' || operator.step.rowwise),
    };
    const digest = programDigest(program, this.facts.versions);
    // Chunks over a source have the same rows for all; over chunks the wanted size groups them.
    const reads =
      origin.kind === 'source' ? origin.source.id : [upstream, targetBytes(this.outputOf(draft))];
    const key = canonicalJson([digest, reads]);
    const id = this.made.get(key) ?? stageId(`s${this.stages.length}`);
    if (!this.made.has(key)) {
      this.made.set(key, id);
      this.push(narrowed, { id, program, digest }, upstream);
    }
    if (origin.kind === 'stage' && draft.chain) this.noteRewrite(draft.chain, id);
    this.added(narrowed, id);
  }

  private added({ draft, children }: Narrowed, id: StageId): void {
    if (draft.final && draft.chain?.end.kind === 'output') {
      this.finals.set(draft.chain.end.output, id);
    }
    for (const table of draft.tables) this.tables.set(table, id);
    for (const child of children) this.add(child, id);
  }

  /** The stage that a query ends with; what it takes before that is found out as it runs. */
  private addQuery(narrowed: Narrowed, query: QueryFacts): void {
    const id = stageId(`s${this.stages.length}`);
    for (const { id: table } of query.tables) {
      const source = this.facts.sources.get(table);
      if (source && !this.sources.has(table)) this.pruneForQueries(source);
    }
    const stage = queryStage(query, this.facts, {
      id,
      filesOf: (source) => this.sources.get(source)!,
      sink: this.sink(narrowed),
      stageOf: (table) => this.tables.get(table)!,
      pool: this.spec.run.pool ?? 'cpu',
    });
    this.rowsTotal += stage.rows;
    this.stages.push(stage);
    if (query.steps.length > 1) {
      this.notes.push({ kind: 'fused', text: `${id} is one query of ${query.steps.join(', ')}` });
    }
    if (!query.deterministic) {
      const text = 'is not deterministic: its chunks are not reused by another job';
      this.notes.push({ kind: 'nondeterministic', step: query.id, text });
    }
    this.added(narrowed, id);
  }

  /** All queries read the same row groups of a source: those that any of their scans needs. */
  private pruneForQueries(source: SourceFacts): void {
    const { queries, hiveVerdicts } = this.facts;
    const pruned = pruneSource(source, scansOf(source.id, queries.values()), hiveVerdicts);
    this.sources.set(source.id, pruned.files);
    this.notes.push(...pruned.notes);
  }

  private push(
    narrowed: Narrowed,
    named: Pick<StagePlan, 'id' | 'program' | 'digest'>,
    upstream: StageId | undefined,
  ): void {
    const { operators, notes, draft } = narrowed;
    const { origin } = draft;
    this.notes.push(...notes);
    const shared = {
      ...named,
      deterministic: operators.every((operator) => operator.deterministic),
      pool: this.spec.run.pool ?? 'cpu',
      devices: devicesOf(operators),
    };
    if (origin.kind === 'source') {
      const { hiveVerdicts } = this.facts;
      const pruned = pruneSource(origin.source, [leadingConjuncts(operators)], hiveVerdicts);
      const input: SourceInput = { kind: 'source', source: origin.source.id, files: pruned.files };
      this.rowsTotal += pruned.rows;
      this.rowsPruned += pruned.rowsPruned;
      this.notes.push(...pruned.notes);
      const starts = taskStarts(chunkWeights(input), this.slots);
      this.stages.push({ ...shared, input, taskStarts: starts, rows: pruned.rows });
    } else {
      const input = { kind: 'stage', stage: upstream! } as const;
      this.stages.push({ ...shared, input, taskStarts: [], rows: 0 });
    }
    this.note(narrowed, named.id);
  }

  private outputOf(draft: StageDraft): OutputSpec | undefined {
    const end = draft.final ? draft.chain?.end : undefined;
    return end?.kind === 'output' ? this.spec.outputs[end.output] : undefined;
  }

  /** Chunks that are only rewritten are as an unpartitioned output's, so that both can be reused. */
  private sink({ draft, sink }: Narrowed): SinkProgram {
    const columns = sink.map(landed);
    const output = this.outputOf(draft);
    if (!output) return { columns, compression: 'snappy', partitionBy: [] };
    const fileBytes = targetBytes(output);
    return {
      columns,
      compression: output.compression,
      ...(output.rowGroupSize === undefined ? {} : { rowGroupSize: output.rowGroupSize }),
      partitionBy: partitionColumns(output, columns),
      ...(fileBytes === undefined || output.partitionBy ? {} : { fileBytes }),
    };
  }

  private note({ draft, scan, operators }: Narrowed, id: StageId): void {
    if (draft.origin.kind === 'source') {
      const { source } = draft.origin;
      if (scan.length < source.columns.length) {
        const text = `source ${source.id}: ${scan.length} of ${source.columns.length} columns are read`;
        this.notes.push({ kind: 'pushdown', text });
      }
    }
    const ids = [...new Set(operators.map((operator) => operator.step.id))];
    if (ids.length > 1) {
      this.notes.push({ kind: 'fused', text: `${id} runs ${ids.join(', ')} in one pass` });
    }
    for (const operator of operators) {
      if (operator.deterministic) continue;
      const text = 'is not deterministic: its chunks are not reused by another job';
      this.notes.push({ kind: 'nondeterministic', step: operator.step.id, text });
    }
  }

  private noteRewrite({ end }: Chain, id: StageId): void {
    if (end.kind !== 'output') return;
    const output = this.spec.outputs[end.output]!;
    const text = `output ${output.name ?? output.from}: ${id} rewrites chunks (${rewriteReason(output)})`;
    this.notes.push({ kind: 'rewrite', text });
  }
}

function rewriteReason(output: OutputSpec): string {
  const reasons = [
    ...(output.partitionBy ? [`partitionBy ${output.partitionBy.join(', ')}`] : []),
    ...(output.targetFileSize === undefined ? [] : [`targetFileSize ${output.targetFileSize}`]),
  ];
  return reasons.join('; ') || 'several outputs share its steps';
}

function columnsOf(origin: StageDraft['origin']): readonly ColumnDef[] | undefined {
  switch (origin.kind) {
    case 'source':
      return origin.source.columns;
    case 'query':
      return origin.query.columns;
    case 'stage':
      return undefined;
  }
}

function columnsAfter(
  operators: readonly Operator[],
  before: readonly ColumnDef[],
): readonly ColumnDef[] {
  return operators.at(-1)?.columns ?? before;
}

/** A type that a file keeps in another form (ARRAY, ENUM) is cast back before steps that rely on it. */
function restoreTypes(scan: readonly ColumnDef[], operators: readonly Operator[]): ProgramStep[] {
  if (operators.length === 0) return [];
  if (scan.every((column) => landed(column).type === column.type)) return [];
  const columns = scan.map((column) => {
    const name = quoteName(column.name);
    const expr = landed(column).type === column.type ? name : `cast(${name} as ${column.type})`;
    return { name: column.name, expr };
  });
  return [{ kind: 'select', id: 'types', columns }];
}

/** Partition columns under their true names. */
function partitionColumns(output: OutputSpec, columns: readonly ColumnDef[]): string[] {
  return (output.partitionBy ?? []).map((wanted) => {
    const found = columns.find(({ name }) => name.toLowerCase() === wanted.toLowerCase());
    return found?.name ?? wanted;
  });
}

function devicesOf(operators: readonly Operator[]): Device[] {
  const devices = new Set<Device>();
  for (const operator of operators) {
    if (operator.kind === 'infer' && operator.step.device !== 'cpu') {
      devices.add(operator.step.device);
    }
  }
  return [...devices];
}

function chunkWeights(input: SourceInput): number[] {
  const perRow = input.files.map(bytesPerRow);
  return sourceChunks(input).map(
    (range) => (perRow[range.file] ?? 0) * (range.rowEnd - range.rowStart),
  );
}
