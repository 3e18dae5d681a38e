/** A value as YAML. A file of its own, so that verbs that print none do without the library. */
import { stringify } from 'yaml';

/** @param value as JSON has it */
export function yamlText(value: unknown): string {
  return stringify(value, { lineWidth: 0 }).trimEnd();
}
