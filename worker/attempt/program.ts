/**
 * A stage's program made ready in a thread: models loaded, functions registered, queries bound. Built
 * once and used for all attempts of the same program. Never knows about files, chunks or reports.
 */
import { fail } from '../../shared/failure.js';
import type {
  InferStep,
  MapStep,
  ProgramStep,
  SelectStep,
  SqlStep,
  StageProgram,
} from '../../shared/plan.js';
import { loadMapFunction, type MapFunction } from '../functions/map.js';
import { type PredictEnv, predictFunction, type PreparedPredict } from '../inference/predict.js';
import type { RawVector } from '../inference/raw-vectors.js';
import type { Kernel } from '../kernel/duckdb.js';
import { computedInputs, type ComputedInputs } from './computed-inputs.js';
import { ColumnKeeper } from './kept-columns.js';
import { emptyMapResult } from './map-relation.js';
import { resultScan } from './query-statement.js';
import { keepRowColumn } from './row-query.js';
import type { Scope } from './scope.js';
import {
  type Call,
  conditionsOf,
  predicted,
  project,
  query,
  type Relation,
  rowColumn,
  scanNothing,
  verdicts,
} from './statement.js';
import { verdictFunction, warnFunction } from './verdict.js';
import { quoteName } from '../../shared/sql-text.js';

export interface ProgramServices {
  readonly scope: Scope;
  readonly preparePredict: (env: PredictEnv) => Promise<PreparedPredict>;
  /** Directory for modules that have to be copied before they can be imported. */
  readonly moduleDirectory: string;
  /** To look at expressions with; what is prepared may be attached to another one. */
  readonly kernel: Kernel;
}

/** Steps that go into the statement together; `first` is the index of the first of them. */
interface Place {
  readonly first: number;
  readonly carriesRow: boolean;
}
interface VerdictLink extends Place {
  readonly kind: 'verdicts';
  readonly steps: readonly ProgramStep[];
  names: { readonly verdict: string; readonly warn: (condition: number) => string };
}
interface SelectLink extends Place {
  readonly kind: 'select';
  readonly step: SelectStep;
  /** What the model after it computes its inputs from. */
  readonly added: ComputedInputs['added'];
}
interface SqlLink extends Place {
  readonly kind: 'sql';
  readonly step: SqlStep;
  bound: BoundQuery;
}
interface InferLink extends Place {
  readonly kind: 'infer';
  readonly step: InferStep;
  readonly predict: PreparedPredict;
  name: string;
}
interface MapLink extends Place {
  readonly kind: 'map';
  readonly step: MapStep;
  readonly map: MapFunction;
}
type Link = VerdictLink | SelectLink | SqlLink | InferLink | MapLink;

interface BoundQuery {
  readonly query: string;
  readonly columns: readonly string[];
}
type RunMap = (relation: Relation, map: MapFunction) => Promise<Relation>;

let namesGiven = 0;

export class PreparedProgram {
  /** Of columns that need not be written again. */
  readonly keeper: ColumnKeeper;
  private kernel: Kernel | undefined;

  private constructor(
    readonly program: StageProgram,
    readonly carriesRow: boolean,
    private readonly links: readonly Link[],
    private readonly scope: Scope,
  ) {
    this.keeper = new ColumnKeeper(program);
  }

  static async prepare(
    program: StageProgram,
    blobs: Readonly<Record<string, string>>,
    services: ProgramServices,
  ): Promise<PreparedProgram> {
    const carriesRow = !program.query && needsRow(program.steps);
    const links: Link[] = [];
    try {
      let carries = carriesRow;
      for (const [first, step] of program.steps.entries()) {
        const place = { first, carriesRow: carries };
        const last = links.at(-1);
        switch (step.kind) {
          case 'filter':
          case 'expect':
            if (last?.kind === 'verdicts') {
              links[links.length - 1] = { ...last, steps: [...last.steps, step] };
            } else {
              const names = { verdict: '', warn: () => '' };
              links.push({ ...place, kind: 'verdicts', steps: [step], names });
            }
            break;
          case 'select':
            links.push({ ...place, kind: 'select', step, added: [] });
            break;
          case 'sql':
            links.push({ ...place, kind: 'sql', step, bound: { query: '', columns: [] } });
            break;
          case 'infer': {
            const select = scannedSelect(links, program);
            const computed =
              select && (await computedInputs(services.kernel, program.scan, select.step, step));
            if (computed) links[links.length - 1] = { ...select, added: computed.added };
            const predict = await loadPredict(step, blobs, carries, services, computed?.inputs);
            links.push({ ...place, kind: 'infer', step, predict, name: '' });
            break;
          }
          case 'map': {
            const path = blobPath(blobs, step.bundle.digest, step.id);
            const { scope, moduleDirectory } = services;
            scope.printed.nextStep(step.id);
            const map = await scope.unlessStray(loadMapFunction(step, path, moduleDirectory));
            links.push({ ...place, kind: 'map', step, map });
            carries &&= step.rowwise;
            break;
          }
        }
      }
    } catch (error) {
      releaseAll(links);
      throw error;
    }
    return new PreparedProgram(program, carriesRow, links, services.scope);
  }

  /** Registers the functions in this kernel and binds the queries; does nothing the second time. */
  async attach(kernel: Kernel): Promise<void> {
    if (this.kernel === kernel) return;
    const tag = `windrow_${++namesGiven}`;
    for (const [index, link] of this.links.entries()) {
      if (link.kind === 'verdicts') {
        link.names = {
          verdict: `${tag}_verdict_${index}`,
          warn: (condition) => `${tag}_warn_${index}_${condition}`,
        };
        registerVerdicts(kernel, link, this.scope);
      } else if (link.kind === 'infer') {
        link.name = `${tag}_predict_${index}`;
        kernel.register(guardedPredict(link, this.scope));
      }
    }
    this.kernel = kernel;
    for (const link of this.links) {
      if (link.kind === 'sql') link.bound = await this.bind(kernel, link);
    }
  }

  /**
   * Wraps `input` in the first `steps` steps. Map steps run now; the temporary tables that hold their
   * results are added to `tables`, which the caller drops, also after a failure.
   */
  build(input: Relation, tables: string[], steps = this.program.steps.length): Promise<Relation> {
    const kernel = this.attached();
    return this.wrap(input, steps, async (relation, map) => {
      // Arrow comes with it, which threads without functions do without.
      const { runMapSegment } = await import('./map-segment.js');
      return runMapSegment(kernel, map, relation, this.scope, tables);
    });
  }

  private async wrap(input: Relation, steps: number, runMap: RunMap): Promise<Relation> {
    let relation = input;
    for (const link of this.links) {
      if (link.first >= steps) break;
      switch (link.kind) {
        case 'verdicts': {
          const conditions = conditionsOf(link.steps.slice(0, steps - link.first));
          relation = verdicts(relation, conditions, link.names);
          break;
        }
        case 'select':
          relation = project(relation, link.step.columns, link.added);
          break;
        case 'sql':
          relation = query(relation, link.step, link.bound);
          break;
        case 'infer':
          relation = predicted(relation, callOf(link));
          break;
        case 'map':
          relation = await runMap(relation, link.map);
          break;
      }
    }
    return relation;
  }

  async dropTables(tables: readonly string[]): Promise<void> {
    for (const table of tables)
      await this.attached().run(`drop table if exists ${quoteName(table)}`);
  }

  /** Rows that went through models since the program was prepared. */
  rowsInferred(): number {
    let rows = 0;
    for (const link of this.links) if (link.kind === 'infer') rows += link.predict.rowsInferred();
    return rows;
  }

  /** False where a row of the output cannot be traced to one row of the file. */
  get rowsTraceable(): boolean {
    if (this.program.query) return false;
    return this.links.every((link) => link.kind !== 'map' || link.step.rowwise);
  }

  release(): void {
    releaseAll(this.links);
  }

  private attached(): Kernel {
    if (!this.kernel) throw new Error('the program is not attached to a kernel');
    return this.kernel;
  }

  private async bind(kernel: Kernel, link: SqlLink): Promise<BoundQuery> {
    const { query: first, scan } = this.program;
    const nothing = scanNothing(first ? resultScan(first) : scan, this.carriesRow);
    const input = await this.wrap(nothing, link.first, (relation, map) =>
      Promise.resolve(emptyMapResult(relation, map.step)),
    );
    const asWritten = { query: link.step.query, columns: [] };
    const columns = (await kernel.rows(`describe ${query(input, link.step, asWritten).sql}`))
      .map((column) => String(column.column_name))
      .filter((name) => name !== rowColumn);
    return input.carriesRow
      ? { query: await keepRowColumn(kernel, link.step.query), columns }
      : { query: link.step.query, columns };
  }
}

/** Whether some step may have to name a row. */
function needsRow(steps: readonly ProgramStep[]): boolean {
  return steps.some((step) => {
    switch (step.kind) {
      case 'expect':
        return step.checks.some(({ action }) => action !== 'warn');
      case 'infer':
        return step.onNull !== 'null' || step.onError === 'deadLetter';
      case 'map':
        return step.rowwise;
      default:
        return false;
    }
  });
}

/** The last link, where it is a select from rows as they are scanned: then their types are known. */
function scannedSelect(links: readonly Link[], { query }: StageProgram): SelectLink | undefined {
  const last = links.at(-1);
  if (query || last?.kind !== 'select') return undefined;
  return links.slice(0, -1).every(({ kind }) => kind === 'verdicts') ? last : undefined;
}

async function loadPredict(
  step: InferStep,
  blobs: Readonly<Record<string, string>>,
  rowIds: boolean,
  { scope, preparePredict }: ProgramServices,
  computed: ComputedInputs['inputs'] = [],
): Promise<PreparedPredict> {
  const externalPaths = Object.fromEntries(
    step.externalData.map(({ name, digest }) => [name, blobPath(blobs, digest, step.id)]),
  );
  return preparePredict({
    modelPath: blobPath(blobs, step.model.digest, step.id),
    externalPaths,
    // Each attempt brings a control word of its own, while the model stays.
    get control() {
      return scope.control;
    },
    step,
    rowIds,
    computed,
    onDead: (row, code, message) => {
      scope.tally.dead.push({ row, step: step.id, code, message });
    },
    onRun: (rows, seconds) => scope.modelRuns.ran(step.device, rows, seconds),
    intraOpThreads: 1,
  });
}

function blobPath(blobs: Readonly<Record<string, string>>, digest: string, step: string): string {
  const path = blobs[digest];
  return path ?? fail('broken', 'E_BLOB_MISSING', `no local copy of ${digest}`, { at: { step } });
}

function registerVerdicts(kernel: Kernel, link: VerdictLink, scope: Scope): void {
  const conditions = conditionsOf(link.steps);
  kernel.register(verdictFunction(link.names.verdict, conditions, scope, link.carriesRow));
  for (const [index, condition] of conditions.entries()) {
    if (condition.action === 'warn') {
      kernel.register(warnFunction(link.names.warn(index), condition, scope));
    }
  }
}

function guardedPredict({ name, predict, carriesRow }: InferLink, scope: Scope) {
  const main = scope.guarded<RawVector>((chunk, out) => predict.main(chunk, out));
  return predictFunction(name, { ...predict, main }, carriesRow);
}

function callOf({ step, predict, name, carriesRow }: InferLink): Call {
  return {
    name,
    argumentSql: predict.argumentSql,
    outputs: step.outputs.map(({ column }) => column.name),
    shape: predict.shape,
    hasOk: predict.hasOk,
    rowIds: carriesRow,
  };
}

function releaseAll(links: readonly Link[]): void {
  for (const link of links) if (link.kind === 'infer') link.predict.release();
}
