/**
 * What the fields of one step must satisfy together, as far as no data is needed to tell. Never: what
 * other steps are there; that is spec-meaning.ts.
 */
import type { StepSpec } from './job-spec.js';
import { hasTemplate } from './spec-paths.js';
import { shorten, type SpecPath, type SpecProblems } from './spec-problems.js';
import { paramNamed, paramNames, unknownParam } from './sql-params.js';
import type { CheckSpec } from './step-spec.js';
import { checkWideStep, sqlOfWideStep, twinOf } from './wide-step-meaning.js';

type CheckSql = (text: string, path: SpecPath) => void;

/** @param params names that SQL may bind */
export function checkStep(
  step: StepSpec,
  at: SpecPath,
  params: readonly string[],
  problems: SpecProblems,
): void {
  const add = (path: (string | number)[], message: string, hint: string): void =>
    problems.add('E_SPEC_INVALID', [...at, ...path], message, { hint });
  const sql: CheckSql = (text, path) => checkSql(text, [...at, ...path], params, problems);
  if ('filter' in step) sql(step.filter.where, ['filter', 'where']);
  if ('sql' in step) sql(step.sql.query, ['sql', 'query']);
  if ('select' in step) {
    const columns = Object.entries(step.select.columns);
    if (columns.length === 0) add(['select', 'columns'], 'names no column', 'name at least one');
    for (const [name, expression] of columns) {
      const path = ['select', 'columns', name];
      if (expression === true) {
        if (name !== '*') add(path, `only "*" can be true`, `write ${name}: ${name} to keep it`);
      } else sql(expression, path);
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
  checkWideStep(step, at, problems);
  for (const { path, text } of sqlOfWideStep(step)) sql(text, path);
  if ('expect' in step) {
    step.expect.checks.forEach((check, index) => {
      const path = ['expect', 'checks', index];
      if ('predicate' in check) sql(check.predicate, [...path, 'predicate']);
      checkCheck(check, [...at, ...path], problems);
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
  if ('unique' in check) {
    const twin = twinOf([check.unique].flat());
    if (twin !== undefined) {
      const message = `'${shorten(twin)}' is there twice`;
      problems.add('E_SPEC_INVALID', [...at, 'unique'], message, { hint: 'name each column once' });
    }
  }
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

function checkSql(
  text: string,
  at: SpecPath,
  params: readonly string[],
  problems: SpecProblems,
): void {
  for (const name of paramNames(text)) {
    if (paramNamed(name, params) !== undefined) continue;
    const { message, hint } = unknownParam(name, params);
    problems.add('E_UNKNOWN_PARAM', at, message, { hint });
  }
  if (!hasTemplate(text)) return;
  const name = /\{\{\s*([A-Za-z_]\w*)\s*\}\}/.exec(text)?.[1] ?? 'name';
  problems.add('E_TEMPLATE_IN_SQL', at, `{{ ${shorten(name)} }} stands in SQL`, {
    hint: `write $${shorten(name)}`,
  });
}
