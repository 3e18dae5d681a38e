/**
 * Gathers the facts for the planner: files, schemas, bound steps, model signatures, devices. It
 * touches the world, and decides nothing that the planner could.
 */
import { readFile, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { fail, WindrowError } from '../../shared/failure.js';
import type { JobSpec, StepSpec } from '../../shared/job-spec.js';
import { readOnnxSignature } from '../../shared/onnx-signature.js';
import type { PlanNote } from '../../shared/plan.js';
import { findCycle, fromOf } from '../../shared/spec-meaning.js';
import { nameHint } from '../../shared/spec-problems.js';
import {
  hiveKey,
  type BoundStep,
  type Facts,
  type JobFile,
  type SourceFacts,
} from '../planner/facts.js';
import { BindDatabase } from './bind-database.js';
import { bindFilter, bindSelect, type BindContext, type Relation } from './bind.js';
import { bindExpect } from './checks.js';
import { chooseDevice, type DeviceFacts } from './devices.js';
import type { FooterCache } from './footer-cache.js';
import type { CheckPath } from './globs.js';
import { bindMap } from './maps.js';
import { bindInfer } from './models.js';
import { bindQuery, parseQuery, type ParsedQuery } from './queries.js';
import { refuseReserved } from './reserved.js';
import { analyseSource } from './sources.js';
import { quoteName, quoteText } from '../../shared/sql-text.js';

export interface AnalyseOptions {
  /** By the path as it stands in the spec: models and bundled map modules. */
  readonly files: Readonly<Record<string, JobFile>>;
  /** Where the bytes of a digest lie on this machine. */
  readonly blobPath: (digest: string) => string;
  readonly checkPath: CheckPath;
  /** Asked only for a model that does not name the CPU. */
  readonly devices: () => Promise<DeviceFacts>;
  readonly footers: FooterCache;
  readonly nowMs: number;
}

const unasked: DeviceFacts = { known: false, devices: [], hardware: [] };

/** The whole file is held for a moment; more belongs into external data. */
const modelBytesMax = 2 ** 31 - 1;

/** @throws WindrowError of kind invalidSpec for whatever is wrong with the spec or its inputs */
export async function analyse(spec: JobSpec, options: AnalyseOptions): Promise<Facts> {
  const database = await BindDatabase.open();
  try {
    return await new Analysis(spec, options, database).run();
  } finally {
    database.close();
  }
}

class Analysis {
  private readonly sources = new Map<string, SourceFacts>();
  private readonly steps = new Map<string, BoundStep>();
  private readonly notes: PlanNote[] = [];
  private readonly context: BindContext;

  constructor(
    private readonly spec: JobSpec,
    private readonly options: AnalyseOptions,
    private readonly database: BindDatabase,
  ) {
    const clocked = new Set<string>();
    this.context = {
      database,
      params: spec.params,
      nowMs: options.nowMs,
      known: new Set([...Object.keys(spec.sources), ...spec.steps.map((step) => step.id)]),
      usesClock: (step) => {
        if (clocked.has(step)) return;
        clocked.add(step);
        const text = 'reads the clock: its chunks are not reused by a later run';
        this.notes.push({ kind: 'warning', step, text });
      },
    };
  }

  async run(): Promise<Facts> {
    await this.analyseSources();
    await this.database.lock();
    for (const source of this.sources.values()) {
      await this.database.createRelation(source.id, source.columns);
    }
    const queries = new Map<string, ParsedQuery>();
    for (const step of this.spec.steps) {
      if ('sql' in step) queries.set(step.id, await parseQuery(step, this.context));
    }
    for (const step of this.inOrder(queries)) await this.bindStep(step, queries.get(step.id));
    this.noteUnused();
    return {
      sources: this.sources,
      steps: this.steps,
      hiveVerdicts: await this.hiveVerdicts(),
      versions: { duckdb: this.database.version, onnxruntime: onnxruntimeVersion() },
      notes: this.notes,
    };
  }

  private async analyseSources(): Promise<void> {
    // Statistics are only worth keeping of columns that some text of the spec names.
    const text = JSON.stringify(this.spec.steps).toLowerCase();
    const mayCompare = (column: string): boolean =>
      text.includes(JSON.stringify(column.toLowerCase()).slice(1, -1));
    const { checkPath, footers } = this.options;
    for (const [id, source] of Object.entries(this.spec.sources)) {
      const context = { database: this.database, checkPath, footers, mayCompare };
      this.sources.set(id, await analyseSource(id, source, context));
    }
  }

  /** Each step after what it reads. @throws WindrowError E_SPEC_CYCLE */
  private inOrder(queries: ReadonlyMap<string, ParsedQuery>): StepSpec[] {
    const from = (step: StepSpec): string => queries.get(step.id)?.from ?? fromOf(step)!.from;
    const cycle = findCycle(new Map(this.spec.steps.map((step) => [step.id, [from(step)]])));
    if (cycle) {
      fail('invalidSpec', 'E_SPEC_CYCLE', `steps form a cycle: ${cycle.join(' → ')}`, {
        at: { step: cycle[0]! },
        hint: 'let one of them read a source or an earlier step',
      });
    }
    const left = new Map(this.spec.steps.map((step) => [step.id, step]));
    const ordered: StepSpec[] = [];
    const take = (id: string): void => {
      for (const path = [id]; path.length > 0;) {
        const step = left.get(path.at(-1)!);
        if (step && left.has(from(step))) {
          path.push(from(step));
          continue;
        }
        if (step) ordered.push(step);
        left.delete(path.pop()!);
      }
    };
    for (const step of this.spec.steps) take(step.id);
    return ordered;
  }

  private async bindStep(step: StepSpec, query: ParsedQuery | undefined): Promise<void> {
    const relation = this.relation(query?.from ?? fromOf(step)!.from, step.id);
    const bound = await this.bind(step, relation, query);
    refuseReserved(bound.columns, { step: bound.id });
    await this.database.createRelation(bound.id, bound.columns);
    this.steps.set(bound.id, bound);
  }

  private async bind(
    step: StepSpec,
    relation: Relation,
    query: ParsedQuery | undefined,
  ): Promise<BoundStep> {
    if (query) return bindQuery(query, relation, this.context);
    if ('filter' in step) return bindFilter(step, relation, this.context);
    if ('select' in step) return bindSelect(step, relation, this.context);
    if ('expect' in step) return bindExpect(step, relation, this.context);
    if ('map' in step) {
      const file = this.file(step.map.module, step.id, 'E_MAP_MODULE');
      const text = await readFile(this.options.blobPath(file.digest), 'utf8');
      return bindMap(step, relation, { file, text }, this.database);
    }
    if ('infer' in step) return this.bindModel(step, relation);
    throw new Error(`step ${step.id} was not parsed`);
  }

  private async bindModel(
    step: Extract<StepSpec, { infer: unknown }>,
    relation: Relation,
  ): Promise<BoundStep> {
    const { id, infer } = step;
    const file = this.file(infer.model, id, 'E_MODEL_MISSING');
    const facts = infer.device === 'cpu' ? unasked : await this.options.devices();
    const choice = chooseDevice(infer.device, facts);
    if ('failure' in choice) throw new WindrowError({ ...choice.failure, at: { step: id } });
    const signature = await this.signature(file, infer.model, id);
    const bound = bindInfer(step, relation, { file, signature, device: choice.device });
    const text = `runs on ${choice.device} (${choice.reason})`;
    this.notes.push({ kind: 'device', step: id, text }, ...bound.notes);
    return bound.step;
  }

  private async signature(
    file: JobFile,
    model: string,
    step: string,
  ): Promise<ReturnType<typeof readOnnxSignature>> {
    const path = this.options.blobPath(file.digest);
    const { size } = await stat(path);
    if (size > modelBytesMax) {
      fail('invalidSpec', 'E_MODEL_INVALID', `model of ${size} bytes is over 2 GiB`, {
        at: { step, file: model },
        hint: 'save its weights as external data',
      });
    }
    try {
      return readOnnxSignature(await readFile(path));
    } catch (error) {
      if (!(error instanceof WindrowError)) throw error;
      throw new WindrowError({ ...error.failure, at: { step, file: model } }, error);
    }
  }

  private file(path: string, step: string, code: string): JobFile {
    const { files } = this.options;
    const found = Object.hasOwn(files, path) ? files[path] : undefined;
    return (
      found ??
      fail('invalidSpec', code, `'${path}' was not uploaded with the job`, {
        at: { step, file: path },
        hint: 'check the path; submit through the client or the CLI, which upload it',
      })
    );
  }

  private relation(id: string, step: string): Relation {
    const found = this.sources.get(id) ?? this.steps.get(id);
    if (found) return { id, columns: found.columns };
    return fail('invalidSpec', 'E_UNKNOWN_STEP', `there is no source or step '${id}'`, {
      at: { step },
      hint: nameHint(id, [...this.context.known]) ?? 'name a source or a step',
    });
  }

  private noteUnused(): void {
    const used = new Set(this.spec.outputs.map((output) => output.from));
    for (const step of [...this.steps.values()].reverse()) {
      if (used.has(step.id)) used.add(step.from);
      else
        this.notes.push({ kind: 'warning', step: step.id, text: 'feeds no output: it is not run' });
    }
  }

  /**
   * For each condition over partition columns alone, which files may meet it. DuckDB evaluates it
   * on the partition values; where it cannot, there is no verdict.
   */
  private async hiveVerdicts(): Promise<Map<string, readonly boolean[]>> {
    const verdicts = new Map<string, readonly boolean[]>();
    for (const step of this.steps.values()) {
      const source = this.sourceOf(step);
      const names = new Set(source?.hive.map((column) => column.name));
      for (const operator of step.operators) {
        if (!source || operator.kind !== 'filter' || !operator.deterministic) continue;
        for (const { sql, columns } of operator.conjuncts) {
          if (columns.length === 0 || !columns.every((name) => names.has(name))) continue;
          const kept = await this.matchingFiles(source, sql).catch(() => undefined);
          if (kept) verdicts.set(hiveKey(source.id, sql), kept);
        }
      }
    }
    return verdicts;
  }

  private async matchingFiles(source: SourceFacts, sql: string): Promise<boolean[]> {
    const keyOf = (hive: SourceFacts['files'][number]['file']['hive']): string =>
      JSON.stringify(source.hive.map(({ name }) => hive[name] ?? null));
    const keys = [...new Set(source.files.map(({ file }) => keyOf(file.hive)))];
    const rows = keys.map((key) => {
      const values = JSON.parse(key) as (string | null)[];
      const cells = values.map((value, index) => {
        const type = source.hive[index]!.type;
        return `cast(${value === null ? 'null' : quoteText(value)} as ${type})`;
      });
      return `(${cells.join(', ')})`;
    });
    const names = source.hive.map(({ name }) => quoteName(name)).join(', ');
    const result = await this.database.rows(
      `select coalesce((${sql}), false) from (values ${rows.join(', ')}) as v(${names})`,
    );
    const kept = new Map(keys.map((key, index) => [key, result[index]?.[0] !== false]));
    return source.files.map(({ file }) => kept.get(keyOf(file.hive)) ?? true);
  }

  private sourceOf(step: BoundStep): SourceFacts | undefined {
    let from = step.from;
    for (let next = this.steps.get(from); next; next = this.steps.get(from)) from = next.from;
    return this.sources.get(from);
  }
}

/** Read from its package file: loading the library costs memory that planning does not need. */
function onnxruntimeVersion(): string {
  const require = createRequire(import.meta.url);
  return (require('onnxruntime-node/package.json') as { version: string }).version;
}
