/** The places in a spec that hold a path, and the `{{ name }}` in them. Never: touches a file. */
import type { JobSpec, ParamValue, StepSpec } from './job-spec.js';
import { nameHint, SpecProblems, type SpecPath } from './spec-problems.js';

/** What lies at a path: files to read, a place to write, a model or a function's module. */
export type PathRole =
  'source' | 'output' | 'model' | 'module' | 'checkpoints' | 'shuffle' | 'deadLetters';

/** A copy of the spec with every path replaced by what `change` makes of it. */
export function mapPaths(
  spec: JobSpec,
  change: (text: string, role: PathRole, at: SpecPath) => string,
): JobSpec {
  const sources: JobSpec['sources'] = {};
  for (const [name, source] of Object.entries(spec.sources)) {
    const at = ['sources', name, 'parquet'];
    const parquet = Array.isArray(source.parquet)
      ? source.parquet.map((text, index) => change(text, 'source', [...at, index]))
      : change(source.parquet, 'source', at);
    sources[name] = { ...source, parquet };
  }
  const { checkpoints, shuffle, deadLetters } = spec;
  return {
    ...spec,
    sources,
    steps: spec.steps.map((step, index) => mapStep(step, index, change)),
    checkpoints:
      checkpoints.location === undefined
        ? checkpoints
        : {
            ...checkpoints,
            location: change(checkpoints.location, 'checkpoints', ['checkpoints', 'location']),
          },
    shuffle:
      shuffle.location === undefined
        ? shuffle
        : { ...shuffle, location: change(shuffle.location, 'shuffle', ['shuffle', 'location']) },
    deadLetters:
      deadLetters.path === undefined
        ? deadLetters
        : {
            ...deadLetters,
            path: change(deadLetters.path, 'deadLetters', ['deadLetters', 'path']),
          },
    outputs: spec.outputs.map((output, index) => ({
      ...output,
      parquet: change(output.parquet, 'output', ['outputs', index, 'parquet']),
    })),
  };
}

function mapStep(
  step: StepSpec,
  index: number,
  change: (text: string, role: PathRole, at: SpecPath) => string,
): StepSpec {
  if ('infer' in step) {
    const model = change(step.infer.model, 'model', ['steps', index, 'infer', 'model']);
    return { ...step, infer: { ...step.infer, model } };
  }
  if ('map' in step) {
    const module = change(step.map.module, 'module', ['steps', index, 'map', 'module']);
    return { ...step, map: { ...step.map, module } };
  }
  return step;
}

const template = /\{\{([^{}]*)\}\}/g;

export function hasTemplate(text: string): boolean {
  return /\{\{[^{}]*\}\}/.test(text);
}

/** Notes E_UNKNOWN_VARIABLE for each `{{ name }}` of a text that `variables` lacks. */
export function checkTemplates(
  text: string,
  at: SpecPath,
  variables: readonly string[],
  problems: SpecProblems,
): void {
  for (const match of text.matchAll(template)) {
    const name = (match[1] ?? '').trim();
    if (variables.includes(name)) continue;
    problems.add('E_UNKNOWN_VARIABLE', at, `'${name}' is not a variable of this job`, {
      hint: nameHint(name, variables) ?? `declare ${name} under params`,
    });
  }
}

/**
 * Pastes params into paths and into the job's name.
 * @param later variables that get their values later: they stay as they are written
 * @throws WindrowError E_UNKNOWN_VARIABLE, or E_SPEC_INVALID where a value cannot stand in a path
 */
export function pasteTemplates(spec: JobSpec, later: readonly string[] = []): JobSpec {
  const values = new Map(Object.entries(spec.params));
  for (const name of later) values.delete(name);
  const variables = [...values.keys(), ...later];
  const problems = new SpecProblems();
  const paste = (text: string, at: SpecPath): string => {
    checkTemplates(text, at, variables, problems);
    return text.replace(template, (whole, inner: string) => {
      const value = values.get(inner.trim());
      if (value === undefined) return whole;
      if (!canStandInPath(value)) {
        problems.add('E_SPEC_INVALID', at, `${inner.trim()} has no text that a path can hold`, {
          hint: `give it another value with --set ${inner.trim()}=…`,
        });
      }
      return String(value);
    });
  };
  const pasted = mapPaths(spec, (text, _role, at) => paste(text, at));
  const name = paste(spec.metadata.name, ['metadata', 'name']);
  problems.throwIfAny();
  return { ...pasted, metadata: { ...spec.metadata, name } };
}

/** What is pasted is never read as a template again, so that nothing is left to paste later. */
function canStandInPath(value: ParamValue): boolean {
  const text = value === null ? '' : String(value);
  return text !== '' && !text.includes('\0') && !text.includes('{{');
}
