/**
 * The way into a schedule spec, for text that a user wrote and for JSON that came over the wire:
 * limits first, then shape, then meaning. Never: files.
 */
import { checkScheduleMeaning } from './schedule-meaning.js';
import { scheduleSpecSchema, type ScheduleSpec } from './schedule-spec.js';
import { SpecProblems, type Locate } from './spec-problems.js';
import { checkShape } from './spec-shape.js';
import { checkValues, readSpecText } from './spec-text.js';

/**
 * Reads a schedule from YAML or JSON text, with defaults filled in.
 * @param file name for messages
 * @throws WindrowError of kind invalidSpec, codes as in docs/ERRORS.md, with all `problems` located
 */
export function parseScheduleText(text: string, file?: string): ScheduleSpec {
  const { value, locate } = readSpecText(text, file);
  return check(value, file, locate);
}

/**
 * The same checks for a value that is no text of a user's.
 * @throws WindrowError as parseScheduleText, problems named by their path only
 */
export function validateSchedule(value: unknown): ScheduleSpec {
  return check(value);
}

function check(value: unknown, file?: string, locate?: Locate): ScheduleSpec {
  const problems = new SpecProblems(file, locate);
  checkValues(value, problems, file);
  const spec = checkShape(scheduleSpecSchema, value, problems);
  if (spec) checkScheduleMeaning(spec, problems);
  problems.throwIfAny();
  if (!spec) throw new TypeError('a schedule without problems has a shape');
  return spec;
}
