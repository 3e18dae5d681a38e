/**
 * Builds a job spec in code: the same JSON as YAML gives, with ids that the compiler checks. Never:
 * anything that YAML could not say.
 */
import type { JobSpecInput } from '../shared/job-spec.js';
import { prepareJob, type LoadOptions } from './load.js';
import type { LoadedJob } from './types.js';

type SourceInput = JobSpecInput['sources'][string];
type StepInput = NonNullable<JobSpecInput['steps']>[number];
type OutputInput = JobSpecInput['outputs'][number];
type ParamInput = NonNullable<JobSpecInput['params']>[string];
type KindInput<Kind extends string> =
  Extract<StepInput, Record<Kind, unknown>> extends infer Step
    ? Step extends Record<Kind, infer Body>
      ? Body
      : never
    : never;
/** A step's fields with `from` narrowed to ids that are there already. */
type Reading<Body, Ids extends string> = Omit<Body, 'from'> & { from: Ids };

/** A Parquet source: path, glob or list of them, relative to where the job is loaded from. */
export function parquet(
  path: string | readonly string[],
  options: Omit<SourceInput, 'parquet'> = {},
): SourceInput {
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

export class JobBuilder<Ids extends string> {
  constructor(private readonly spec: JobSpecInput) {}

  params(params: Readonly<Record<string, ParamInput>>): JobBuilder<Ids> {
    return new JobBuilder({ ...this.spec, params: { ...this.spec.params, ...params } });
  }

  labels(labels: Readonly<Record<string, string>>): JobBuilder<Ids> {
    const metadata = { ...this.spec.metadata, labels: { ...labels } };
    return new JobBuilder({ ...this.spec, metadata });
  }

  run(run: NonNullable<JobSpecInput['run']>): JobBuilder<Ids> {
    return new JobBuilder({ ...this.spec, run: { ...this.spec.run, ...run } });
  }

  checkpoints(checkpoints: NonNullable<JobSpecInput['checkpoints']>): JobBuilder<Ids> {
    return new JobBuilder({ ...this.spec, checkpoints });
  }

  deadLetters(deadLetters: NonNullable<JobSpecInput['deadLetters']>): JobBuilder<Ids> {
    return new JobBuilder({ ...this.spec, deadLetters });
  }

  source<Id extends string>(id: Id, source: SourceInput): JobBuilder<Ids | Id> {
    return new JobBuilder({ ...this.spec, sources: { ...this.spec.sources, [id]: source } });
  }

  filter<Id extends string>(id: Id, filter: Reading<KindInput<'filter'>, Ids>) {
    return this.step<Id>({ id, filter });
  }

  select<Id extends string>(id: Id, select: Reading<KindInput<'select'>, Ids>) {
    return this.step<Id>({ id, select });
  }

  /** SQL over the sources and steps that it names. */
  sql<Id extends string>(id: Id, query: string) {
    return this.step<Id>({ id, sql: { query } });
  }

  map<Id extends string>(id: Id, map: Reading<KindInput<'map'>, Ids>) {
    return this.step<Id>({ id, map });
  }

  infer<Id extends string>(id: Id, infer: Reading<KindInput<'infer'>, Ids>) {
    return this.step<Id>({ id, infer });
  }

  expect<Id extends string>(id: Id, expect: Reading<KindInput<'expect'>, Ids>) {
    return this.step<Id>({ id, expect });
  }

  join<Id extends string>(
    id: Id,
    join: Omit<KindInput<'join'>, 'left' | 'right'> & { left: Ids; right: Ids },
  ) {
    return this.step<Id>({ id, join });
  }

  aggregate<Id extends string>(id: Id, aggregate: Reading<KindInput<'aggregate'>, Ids>) {
    return this.step<Id>({ id, aggregate });
  }

  distinct<Id extends string>(id: Id, distinct: Reading<KindInput<'distinct'>, Ids>) {
    return this.step<Id>({ id, distinct });
  }

  sort<Id extends string>(id: Id, sort: Reading<KindInput<'sort'>, Ids>) {
    return this.step<Id>({ id, sort });
  }

  limit<Id extends string>(id: Id, limit: Reading<KindInput<'limit'>, Ids>) {
    return this.step<Id>({ id, limit });
  }

  window<Id extends string>(id: Id, window: Reading<KindInput<'window'>, Ids>) {
    return this.step<Id>({ id, window });
  }

  union<Id extends string>(id: Id, union: Omit<KindInput<'union'>, 'inputs'> & { inputs: Ids[] }) {
    return this.step<Id>({ id, union });
  }

  sample<Id extends string>(id: Id, sample: Reading<KindInput<'sample'>, Ids>) {
    return this.step<Id>({ id, sample });
  }

  repartition<Id extends string>(id: Id, repartition: Reading<KindInput<'repartition'>, Ids>) {
    return this.step<Id>({ id, repartition });
  }

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
