/**
 * Makes a spec ready to travel: params merged, templates pasted, paths absolute, models hashed,
 * functions bundled. Never: looks at data or asks a coordinator.
 */
import { createReadStream } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fail, toFailure, WindrowError } from '../shared/failure.js';
import type { JobSpec, JobSpecInput, StepSpec } from '../shared/job-spec.js';
import { limits } from '../shared/limits.js';
import { parseSpecText, validateSpec } from '../shared/spec-file.js';
import { applyParams } from '../shared/spec-params.js';
import { hasTemplate, mapPaths, pasteTemplates } from '../shared/spec-paths.js';
import { formatPath } from '../shared/spec-problems.js';
import { Roots } from '../shared/storage/roots.js';
import { loadOptions, text } from './arguments.js';
import type { LoadedJob, LocalFile } from './types.js';

export interface LoadOptions {
  /** Params to set: `name=value` texts, or values by name. */
  readonly set?: readonly string[] | Readonly<Record<string, string>>;
  /** Variables that get their values later, with each run of a schedule: paths keep them. */
  readonly later?: readonly string[];
  /** Where bundles go; default one of the user's own below the system's temporary directory. */
  readonly bundleDirectory?: string;
}

/**
 * Loads a job from a YAML or JSON file; relative paths in it are relative to that file.
 * @throws WindrowError of kind invalidSpec, codes as in docs/ERRORS.md
 */
export async function loadJob(specPath: string, options: LoadOptions = {}): Promise<LoadedJob> {
  text('specPath', specPath);
  loadOptions('options', options);
  const variables = options.later ?? [];
  const { spec } = parseSpecText(await readSpec(specPath), { file: specPath, variables });
  return prepare(spec, dirname(resolve(specPath)), options);
}

/**
 * The same for a spec that a program made, such as a builder's `toJSON()`.
 * @param directory what relative paths are relative to
 */
export async function prepareJob(
  spec: JobSpecInput,
  directory: string,
  options: LoadOptions = {},
): Promise<LoadedJob> {
  text('directory', directory);
  loadOptions('options', options);
  return prepare(validateSpec(spec), resolve(directory), options);
}

async function prepare(
  written: JobSpec,
  directory: string,
  options: LoadOptions,
): Promise<LoadedJob> {
  const variables = options.later ?? [];
  const pasted = pasteTemplates(applyParams(written, settings(options.set)), variables);
  const absolute = mapPaths(pasted, (text, role, at) => {
    if (role === 'model' || role === 'module') refuseTemplate(text, formatPath(at));
    return absolutePath(text, directory, formatPath(at));
  });
  const spec = validateSpec(absolute, { variables });
  const files = new Map<string, LocalFile>();
  const steps: StepSpec[] = [];
  for (const step of spec.steps) steps.push(await prepareStep(step, files, options));
  return {
    name: spec.metadata.name,
    specJson: JSON.stringify({ ...spec, steps }),
    files,
    directory,
  };
}

/** What is read now is the same for all runs. */
function refuseTemplate(text: string, place: string): void {
  if (!hasTemplate(text)) return;
  fail(
    'invalidSpec',
    'E_SPEC_INVALID',
    `${place}: models and modules cannot vary from run to run`,
    {
      hint: 'keep variables of runs to the paths of data; a param may stand here',
    },
  );
}

async function prepareStep(
  step: StepSpec,
  files: Map<string, LocalFile>,
  options: LoadOptions,
): Promise<StepSpec> {
  if ('infer' in step) {
    const { model } = step.infer;
    const { readModel } = await import('./models.js');
    if (!files.has(model)) files.set(model, await readModel(model, { step: step.id }));
    return step;
  }
  if ('map' in step) {
    // Only jobs with functions pay for loading the bundler.
    const { bundleModule } = await import('./bundles.js');
    const { file, chosen } = await bundleModule(step, options.bundleDirectory);
    files.set(step.map.module, file);
    return { ...step, map: { ...step.map, export: chosen } };
  }
  return step;
}

function settings(set: LoadOptions['set']): readonly string[] {
  if (set === undefined || Array.isArray(set)) return (set as readonly string[] | undefined) ?? [];
  return Object.entries(set as Record<string, string>).map(([name, value]) => `${name}=${value}`);
}

/** Embedded jobs have no path limits beyond the user's own rights; a server checks its own roots. */
const anywhere = new Roots();

/** @throws WindrowError E_URI_SCHEME | E_URI_DENIED, saying at which place */
export function absolutePath(text: string, directory: string, place: string): string {
  try {
    return anywhere.resolve(text, directory);
  } catch (error) {
    if (!(error instanceof WindrowError)) throw error;
    const { failure } = error;
    throw new WindrowError({ ...failure, message: `${place}: ${failure.message}` }, error);
  }
}

/**
 * The text of a spec; reads at most one byte above the limit, whatever the path leads to.
 * @throws WindrowError E_SPEC_MISSING, E_SPEC_UNREADABLE, E_SPEC_SYNTAX
 */
export async function readSpec(path: string): Promise<string> {
  const at = { file: path };
  const parts: Buffer[] = [];
  try {
    for await (const part of createReadStream(path, { end: limits.specBytes })) {
      parts.push(part as Buffer);
    }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      fail('invalidSpec', 'E_SPEC_MISSING', 'there is no such spec', {
        at,
        hint: 'give the path of a YAML or JSON file',
      });
    }
    if (code === 'EISDIR') {
      fail('invalidSpec', 'E_SPEC_MISSING', 'a directory is not a spec', {
        at,
        hint: 'give the path of a YAML or JSON file',
      });
    }
    throw new WindrowError(toFailure(error, { kind: 'io', code: 'E_SPEC_UNREADABLE' }), error);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(parts));
  } catch {
    fail('invalidSpec', 'E_SPEC_SYNTAX', 'the spec is not UTF-8 text', {
      at,
      hint: 'save it as UTF-8',
    });
  }
}
