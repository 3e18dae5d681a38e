/**
 * What a well-shaped spec must also satisfy, as far as no data is needed to tell: names, references,
 * cycles, templates, params, sizes. Never: what SQL means, or columns; that is bound when the job is
 * analysed.
 */
import { parseByteSize } from './byte-size.js';
import { parseDurationMs } from './duration.js';
import type { JobSpec, StepSpec } from './job-spec.js';
import { checkTemplates, mapPaths } from './spec-paths.js';
import { nameHint, type SpecPath, type SpecProblems } from './spec-problems.js';
import { checkStep } from './step-meaning.js';

const reservedNames = new Set(['__proto__', 'constructor', 'prototype', 'windrow']);

/** @param variables names that `{{ }}` and SQL may use besides the params, such as a schedule's */
export function checkMeaning(
  spec: JobSpec,
  problems: SpecProblems,
  variables: readonly string[] = [],
): void {
  const ids = checkIds(spec, problems);
  checkReferences(spec, ids, problems);
  checkCycles(spec, problems);
  const known = [...Object.keys(spec.params), ...variables];
  spec.steps.forEach((step, index) => checkStep(step, ['steps', index], known, problems));
  checkOutputs(spec, problems);
  checkDeadLetters(spec, problems);
  checkDurations(spec, problems);
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

/** Sources and steps that a step reads, where the spec says it outright (SQL says it in its text). */
export function inputsOf(step: StepSpec): { readonly id: string; readonly at: SpecPath }[] {
  if ('sql' in step) return [];
  if ('join' in step) {
    const { left, right } = step.join;
    return [
      { id: left, at: ['join', 'left'] },
      { id: right, at: ['join', 'right'] },
    ];
  }
  if ('union' in step) {
    return step.union.inputs.map((id, index) => ({ id, at: ['union', 'inputs', index] }));
  }
  for (const [kind, body] of Object.entries(step)) {
    if (typeof body === 'object') return [{ id: body.from, at: [kind, 'from'] }];
  }
  return [];
}

function checkReferences(spec: JobSpec, ids: ReadonlySet<string>, problems: SpecProblems): void {
  const check = (from: string, at: SpecPath): void => {
    if (ids.has(from)) return;
    problems.add('E_UNKNOWN_STEP', at, `there is no source or step '${from}'`, {
      hint: nameHint(from, [...ids]),
    });
  };
  spec.steps.forEach((step, index) => {
    for (const { id, at } of inputsOf(step)) check(id, ['steps', index, ...at]);
  });
  spec.outputs.forEach((output, index) => check(output.from, ['outputs', index, 'from']));
}

function checkCycles(spec: JobSpec, problems: SpecProblems): void {
  const edges = new Map<string, readonly string[]>();
  for (const step of spec.steps) {
    edges.set(
      step.id,
      inputsOf(step).map(({ id }) => id),
    );
  }
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
      problems.attempt(() => parseByteSize(size), ['outputs', index, 'targetFileSize']);
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
    const ms = problems.attempt(() => parseDurationMs(text), ['run', key]);
    if (ms === 0) {
      const hint = 'leave it out for no limit';
      problems.add('E_SPEC_INVALID', ['run', key], 'no time at all', { hint });
    }
  }
  problems.attempt(() => parseDurationMs(spec.checkpoints.keep), ['checkpoints', 'keep']);
}
