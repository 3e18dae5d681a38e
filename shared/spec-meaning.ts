/**
 * What a well-shaped spec must also satisfy, as far as no data is needed to tell: names, references,
 * cycles, templates, sizes. Never: SQL or columns; those are bound when the job is analysed.
 */
import { parseByteSize } from './byte-size.js';
import { parseDurationMs } from './duration.js';
import { WindrowError } from './failure.js';
import type { CheckSpec, JobSpec, StepSpec } from './job-spec.js';
import { checkTemplates, hasTemplate, mapPaths } from './spec-paths.js';
import { nameHint, shorten, type SpecPath, type SpecProblems } from './spec-problems.js';

const reservedNames = new Set(['__proto__', 'constructor', 'prototype', 'windrow']);

/** @param variables names that `{{ }}` may use besides the params, such as a schedule's */
export function checkMeaning(
  spec: JobSpec,
  problems: SpecProblems,
  variables: readonly string[] = [],
): void {
  const ids = checkIds(spec, problems);
  checkReferences(spec, ids, problems);
  checkCycles(spec, problems);
  spec.steps.forEach((step, index) => checkStep(step, ['steps', index], problems));
  checkOutputs(spec, problems);
  checkDeadLetters(spec, problems);
  checkDurations(spec, problems);
  const known = [...Object.keys(spec.params), ...variables];
  checkTemplates(spec.metadata.name, ['metadata', 'name'], known, problems);
  mapPaths(spec, (text, _role, at) => {
    checkTemplates(text, at, known, problems);
    return text;
  });
}

/** Ids of sources and steps; SQL does not tell upper from lower case, so neither do they. */
function checkIds(spec: JobSpec, problems: SpecProblems): Set<string> {
  const taken = new Map<string, string>();
  const ids = new Set<string>();
  const take = (id: string, what: string, at: SpecPath, place: 'key' | 'value'): void => {
    ids.add(id);
    const lower = id.toLowerCase();
    const other = taken.get(lower);
    if (other !== undefined) {
      problems.add('E_SPEC_INVALID', at, `the id '${id}' is taken by ${other}`, {
        hint: 'ids of sources and steps are unique without regard to case: choose another',
        what: place,
      });
    } else if (reservedNames.has(lower) || lower.startsWith('_windrow')) {
      problems.add('E_SPEC_INVALID', at, `the id '${id}' is reserved`, {
        hint: 'choose another',
        what: place,
      });
    }
    if (other === undefined) taken.set(lower, `${what} '${id}'`);
  };
  for (const name of Object.keys(spec.sources)) take(name, 'source', ['sources', name], 'key');
  spec.steps.forEach((step, index) => take(step.id, 'step', ['steps', index, 'id'], 'value'));
  const params = new Map<string, string>();
  for (const name of Object.keys(spec.params)) {
    const other = params.get(name.toLowerCase());
    if (other !== undefined) {
      problems.add('E_SPEC_INVALID', ['params', name], `the param '${name}' is also '${other}'`, {
        hint: 'params are unique without regard to case: choose another name',
        what: 'key',
      });
    }
    params.set(name.toLowerCase(), name);
  }
  return ids;
}

/** The step or source a step reads, where the spec says it outright (SQL says it in its text). */
export function fromOf(step: StepSpec): { from: string; key: string } | undefined {
  if ('filter' in step) return { from: step.filter.from, key: 'filter' };
  if ('select' in step) return { from: step.select.from, key: 'select' };
  if ('map' in step) return { from: step.map.from, key: 'map' };
  if ('infer' in step) return { from: step.infer.from, key: 'infer' };
  if ('expect' in step) return { from: step.expect.from, key: 'expect' };
  return undefined;
}

function checkReferences(spec: JobSpec, ids: ReadonlySet<string>, problems: SpecProblems): void {
  const check = (from: string, at: SpecPath): void => {
    if (ids.has(from)) return;
    problems.add('E_UNKNOWN_STEP', at, `there is no source or step '${from}'`, {
      hint: nameHint(from, [...ids]),
    });
  };
  spec.steps.forEach((step, index) => {
    const read = fromOf(step);
    if (read) check(read.from, ['steps', index, read.key, 'from']);
  });
  spec.outputs.forEach((output, index) => check(output.from, ['outputs', index, 'from']));
}

function checkCycles(spec: JobSpec, problems: SpecProblems): void {
  const edges = new Map<string, readonly string[]>();
  for (const step of spec.steps) edges.set(step.id, [fromOf(step)?.from ?? []].flat());
  const cycle = findCycle(edges);
  if (!cycle) return;
  const index = spec.steps.findIndex((step) => step.id === cycle[0]);
  problems.add('E_SPEC_CYCLE', ['steps', index, 'id'], `steps form a cycle: ${cycle.join(' → ')}`, {
    hint: 'let one of them read a source or an earlier step',
  });
}

/**
 * A cycle among steps, its first id repeated at its end, or undefined. The planner asks again with
 * the edges that it finds in SQL.
 * @param edges what each step reads
 */
export function findCycle(
  edges: ReadonlyMap<string, readonly string[]>,
): readonly string[] | undefined {
  const finished = new Set<string>();
  for (const start of edges.keys()) {
    const path: string[] = [];
    const onPath = new Map<string, number>();
    const pending: { id: string; next: number }[] = [{ id: start, next: 0 }];
    while (pending.length > 0) {
      const top = pending[pending.length - 1]!;
      if (top.next === 0) {
        const seenAt = onPath.get(top.id);
        if (seenAt !== undefined) return [...path.slice(seenAt), top.id];
        if (finished.has(top.id)) {
          pending.pop();
          continue;
        }
        onPath.set(top.id, path.length);
        path.push(top.id);
      }
      const read = edges.get(top.id)?.[top.next];
      top.next += 1;
      if (read !== undefined) {
        pending.push({ id: read, next: 0 });
        continue;
      }
      finished.add(top.id);
      onPath.delete(top.id);
      path.pop();
      pending.pop();
    }
  }
  return undefined;
}

function checkStep(step: StepSpec, at: SpecPath, problems: SpecProblems): void {
  const add = (path: (string | number)[], message: string, hint: string): void =>
    problems.add('E_SPEC_INVALID', [...at, ...path], message, { hint });
  if ('filter' in step) checkSql(step.filter.where, [...at, 'filter', 'where'], problems);
  if ('sql' in step) checkSql(step.sql.query, [...at, 'sql', 'query'], problems);
  if ('select' in step) {
    const columns = Object.entries(step.select.columns);
    if (columns.length === 0) add(['select', 'columns'], 'names no column', 'name at least one');
    for (const [name, expression] of columns) {
      const path = ['select', 'columns', name];
      if (expression === true) {
        if (name !== '*') add(path, `only "*" can be true`, `write ${name}: ${name} to keep it`);
      } else checkSql(expression, [...at, ...path], problems);
    }
  }
  if ('map' in step) {
    const { map } = step;
    if (Object.keys(map.columns).length === 0) {
      add(['map', 'columns'], 'names no column', 'name what the function returns, with types');
    }
    if (map.onError === 'deadLetter' && map.rowwise === false) {
      const hint = 'write rowwise: true if each input row gives one output row, or onError: fail';
      add(['map', 'onError'], 'deadLetter needs a row-wise function', hint);
    }
  }
  if ('infer' in step) checkInfer(step.infer, add);
  if ('expect' in step) {
    step.expect.checks.forEach((check, index) => {
      checkCheck(check, [...at, 'expect', 'checks', index], problems);
    });
  }
}

function checkInfer(
  infer: { inputs: Record<string, unknown>; outputs: Record<string, string> },
  add: (path: (string | number)[], message: string, hint: string) => void,
): void {
  if (Object.keys(infer.inputs).length === 0) {
    add(['infer', 'inputs'], 'names no tensor', 'write tensor: column, or tensor: [columns]');
  }
  if (Object.keys(infer.outputs).length === 0) {
    add(['infer', 'outputs'], 'names no tensor', 'write tensor: column');
  }
  const columns = new Set<string>();
  for (const [tensor, column] of Object.entries(infer.outputs)) {
    if (columns.has(column.toLowerCase())) {
      add(['infer', 'outputs', tensor], `column '${column}' is made twice`, 'choose another name');
    }
    columns.add(column.toLowerCase());
  }
}

function checkCheck(check: CheckSpec, at: SpecPath, problems: SpecProblems): void {
  if ('predicate' in check) checkSql(check.predicate, [...at, 'predicate'], problems);
  if ('between' in check) {
    const [low, high] = check.between;
    if (low === null || high === null) {
      problems.add('E_SPEC_INVALID', [...at, 'between'], 'a bound cannot be null');
    } else if (typeof low === 'number' && typeof high === 'number' && low > high) {
      const hint = 'write the lower bound first';
      problems.add('E_SPEC_INVALID', [...at, 'between'], `${low} is above ${high}`, { hint });
    }
  }
  if ('rowCount' in check) {
    const { min, max } = check.rowCount;
    if (min === undefined && max === undefined) {
      const hint = 'give it min, max or both';
      problems.add('E_SPEC_INVALID', [...at, 'rowCount'], 'checks nothing', { hint });
    } else if (min !== undefined && max !== undefined && min > max) {
      problems.add('E_SPEC_INVALID', [...at, 'rowCount'], `min ${min} is above max ${max}`);
    }
  }
}

function checkSql(text: string, at: SpecPath, problems: SpecProblems): void {
  if (!hasTemplate(text)) return;
  const name = /\{\{\s*([A-Za-z_]\w*)\s*\}\}/.exec(text)?.[1] ?? 'name';
  problems.add('E_TEMPLATE_IN_SQL', at, `{{ ${shorten(name)} }} stands in SQL`, {
    hint: `write $${shorten(name)}`,
  });
}

function checkOutputs(spec: JobSpec, problems: SpecProblems): void {
  const names = new Map<string, number>();
  const paths = new Map<string, number>();
  spec.outputs.forEach((output, index) => {
    const name = output.name ?? output.from;
    const at = ['outputs', index, output.name === undefined ? 'from' : 'name'];
    if (names.has(name.toLowerCase())) {
      problems.add('E_SPEC_INVALID', at, `an output named '${name}' is already there`, {
        hint: output.name === undefined ? 'give it a name of its own' : 'choose another name',
      });
    } else if (reservedNames.has(name.toLowerCase())) {
      problems.add('E_SPEC_INVALID', at, `the name '${name}' is reserved`, {
        hint: 'choose another',
      });
    }
    names.set(name.toLowerCase(), index);
    const path = plainPath(output.parquet);
    const other = paths.get(path);
    if (other !== undefined) {
      const message = `output ${index + 1} writes where output ${other + 1} does`;
      const hint = 'give each output a directory of its own';
      problems.add('E_SPEC_INVALID', ['outputs', index, 'parquet'], message, { hint });
    }
    paths.set(path, index);
    if (typeof output.targetFileSize === 'string') {
      const size = output.targetFileSize;
      check(() => parseByteSize(size), ['outputs', index, 'targetFileSize'], problems);
    }
    const partitions = (output.partitionBy ?? []).map((column) => column.toLowerCase());
    if (new Set(partitions).size < partitions.length) {
      const partitionPath = ['outputs', index, 'partitionBy'];
      problems.add('E_SPEC_INVALID', partitionPath, 'names a column twice');
    }
  });
}

/** Rows and dead letters of one chunk have one name, so they need two directories. */
function checkDeadLetters(spec: JobSpec, problems: SpecProblems): void {
  const { path } = spec.deadLetters;
  if (path === undefined) return;
  const outputs = new Set(spec.outputs.map(({ parquet }) => plainPath(parquet)));
  for (const { name, from } of spec.outputs) {
    const place = spec.outputs.length > 1 ? `${path}/${name ?? from}` : path;
    if (!outputs.has(plainPath(place))) continue;
    problems.add('E_SPEC_INVALID', ['deadLetters', 'path'], `an output is written to ${place}`, {
      hint: 'give dead letters a directory of their own',
    });
  }
}

/** One spelling for a path: no doubled, leading `./` or trailing separators. */
function plainPath(path: string): string {
  const parts = path
    .split('/')
    .filter((part, index) => part !== '.' && (part !== '' || index === 0));
  return parts.join('/');
}

function checkDurations(spec: JobSpec, problems: SpecProblems): void {
  const { timeout, taskTimeout } = spec.run;
  for (const [key, text] of Object.entries({ timeout, taskTimeout })) {
    if (text === undefined) continue;
    const ms = check(() => parseDurationMs(text), ['run', key], problems);
    if (ms === 0) {
      const hint = 'leave it out for no limit';
      problems.add('E_SPEC_INVALID', ['run', key], 'no time at all', { hint });
    }
  }
  check(() => parseDurationMs(spec.checkpoints.keep), ['checkpoints', 'keep'], problems);
}

function check<T>(parse: () => T, at: SpecPath, problems: SpecProblems): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof WindrowError)) throw error;
    const { code, message, hint } = error.failure;
    problems.add(code, at, message, { hint });
    return undefined;
  }
}
