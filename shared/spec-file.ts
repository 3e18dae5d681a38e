/**
 * The way into a job spec, for text that a user wrote and for JSON that came over the wire: limits
 * first, then shape, then meaning, and all problems of one phase reported together. Never: files.
 */
import { jobSpecSchema, type JobSpec } from './job-spec.js';
import { checkMeaning } from './spec-meaning.js';
import { SpecProblems, type Locate } from './spec-problems.js';
import { checkShape } from './spec-shape.js';
import { checkValues, readSpecText } from './spec-text.js';

/**
 * Reads a spec from YAML or JSON text.
 * @param options.file name for messages
 * @returns the spec with defaults filled in, and what was written, as plain values
 * @throws WindrowError of kind invalidSpec, codes as in docs/ERRORS.md, with all `problems` located
 */
export function parseSpecText(
  text: string,
  options: { readonly file?: string; readonly variables?: readonly string[] } = {},
): { spec: JobSpec; input: unknown } {
  const { value, locate } = readSpecText(text, options.file);
  return { spec: check(value, { ...options, locate }), input: value };
}

/**
 * The same checks for a value that is no text of a user's: JSON from the wire, or a builder's.
 * @throws WindrowError as parseSpecText, problems named by their path only
 */
export function validateSpec(
  value: unknown,
  options: { readonly variables?: readonly string[] } = {},
): JobSpec {
  return check(value, options);
}

function check(
  value: unknown,
  options: {
    readonly file?: string;
    readonly locate?: Locate;
    readonly variables?: readonly string[];
  },
): JobSpec {
  const problems = new SpecProblems(options.file, options.locate);
  checkValues(value, problems, options.file);
  const spec = checkShape(jobSpecSchema, value, problems);
  if (spec) checkMeaning(spec, problems, options.variables);
  problems.throwIfAny();
  if (!spec) throw new TypeError('a spec without problems has a shape');
  return spec;
}
