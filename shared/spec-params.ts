/** Puts `--set name=value` into a spec's params, keeping the type each was declared with. */
import { fail } from './failure.js';
import type { JobSpec, ParamValue } from './job-spec.js';
import { nameHint, shorten } from './spec-problems.js';

/**
 * @param set texts of the form `name=value`; a later one wins
 * @throws WindrowError E_UNKNOWN_PARAM, E_PARAM_INVALID
 */
export function applyParams(spec: JobSpec, set: readonly string[]): JobSpec {
  if (set.length === 0) return spec;
  const params = new Map(Object.entries(spec.params));
  for (const text of set) {
    const equals = text.indexOf('=');
    if (equals < 1) {
      fail('invalidSpec', 'E_PARAM_INVALID', `'${shorten(text)}' does not set a param`, {
        hint: 'write --set name=value',
      });
    }
    const name = text.slice(0, equals).trim();
    const declared = params.get(name);
    if (declared === undefined) {
      const hint = nameHint(name, [...params.keys()]) ?? `declare ${shorten(name)} under params`;
      fail('invalidSpec', 'E_UNKNOWN_PARAM', `the job has no param '${shorten(name)}'`, { hint });
    }
    params.set(name, parseAs(declared, text.slice(equals + 1), name));
  }
  return { ...spec, params: Object.fromEntries(params) };
}

/** A param declared as null has no type yet: numbers and booleans are read as such, the rest is text. */
function parseAs(declared: ParamValue, text: string, name: string): ParamValue {
  if (typeof declared === 'string') return text;
  if (typeof declared === 'number') {
    return numberOf(text) ?? failValue(name, text, 'a finite number within 2^53');
  }
  if (typeof declared === 'boolean') {
    return booleanOf(text) ?? failValue(name, text, 'true or false');
  }
  return booleanOf(text) ?? numberOf(text) ?? text;
}

function numberOf(text: string): number | undefined {
  if (!/^\s*[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?\s*$/.test(text)) return undefined;
  const value = Number(text);
  if (!Number.isFinite(value)) return undefined;
  return Number.isInteger(value) && !Number.isSafeInteger(value) ? undefined : value;
}

function booleanOf(text: string): boolean | undefined {
  return text === 'true' ? true : text === 'false' ? false : undefined;
}

function failValue(name: string, text: string, wanted: string): never {
  fail(
    'invalidSpec',
    'E_PARAM_INVALID',
    `param ${name} is declared as ${wanted}, not '${shorten(text)}'`,
    {
      hint: `write --set ${name}= and ${wanted}`,
    },
  );
}
