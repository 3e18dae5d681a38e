/**
 * Gathers the facts for the planner: files, schemas, bound steps, model signatures, devices. It
 * touches the world, and decides nothing that the planner could.
 */
import { readFile, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { fail, WindrowError } from '../../shared/failure.js';
import type { JobSpec, StepSpec } from '../../shared/job-spec.js';
import { readOnnxSignature } from '../../shared/onnx-signature.js';
import { packageVersion } from '../../shared/package-version.js';
import type { PlanNote } from '../../shared/plan.js';
import { inputsOf } from '../../shared/spec-meaning.js';
import type { StepOf } from '../../shared/step-spec.js';
import { nameHint } from '../../shared/spec-problems.js';
import type { BoundStep, Facts, JobFile, SourceFacts, WideStep } from '../planner/facts.js';
import { BindDatabase } from './bind-database.js';
import { bindFilter, bindSelect, type BindContext, type Relation } from './bind.js';
import { bindExpect } from './checks.js';
import { chooseDevice, type DeviceFacts } from './devices.js';
import type { FooterCache } from './footer-cache.js';
import type { CheckPath } from './globs.js';
import { hiveVerdicts } from './hive-verdicts.js';
import { bindMap } from './maps.js';
import { bindInfer } from './models.js';
import { parseQuery, type ParsedQuery } from './parsed-query.js';
import { bindQuery } from './queries.js';
import { queriesOf } from './regions.js';
import { refuseReserved } from './reserved.js';
import { analyseSource } from './sources.js';
import { orderSteps } from './step-order.js';
import { closeWideQuery } from './wide-query.js';
import { wideStepQuery } from './wide-steps.js';
import { bindWide, type WideQuery } from './wide.js';

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
  private readonly wide = new Map<string, WideStep>();
  /** Relations that some step reads twice. */
  private readonly readTwice = new Set<string>();
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
    const parsed = new Map<string, ParsedQuery>();
    for (const step of this.spec.steps) {
      if ('sql' in step) parsed.set(step.id, await parseQuery(step, this.context));
    }
    const reads = new Map(
      this.spec.steps.map((step) => {
        const ids = parsed.get(step.id)?.reads ?? inputsOf(step).map(({ id }) => id);
        return [step.id, ids] as const;
      }),
    );
    const ordered = orderSteps(this.spec.steps, reads);
    for (const step of ordered) {
      await this.bindStep(step, reads.get(step.id)!, parsed.get(step.id));
    }
    this.noteUnused(ordered, reads);
    const { sources, steps, wide, readTwice } = this;
    const outputs = this.spec.outputs.map((output) => output.from);
    const regions = { sources, steps, wide, outputs, readTwice };
    const { queries, notes } = await queriesOf(regions, this.database);
    this.notes.push(...notes);
    return {
      sources,
      steps,
      wide,
      queries,
      hiveVerdicts: await hiveVerdicts({ steps, sources, queries }, this.database),
      versions: {
        windrow: packageVersion(),
        duckdb: this.database.version,
        onnxruntime: onnxruntimeVersion(),
      },
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

  private async bindStep(
    step: StepSpec,
    reads: readonly string[],
    query: ParsedQuery | undefined,
  ): Promise<void> {
    const relations = reads.map((id) => this.relation(id, step.id));
    const wide = await this.wideQuery(step, relations, query);
    const bound = wide
      ? await bindWide(wide, this.context)
      : await this.bind(step, relations[0]!, query);
    refuseReserved(bound.columns, { step: bound.id });
    await this.database.createRelation(bound.id, bound.columns);
    if ('operators' in bound) this.steps.set(bound.id, bound);
    else this.wide.set(bound.id, bound);
  }

  private async wideQuery(
    step: StepSpec,
    reads: readonly Relation[],
    query: ParsedQuery | undefined,
  ): Promise<WideQuery | undefined> {
    if (!query) return wideStepQuery(step, reads, this.context);
    return query.rows ? undefined : closeWideQuery(query, reads, this.context);
  }

  private async bind(
    step: StepSpec,
    relation: Relation,
    query: ParsedQuery | undefined,
  ): Promise<BoundStep> {
    if (query) return bindQuery(query, relation, this.context);
    if ('filter' in step) return bindFilter(step, relation, this.context);
    if ('select' in step) return bindSelect(step, relation, this.context);
    if ('expect' in step) return this.bindChecks(step, relation);
    if ('map' in step) {
      const file = this.file(step.map.module, step.id, 'E_MAP_MODULE');
      const text = await readFile(this.options.blobPath(file.digest), 'utf8');
      return bindMap(step, relation, { file, text }, this.database);
    }
    if ('infer' in step) return this.bindModel(step, relation);
    throw new Error(`step ${step.id} was not parsed`);
  }

  private async bindChecks(step: StepOf<'expect'>, relation: Relation): Promise<BoundStep> {
    const { step: bound, query } = await bindExpect(step, relation, this.context);
    if (query) {
      this.wide.set(query.id, query);
      this.readTwice.add(relation.id);
    }
    return bound;
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
    const found = this.sources.get(id) ?? this.steps.get(id) ?? this.wide.get(id);
    if (found) return { id, columns: found.columns };
    return fail('invalidSpec', 'E_UNKNOWN_STEP', `there is no source or step '${id}'`, {
      at: { step },
      hint: nameHint(id, [...this.context.known]) ?? 'name a source or a step',
    });
  }

  private noteUnused(
    ordered: readonly StepSpec[],
    reads: ReadonlyMap<string, readonly string[]>,
  ): void {
    const used = new Set(this.spec.outputs.map((output) => output.from));
    for (const { id } of [...ordered].reverse()) {
      if (used.has(id)) for (const read of reads.get(id)!) used.add(read);
      else this.notes.push({ kind: 'warning', step: id, text: 'feeds no output: it is not run' });
    }
  }
}

/** Read from its package file: loading the library costs memory that planning does not need. */
function onnxruntimeVersion(): string {
  const require = createRequire(import.meta.url);
  return (require('onnxruntime-node/package.json') as { version: string }).version;
}
