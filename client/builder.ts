/**
 * Builds a job spec in code: the same JSON as YAML gives, with ids that the compiler checks. Never:
 * anything that YAML could not say.
 */
import type { JobSpecInput } from '../shared/job-spec.js';
import type { StepKind } from '../shared/step-spec.js';
import { paths } from './arguments.js';
import { prepareJob, type LoadOptions } from './load.js';
import type { LoadedJob } from './types.js';

/** A source as a spec says it (docs/SPEC.md, `sources`). */
export type SourceInput = JobSpecInput['sources'][string];
/** A step with its id, as a spec says it. */
export type StepInput = NonNullable<JobSpecInput['steps']>[number];
/** An output as a spec says it (docs/SPEC.md, `outputs`). */
export type OutputInput = JobSpecInput['outputs'][number];
/** Text, number, boolean or null. */
export type ParamInput = NonNullable<JobSpecInput['params']>[string];
/** The fields of one kind of step, as a spec says them (docs/SPEC.md, `steps`). */
export type StepBody<Kind extends StepKind> =
  Extract<StepInput, Record<Kind, unknown>> extends infer Step
    ? Step extends Record<Kind, infer Body>
      ? Body
      : never
    : never;
/** A step's fields with `from` narrowed to ids that are there already. */
export type Reading<Body, Ids extends string> = Omit<Body, 'from'> & { from: Ids };

/** A Parquet source: path, glob or list of them, relative to where the job is loaded from. */
export function parquet(
  path: string | readonly string[],
  options: Omit<SourceInput, 'parquet'> = {},
): SourceInput {
  paths('path', path);
  return { parquet: typeof path === 'string' ? path : [...path], ...options };
}

/** Starts a job. Each call returns a new builder, so that a common beginning can be shared. */
export function job(name: string): JobBuilder<never> {
  return new JobBuilder({
    apiVersion: 'windrow/v1',
    kind: 'Job',
    metadata: { name },
    sources: {},
    outputs: [],
  });
}

/**
 * A job in the making. `Ids` are the sources and steps that are there: only those can be read. What a
 * step's fields mean stands in docs/SPEC.md; everything is checked by `load`.
 */
export class JobBuilder<Ids extends string> {
  /** @param spec what has been said so far; `job` begins with the name alone */
  constructor(private readonly spec: JobSpecInput) {}

  /** Values that SQL binds as `$name` and paths paste as `{{ name }}`; added to those before. */
  params(params: Readonly<Record<string, ParamInput>>): JobBuilder<Ids> {
    return new JobBuilder({ ...this.spec, params: { ...this.spec.params, ...params } });
  }

  /** Labels of one's own, in place of those before. */
  labels(labels: Readonly<Record<string, string>>): JobBuilder<Ids> {
    const metadata = { ...this.spec.metadata, labels: { ...labels } };
    return new JobBuilder({ ...this.spec, metadata });
  }

  /** How it is run: priority, weight, pool, timeouts, attempts; added to what was said before. */
  run(run: NonNullable<JobSpecInput['run']>): JobBuilder<Ids> {
    return new JobBuilder({ ...this.spec, run: { ...this.spec.run, ...run } });
  }

  /** Where finished chunks lie, and how long they are kept. */
  checkpoints(checkpoints: NonNullable<JobSpecInput['checkpoints']>): JobBuilder<Ids> {
    return new JobBuilder({ ...this.spec, checkpoints });
  }

  /** Where rows between the stages of wide steps lie, if not on the workers. */
  shuffle(shuffle: NonNullable<JobSpecInput['shuffle']>): JobBuilder<Ids> {
    return new JobBuilder({ ...this.spec, shuffle });
  }

  /** Where rows go that cannot be processed, and how many may. */
  deadLetters(deadLetters: NonNullable<JobSpecInput['deadLetters']>): JobBuilder<Ids> {
    return new JobBuilder({ ...this.spec, deadLetters });
  }

  /** What is read, under an id. */
  source<Id extends string>(id: Id, source: SourceInput): JobBuilder<Ids | Id> {
    return new JobBuilder({ ...this.spec, sources: { ...this.spec.sources, [id]: source } });
  }

  /** Keeps the rows for which `where` is true. */
  filter<Id extends string>(id: Id, filter: Reading<StepBody<'filter'>, Ids>) {
    return this.step<Id>({ id, filter });
  }

  /** Makes columns. */
  select<Id extends string>(id: Id, select: Reading<StepBody<'select'>, Ids>) {
    return this.step<Id>({ id, select });
  }

  /** SQL over the sources and steps that it names. */
  sql<Id extends string>(id: Id, query: string) {
    return this.step<Id>({ id, sql: { query } });
  }

  /** Calls a function of a module; rows travel as Arrow batches, or one by one. */
  map<Id extends string>(id: Id, map: Reading<StepBody<'map'>, Ids>) {
    return this.step<Id>({ id, map });
  }

  /** Runs an ONNX model: columns become tensors, tensors columns. */
  infer<Id extends string>(id: Id, infer: Reading<StepBody<'infer'>, Ids>) {
    return this.step<Id>({ id, infer });
  }

  /** Checks rows; what fails a check fails the job, is told, or becomes a dead letter. */
  expect<Id extends string>(id: Id, expect: Reading<StepBody<'expect'>, Ids>) {
    return this.step<Id>({ id, expect });
  }

  /** Pairs of rows of two inputs. */
  join<Id extends string>(
    id: Id,
    join: Omit<StepBody<'join'>, 'left' | 'right'> & { left: Ids; right: Ids },
  ) {
    return this.step<Id>({ id, join });
  }

  /** One row for each group. */
  aggregate<Id extends string>(id: Id, aggregate: Reading<StepBody<'aggregate'>, Ids>) {
    return this.step<Id>({ id, aggregate });
  }

  /** One row for each combination of keys, or of all columns. */
  distinct<Id extends string>(id: Id, distinct: Reading<StepBody<'distinct'>, Ids>) {
    return this.step<Id>({ id, distinct });
  }

  /** All rows in an order, which the output's files keep. */
  sort<Id extends string>(id: Id, sort: Reading<StepBody<'sort'>, Ids>) {
    return this.step<Id>({ id, sort });
  }

  /** The first rows of an order, or any. */
  limit<Id extends string>(id: Id, limit: Reading<StepBody<'limit'>, Ids>) {
    return this.step<Id>({ id, limit });
  }

  /** Columns computed over neighbouring rows. */
  window<Id extends string>(id: Id, window: Reading<StepBody<'window'>, Ids>) {
    return this.step<Id>({ id, window });
  }

  /** The rows of several inputs. */
  union<Id extends string>(id: Id, union: Omit<StepBody<'union'>, 'inputs'> & { inputs: Ids[] }) {
    return this.step<Id>({ id, union });
  }

  /** Some of the rows. */
  sample<Id extends string>(id: Id, sample: Reading<StepBody<'sample'>, Ids>) {
    return this.step<Id>({ id, sample });
  }

  /** The same rows in other chunks. */
  repartition<Id extends string>(id: Id, repartition: Reading<StepBody<'repartition'>, Ids>) {
    return this.step<Id>({ id, repartition });
  }

  /** What is written, and where. A job needs at least one. */
  output(output: Reading<OutputInput, Ids>): JobBuilder<Ids> {
    return new JobBuilder({ ...this.spec, outputs: [...this.spec.outputs, output] });
  }

  /** The spec as YAML would say it. */
  toJSON(): JobSpecInput {
    return structuredClone(this.spec);
  }

  /**
   * Makes it ready for `Client.submit`.
   * @param directory what its relative paths are relative to; default the working directory
   * @throws WindrowError as loadJob
   */
  load(directory = '.', options: LoadOptions = {}): Promise<LoadedJob> {
    return prepareJob(this.spec, directory, options);
  }

  private step<Id extends string>(step: StepInput): JobBuilder<Ids | Id> {
    return new JobBuilder({ ...this.spec, steps: [...(this.spec.steps ?? []), step] });
  }
}
