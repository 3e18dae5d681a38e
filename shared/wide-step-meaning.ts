/** What the fields of one wide step must satisfy together, as far as no data is needed to tell. */
import { parseByteSize } from './byte-size.js';
import { WindrowError } from './failure.js';
import type { StepSpec } from './job-spec.js';
import { shorten, type SpecPath, type SpecProblems } from './spec-problems.js';
import type { StepOf } from './step-spec.js';

type Path = readonly (string | number)[];

/** Notes a problem with the field at a path within the step. */
type Add = (path: Path, message: string, hint: string) => void;

export function checkWideStep(step: StepSpec, at: SpecPath, problems: SpecProblems): void {
  const add: Add = (path, message, hint) =>
    problems.add('E_SPEC_INVALID', [...at, ...path], message, { hint });
  if ('join' in step) checkJoin(step.join, add);
  if ('aggregate' in step) checkAggregate(step.aggregate, add);
  if ('distinct' in step) checkDistinct(step.distinct, add);
  if ('window' in step) checkWindow(step.window, add);
  if ('sample' in step) {
    const { fraction, rows } = step.sample;
    if ((fraction === undefined) === (rows === undefined)) {
      const message = fraction === undefined ? 'says how much of nothing' : 'has fraction and rows';
      add(['sample'], message, 'write fraction: 0.1 or rows: 1000');
    }
  }
  if ('repartition' in step) checkRepartition(step.repartition, add);
}

/** The SQL that a wide step is written with, and where it stands within the step. */
export function* sqlOfWideStep(step: StepSpec): Generator<{ path: Path; text: string }> {
  if ('join' in step) yield* texts(['join', 'where'], step.join.where);
  if ('aggregate' in step) {
    const { by = [], measures, having } = step.aggregate;
    for (const [index, entry] of by.entries()) {
      if (typeof entry !== 'string') yield* texts(['aggregate', 'by', index], entry);
    }
    yield* texts(['aggregate', 'measures'], measures);
    yield* texts(['aggregate', 'having'], having);
  }
  if ('distinct' in step) yield* texts(['distinct', 'order'], step.distinct.order);
  if ('sort' in step) yield* texts(['sort', 'by'], step.sort.by);
  if ('limit' in step) yield* texts(['limit', 'order'], step.limit.order);
  if ('window' in step) {
    const { partitionBy, orderBy, frame, columns } = step.window;
    yield* texts(['window'], { ...(frame === undefined ? {} : { frame }) });
    yield* texts(['window', 'partitionBy'], partitionBy);
    yield* texts(['window', 'orderBy'], orderBy);
    yield* texts(['window', 'columns'], columns);
  }
}

function* texts(
  path: Path,
  value: string | readonly string[] | Readonly<Record<string, string>> | undefined,
): Generator<{ path: Path; text: string }> {
  if (value === undefined) return;
  if (typeof value === 'string') yield { path, text: value };
  else if (Array.isArray(value)) {
    for (const [index, text] of value.entries())
      yield { path: [...path, index], text: text as string };
  } else {
    for (const [name, text] of Object.entries(value)) yield { path: [...path, name], text };
  }
}

function checkJoin(join: StepOf<'join'>['join'], add: Add): void {
  const { keys, how } = join;
  const count = keys === undefined ? 0 : Object.keys(keys).length;
  if (how === 'cross' && keys !== undefined) {
    add(['join', 'keys'], 'a cross join has no keys', 'leave keys out, or choose another how');
  }
  if (how !== 'cross' && count === 0) {
    const hint = 'write keys: [column], keys: { left: right }, or how: cross for all pairs';
    add(['join'], `${how} needs keys`, hint);
  }
  if (join.nullSafe !== undefined && how === 'cross') {
    add(['join', 'nullSafe'], 'is about keys, and a cross join has none', 'leave it out');
  }
  if (join.left.toLowerCase() === join.right.toLowerCase()) {
    const hint = 'write a sql step, where each side can have a name of its own';
    add(['join', 'right'], `'${join.left}' is joined with itself`, hint);
  }
  const [left, right] = Array.isArray(keys)
    ? [keys, keys]
    : [Object.keys(keys ?? {}), Object.values(keys ?? {})];
  const twin = twinOf(left) ?? twinOf(right);
  if (twin !== undefined) {
    add(['join', 'keys'], `'${shorten(twin)}' is there twice`, 'name each column once');
  }
}

function checkAggregate(aggregate: StepOf<'aggregate'>['aggregate'], add: Add): void {
  const { by = [], measures, sets } = aggregate;
  const names = by.flatMap((entry) => (typeof entry === 'string' ? [entry] : Object.keys(entry)));
  if (Object.keys(measures).length === 0) {
    add(['aggregate', 'measures'], 'names no column', 'write name: expression, or a distinct step');
  }
  by.forEach((entry, index) => {
    if (Object.keys(entry).length > 0) return;
    add(['aggregate', 'by', index], 'names no column', 'write a column, or name: expression');
  });
  const twin = twinOf([...names, ...Object.keys(measures)]);
  if (twin !== undefined) {
    add(['aggregate'], `makes two columns '${shorten(twin)}'`, 'give one another name');
  }
  if (sets === undefined) return;
  if (names.length === 0)
    add(['aggregate', 'sets'], 'needs by', 'name the columns of the sets in by');
  if (typeof sets === 'string') return;
  const known = new Set(names.map((name) => name.toLowerCase()));
  const used = new Set<string>();
  sets.forEach((set, index) => {
    for (const name of set) {
      used.add(name.toLowerCase());
      if (known.has(name.toLowerCase())) continue;
      const hint = `write one of ${names.join(', ')}, or add it to by`;
      add(['aggregate', 'sets', index], `'${shorten(name)}' is not in by`, hint);
    }
  });
  const idle = names.find((name) => !used.has(name.toLowerCase()));
  if (idle !== undefined) {
    add(
      ['aggregate', 'sets'],
      `no set has '${shorten(idle)}'`,
      'add it to one, or leave it out of by',
    );
  }
}

function checkDistinct({ keys, order }: StepOf<'distinct'>['distinct'], add: Add): void {
  if (keys !== undefined && order === undefined) {
    const hint = 'say which row of equal keys stays: order: ["changed_at desc"]';
    add(['distinct'], 'keys need an order', hint);
  }
  if (keys === undefined && order !== undefined) {
    const hint = 'name keys, or leave order out: rows equal in all columns do not differ';
    add(['distinct', 'order'], 'needs keys', hint);
  }
}

function checkWindow({ orderBy, frame, columns }: StepOf<'window'>['window'], add: Add): void {
  if (Object.keys(columns).length === 0) {
    add(['window', 'columns'], 'names no column', 'write name: expression');
  }
  if (frame !== undefined && orderBy === undefined) {
    add(['window', 'frame'], 'needs orderBy', 'say in which order rows come before and after');
  }
}

function checkRepartition(
  { partitions, keys, targetFileSize }: StepOf<'repartition'>['repartition'],
  add: Add,
): void {
  if (partitions === undefined && keys === undefined && targetFileSize === undefined) {
    const hint = 'write partitions, keys or targetFileSize';
    add(['repartition'], 'does not say how', hint);
  }
  if (partitions !== undefined && targetFileSize !== undefined) {
    const hint = 'leave one of them out';
    add(['repartition', 'targetFileSize'], 'says how many chunks, as partitions does', hint);
  }
  if (typeof targetFileSize !== 'string') return;
  try {
    parseByteSize(targetFileSize);
  } catch (error) {
    if (!(error instanceof WindrowError)) throw error;
    const { message, hint = '' } = error.failure;
    add(['repartition', 'targetFileSize'], message, hint);
  }
}

/** A name that stands twice, without regard to case. */
export function twinOf(names: readonly string[]): string | undefined {
  const lower = names.map((name) => name.toLowerCase());
  return names.find((_, index) => lower.indexOf(lower[index]!) !== index);
}
