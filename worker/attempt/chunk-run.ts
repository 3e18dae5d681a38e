/**
 * One chunk through its program: run, locate what failed, write what was dropped as bad. Knows the
 * kernel and the program; never finishes files and never reports.
 */
import { type Failure, WindrowError } from '../../shared/failure.js';
import type { ChunkCounts, ChunkPart } from '../../shared/plan.js';
import type { Kernel } from '../kernel/duckdb.js';
import { rowsRead } from './attempt-inputs.js';
import { classify } from './classify.js';
import { writeDeadLetters } from './dead-letter.js';
import type { KeptColumns } from './kept-columns.js';
import { locate } from './locate.js';
import type { PreparedProgram } from './program.js';
import type { ChunkWork, SourceWork } from './protocol.js';
import { type Depth, explainQueryFailure } from './query-failure.js';
import { type LeafFiles, queryRelation } from './query-statement.js';
import type { DeadRow, Scope, Tally } from './scope.js';
import { withExample } from './shown-row.js';
import type { ChunkSink } from './sink.js';
import {
  copyStatement,
  partsStatement,
  probeStatement,
  type Relation,
  rowColumn,
  type RowSelection,
  scanChunks,
  scanSource,
} from './statement.js';
import { quoteName } from '../../shared/sql-text.js';

export interface ChunkOutcome {
  /** All but rows out and dead, which only the written files tell. */
  readonly counts: Pick<ChunkCounts, 'rowsIn' | 'filtered' | 'inferred' | 'warnings'>;
  readonly dead: number;
  /** Rows of each partition that has some, where the chunk is divided for an exchange. */
  readonly parts?: readonly ChunkPart[];
  /** Columns that the written file has yet to get, as they lie in the source. */
  readonly kept?: KeptColumns;
}

/** DuckDB never writes fewer rows at once, as long as there are more. */
const vectorRows = 2048;
/** Of failures that may not say in which row they are: rows are numbered where a step asks for it. */
const placeless = new Set(['E_SQL_RUNTIME', 'E_KERNEL', 'E_TENSOR_SHAPE', 'E_MODEL_RUN']);
/** Rows of a dead-letter query at once. */
const deadRowsPerQuery = 1000;

export class ChunkRun {
  constructor(
    private readonly kernel: Kernel,
    private readonly program: PreparedProgram,
    private readonly scope: Scope,
    private readonly work: ChunkWork,
    /** What lies ready for each leaf of the program's query. */
    private readonly leaves: readonly LeafFiles[] = [],
  ) {}

  /** Writes the chunk's rows and dead letters to the sink's temporary names. */
  async write(sink: ChunkSink): Promise<ChunkOutcome> {
    const { keeper, program } = this.program;
    const kept = await keeper.kept(this.kernel, this.work, sink.scratch);
    const sinkProgram = kept?.rest ?? program.sink;
    const inferredBefore = this.program.rowsInferred();
    const tally = await this.execute((relation) =>
      copyStatement(relation, sinkProgram, sink.target, this.fileRows()),
    );
    const inferred = this.program.rowsInferred() - inferredBefore;
    const dead = [...tally.dead, ...this.poisonRows()];
    if (dead.length > 0) await this.writeDead(sink.deadLetterTarget, dead);
    const { filtered, warnings } = tally;
    const parts = sinkProgram.divide ? await this.partsIn(sink.target) : undefined;
    return {
      counts: { rowsIn: rowsRead(program, this.work), filtered, inferred, warnings },
      dead: dead.length,
      ...(parts ? { parts } : {}),
      ...(kept ? { kept } : {}),
    };
  }

  /** Rows of each file, where the output wants files of some size: as the rows lie in those read. */
  private fileRows(): number | undefined {
    const { fileBytes } = this.program.program.sink;
    if (fileBytes === undefined) return undefined;
    const { inputs } = this.work;
    const bytes = inputs.reduce((sum, file) => sum + file.bytes, 0);
    const rows = inputs.reduce((sum, file) => sum + file.rows, 0);
    const files = Math.max(1, Math.round(bytes / fileBytes));
    return Math.max(vectorRows, Math.ceil(rows / files));
  }

  private async partsIn(file: string): Promise<ChunkPart[]> {
    const rows = await this.kernel.rows(partsStatement(file));
    return rows.map((row) => ({ partition: Number(row['partition']), rows: Number(row['rows']) }));
  }

  /** Does everything but write. */
  async probe(): Promise<void> {
    await this.execute((relation) => probeStatement(relation, this.program.program.sink));
  }

  private poisonRows(): DeadRow[] {
    return this.work.poisonRows.map((row) => ({
      row,
      step: this.program.program.steps[0]?.id ?? 'scan',
      code: 'E_POISON_ROW',
      message: 'a worker died each time it worked on this row',
    }));
  }

  private async execute(statement: (relation: Relation) => string): Promise<Tally> {
    const tally = this.scope.begin();
    const tables: string[] = [];
    try {
      this.scope.throwIfCancelled();
      const relation = await this.program.build(this.scan(), tables);
      await this.kernel.run(statement(relation));
      return tally;
    } catch (error) {
      throw await this.explained(error);
    } finally {
      await this.program.dropTables(tables);
    }
  }

  private scan(selection?: Partial<RowSelection>): Relation {
    const { source, inputs, poisonRows } = this.work;
    const { program, carriesRow } = this.program;
    if (program.query) return queryRelation(program.query, this.leaves);
    if (!source) {
      const paths = inputs.map(({ path }) => path);
      return scanChunks(program.scan, paths, carriesRow);
    }
    const { rowStart, rowEnd } = source;
    const rows = { rowStart, rowEnd, without: poisonRows, ...selection };
    return scanSource(program.scan, source, rows, carriesRow);
  }

  /** The failure with everything that is known about its place. */
  private async explained(error: unknown): Promise<WindrowError> {
    const classified = classify(error, this.scope, this.kernel.options.spillDirectory);
    if (classified.kind === 'cancelled') return new WindrowError(classified, error);
    const failure = this.work.source ? classified : withoutRow(classified);
    const { query, steps } = this.program.program;
    if (failure.code === 'E_EXPECT_FAILED' && !this.work.source) {
      const check = { kernel: this.kernel, steps, first: this.first.bind(this) };
      return new WindrowError(await withExample(failure, check), error);
    }
    if (query) {
      const { kernel, leaves } = this;
      const tried = this.tried.bind(this);
      const found = await explainQueryFailure(failure, { kernel, query, steps, leaves, tried });
      return new WindrowError(found, error);
    }
    const source = this.work.source;
    if (!source) return new WindrowError(failure, error);
    const at = { file: source.path, rowGroup: source.rowGroup, ...failure.at };
    const located = { ...failure, at };
    const known = at.row !== undefined && at.step !== undefined;
    const mayLackIt = placeless.has(failure.code) || failure.kind === 'io';
    if (known || !mayLackIt) return new WindrowError(located, error);
    return new WindrowError(await this.search(located, source), error);
  }

  private async search(failure: Failure, source: SourceWork): Promise<Failure> {
    const steps = this.program.program.steps;
    const passes = async (rowStart: number, rowEnd: number, count: number, sink: boolean) =>
      !(await this.tried(this.scan({ rowStart, rowEnd }), { steps: count, sink }));
    const { at, unreadable } = await locate({ passes }, source, steps);
    if (unreadable && failure.kind !== 'io') {
      const { message } = failure;
      return {
        kind: 'badData',
        code: 'E_PARQUET_CORRUPT',
        message,
        at: failure.at ?? {},
        hint: 'write the file again, or leave it out of the source',
      };
    }
    return { ...failure, at: { ...failure.at, ...at } };
  }

  /** Computes the rows that far and keeps nothing. @returns the failure */
  private async tried(scan: Relation, { steps, sink }: Depth): Promise<Failure | undefined> {
    const tables: string[] = [];
    this.scope.begin();
    try {
      this.scope.throwIfCancelled();
      const relation = await this.program.build(scan, tables, steps);
      await this.kernel.run(
        sink ? probeStatement(relation, this.program.program.sink) : touch(relation),
      );
      return undefined;
    } catch (error) {
      this.scope.throwIfCancelled();
      return classify(error, this.scope, this.kernel.options.spillDirectory);
    } finally {
      await this.program.dropTables(tables);
    }
  }

  /** The first row of a select over what so many steps make of the chunk's rows. */
  private async first(
    steps: number,
    select: (relation: Relation) => string,
  ): Promise<Readonly<Record<string, unknown>> | undefined> {
    const tables: string[] = [];
    this.scope.begin();
    try {
      this.scope.throwIfCancelled();
      const relation = await this.program.build(this.scan(), tables, steps);
      return (await this.kernel.rows(select(relation)))[0];
    } catch {
      this.scope.throwIfCancelled();
      return undefined;
    } finally {
      await this.program.dropTables(tables);
    }
  }

  private async writeDead(target: string, dead: readonly DeadRow[]): Promise<void> {
    const json = new Map<string, string>();
    const byStep = new Map<string, number[]>();
    for (const { step, row } of dead) {
      if (row >= 0) byStep.set(step, [...(byStep.get(step) ?? []), row]);
    }
    for (const [step, rows] of byStep) {
      const found = await this.rowsAsJson(step, rows);
      for (const [row, text] of found) json.set(`${step}\n${row}`, text);
    }
    const source = this.work.source;
    const origin = source ? { file: source.path, rowGroup: source.rowGroup } : {};
    await writeDeadLetters(target, origin, dead, ({ step, row }) => json.get(`${step}\n${row}`));
  }

  /** The rows as they were when they entered the step; as they lie in the file where that fails. */
  private async rowsAsJson(step: string, rows: readonly number[]): Promise<Map<number, string>> {
    const steps = this.program.program.steps.findIndex(({ id }) => id === step);
    const found = new Map<number, string>();
    for (let at = 0; at < rows.length; at += deadRowsPerQuery) {
      const only = rows.slice(at, at + deadRowsPerQuery);
      for (const prefix of new Set([Math.max(0, steps), 0])) {
        try {
          for (const [row, text] of await this.jsonOf(only, prefix)) found.set(row, text);
          break;
        } catch (error) {
          if (this.scope.cancelled) throw error;
        }
      }
    }
    return found;
  }

  private async jsonOf(only: readonly number[], steps: number): Promise<[number, string][]> {
    const { source, inputs } = this.work;
    const { program, carriesRow } = this.program;
    if (!source && inputs.length === 0) return [];
    const tables: string[] = [];
    this.scope.begin();
    try {
      const carry = steps === 0 || carriesRow;
      const scan = source
        ? scanSource(program.scan, source, { ...range(source), only }, carry)
        : chosen(
            scanChunks(
              program.scan,
              inputs.map(({ path }) => path),
              true,
            ),
            only,
          );
      const relation = await this.program.build(scan, tables, steps);
      const members = relation.columns.map((name) => `${quoteName(name)} := ${quoteName(name)}`);
      const rows = await this.kernel.rows(
        `select ${rowColumn} as row, to_json(struct_pack(${members.join(', ')}))::varchar as json from (${relation.sql})`,
      );
      return rows.map(({ row, json }) => [Number(row), String(json)]);
    } finally {
      await this.program.dropTables(tables);
    }
  }
}

/** Of a chunk made of chunks, the number of a row is that in no file of the user's. */
function withoutRow(failure: Failure): Failure {
  if (failure.at?.row === undefined) return failure;
  const { row: _, ...at } = failure.at;
  return { ...failure, at };
}

function range({ rowStart, rowEnd }: SourceWork): RowSelection {
  return { rowStart, rowEnd };
}

/** Rows by their numbers, which count through all of the relation. */
function chosen(relation: Relation, only: readonly number[]): Relation {
  const sql = `select * from (${relation.sql}) where ${rowColumn} in (${only.join(', ')})`;
  return { ...relation, sql, open: true };
}

/** Computes every column of a relation. */
function touch(relation: Relation): string {
  const columns = relation.columns.map(quoteName);
  return `select bit_xor(hash(${columns.length > 0 ? columns.join(', ') : '1'})) from (${relation.sql})`;
}
