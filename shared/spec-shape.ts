/**
 * The spec's shape: runs the zod schema and says what it finds as a person would, about the branch
 * of a union that was meant. Never: what the parts mean together; that is spec-meaning.ts.
 */
import * as z from 'zod';
import {
  nameHint,
  nearestName,
  shorten,
  type SpecPath,
  type SpecProblems,
} from './spec-problems.js';
import { checkKinds, stepKinds } from './step-spec.js';

type Issue = z.core.$ZodIssue;

/** What is checked, against what, and where problems go. */
interface Shape {
  readonly schema: z.ZodType;
  readonly input: unknown;
  readonly problems: SpecProblems;
}

/** The spec with its defaults, or undefined after noting what is wrong with it. */
export function checkShape<Spec>(
  schema: z.ZodType<Spec>,
  input: unknown,
  problems: SpecProblems,
): Spec | undefined {
  // A spec is parsed once or twice: compiling a parser for it would take longer.
  const parsed = schema.safeParse(input, { jitless: true });
  if (parsed.success) return parsed.data;
  const { issues } = parsed.error;
  if (!isOtherKind(issues, input, problems)) reportAll(issues, [], { schema, input, problems });
  return undefined;
}

/** Kinds of specs, and what each is for. */
const specKinds: Readonly<Record<string, string>> = {
  Job: 'hand a job to windrow run or submit; a schedule names it under job',
  Schedule: 'hand a schedule to windrow schedule create',
};

/** Of a spec of another kind nothing else is said: its fields are right where it belongs. */
function isOtherKind(issues: readonly Issue[], input: unknown, problems: SpecProblems): boolean {
  const kind = isRecord(input) ? input['kind'] : undefined;
  const wrong = issues.find((issue) => issue.path.length === 1 && issue.path[0] === 'kind');
  if (!wrong || typeof kind !== 'string' || !Object.hasOwn(specKinds, kind)) return false;
  problems.add('E_SPEC_INVALID', ['kind'], `this is a ${kind}, not a ${expectation(wrong)}`, {
    hint: specKinds[kind],
  });
  return true;
}

/** Unknown fields first: a misspelled field must not be reported again as a missing one. */
function reportAll(issues: readonly Issue[], base: SpecPath, shape: Shape): void {
  const unknown = issues.filter((issue) => issue.code === 'unrecognized_keys');
  const others = issues.filter((issue) => issue.code !== 'unrecognized_keys');
  for (const issue of [...unknown, ...others]) report(issue, base, shape);
}

function report(issue: Issue, base: SpecPath, shape: Shape): void {
  const { input, problems } = shape;
  const path = [...base, ...(issue.path as (string | number)[])];
  const value = valueAt(input, path);
  if (issue.code === 'unrecognized_keys') {
    for (const key of issue.keys) reportUnknownField(path, key, shape);
  } else if (issue.code === 'invalid_union') {
    reportUnion(issue.errors, path, value, shape);
  } else if (!problems.has(path)) {
    const { message, hint, onKey } = describe(issue, value);
    problems.add('E_SPEC_INVALID', path, message, { hint, what: onKey ? 'key' : 'value' });
  }
}

function reportUnknownField(at: SpecPath, key: string, shape: Shape): void {
  const { schema, input, problems } = shape;
  const known = knownFields(schema, at);
  problems.add('E_SPEC_UNKNOWN_FIELD', [...at, key], `unknown field '${shorten(key)}'`, {
    hint: nameHint(key, known),
    what: 'key',
  });
  const meant = nearestName(key, known);
  if (meant !== undefined && valueAt(input, [...at, meant]) === undefined) {
    problems.explained([...at, meant]);
  }
}

/** Steps and checks are told apart by the key that names their kind; other unions by their types. */
function reportUnion(
  branches: readonly (readonly Issue[])[],
  path: SpecPath,
  value: unknown,
  shape: Shape,
): void {
  const { problems } = shape;
  const kinds = isStep(path) ? stepKinds : isCheck(path) ? checkKinds : undefined;
  if (kinds && isRecord(value)) {
    const branch = kindOf(value, path, kinds, problems);
    if (branch === undefined) return;
    reportAll(branches[branch] ?? [], path, shape);
    return;
  }
  const deeper = branches.find((issues) => issues.every((issue) => issue.path.length > 0));
  const sameType = branches.find((issues) =>
    issues.every((issue) => issue.code !== 'invalid_type' && issue.code !== 'invalid_value'),
  );
  const chosen = deeper ?? sameType;
  if (chosen) {
    reportAll(chosen, path, shape);
  } else if (!problems.has(path)) {
    const wanted = branches.flatMap((issues) => issues.map((issue) => expectation(issue)));
    const message = `must be ${[...new Set(wanted)].join(' or ')}, not ${typeName(value)}`;
    problems.add('E_SPEC_INVALID', path, message);
  }
}

/** Number of the branch whose kind the value names; notes a problem if there is not exactly one. */
function kindOf(
  value: Record<string, unknown>,
  path: SpecPath,
  kinds: readonly string[],
  problems: SpecProblems,
): number | undefined {
  const word = isStep(path) ? 'step' : 'check';
  const keys = Object.keys(value);
  const named = keys.filter((key) => kinds.includes(key));
  if (named.length === 1) return kinds.indexOf(named[0] ?? '');
  if (named.length > 1) {
    const message = `a ${word} has one kind, this one has ${named.join(' and ')}`;
    const hint = `make it ${named.length} ${word}s`;
    problems.add('E_SPEC_INVALID', [...path, named[1] ?? ''], message, { hint, what: 'key' });
    return undefined;
  }
  const common = word === 'step' ? ['id'] : ['name', 'column', 'onFail'];
  const unknown = keys.filter((key) => !common.includes(key));
  const key = unknown.find((name) => nearestName(name, kinds) !== undefined) ?? unknown[0];
  if (key === undefined) {
    problems.add('E_SPEC_INVALID', path, `the ${word} has no kind`, { hint: nameHint('', kinds) });
  } else {
    const message = `unknown ${word} kind '${shorten(key)}'`;
    const at = [...path, key];
    problems.add('E_SPEC_UNKNOWN_FIELD', at, message, { hint: nameHint(key, kinds), what: 'key' });
  }
  return undefined;
}

const isStep = (path: SpecPath) => path.length === 2 && path[0] === 'steps';
const isCheck = (path: SpecPath) =>
  path.length === 5 && path[0] === 'steps' && path[2] === 'expect' && path[3] === 'checks';

function describe(
  issue: Issue,
  value: unknown,
): { message: string; hint?: string | undefined; onKey?: boolean } {
  if (value === undefined && (issue.code === 'invalid_type' || issue.code === 'invalid_value')) {
    return { message: 'is missing', hint: `add it: ${expectation(issue)}` };
  }
  switch (issue.code) {
    case 'invalid_type':
      return { message: `must be ${expectation(issue)}, not ${typeName(value)}` };
    case 'invalid_value': {
      const message = `must be ${expectation(issue)}, not ${typeName(value)}`;
      const near =
        typeof value === 'string' ? nearestName(value, issue.values.map(String)) : undefined;
      return { message, hint: near === undefined ? undefined : `did you mean '${near}'` };
    }
    case 'too_small':
      return {
        message: bound(
          issue.inclusive === false ? 'above' : 'at least',
          Number(issue.minimum),
          issue.origin,
          value,
        ),
      };
    case 'too_big':
      return { message: bound('at most', Number(issue.maximum), issue.origin, value) };
    case 'invalid_key':
      return {
        message: `as a name, '${shorten(String(issue.path.at(-1) ?? ''))}' ${issue.issues[0]?.message ?? 'is not allowed'}`,
        onKey: true,
      };
    default:
      return { message: issue.message };
  }
}

function bound(words: string, limit: number, origin: string, value: unknown): string {
  if (origin === 'string') return `must have ${words} ${limit} character${limit === 1 ? '' : 's'}`;
  if (origin === 'array') return `must have ${words} ${limit} entr${limit === 1 ? 'y' : 'ies'}`;
  return `must be ${words} ${limit}, not ${String(value)}`;
}

const typeWords: Record<string, string> = {
  object: 'a mapping',
  record: 'a mapping',
  array: 'a list',
  tuple: 'a list',
  string: 'text',
  int: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
  null: 'null',
};

function expectation(issue: Issue): string {
  if (issue.code === 'invalid_type') return typeWords[issue.expected] ?? issue.expected;
  if (issue.code === 'invalid_value') {
    const values = issue.values.map(String).join(', ');
    return issue.values.length === 1 ? values : `one of ${values}`;
  }
  return issue.message;
}

function typeName(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  if (typeof value === 'string') return `'${shorten(value, 60)}'`;
  return String(value);
}

/** Fields that the schema knows at `path`, over all branches of unions on the way. */
function knownFields(schema: z.ZodType, path: SpecPath): string[] {
  let schemas: z.core.$ZodType[] = alternatives(schema);
  for (const part of path) {
    schemas = schemas.flatMap((schema) => {
      if (schema instanceof z.ZodObject) {
        const member = (schema.shape as Record<string, z.core.$ZodType>)[part];
        return member ? alternatives(member) : [];
      }
      if (schema instanceof z.ZodRecord) return alternatives(schema.valueType);
      if (schema instanceof z.ZodArray) return alternatives(schema.element);
      return [];
    });
  }
  const fields = schemas.flatMap((schema) =>
    schema instanceof z.ZodObject ? Object.keys(schema.shape as object) : [],
  );
  return [...new Set(fields)];
}

function alternatives(schema: z.core.$ZodType): z.core.$ZodType[] {
  if (schema instanceof z.ZodUnion) return schema.options.flatMap(alternatives);
  if (
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault
  ) {
    return alternatives(schema.unwrap());
  }
  return [schema];
}

function valueAt(input: unknown, path: SpecPath): unknown {
  let value = input;
  for (const part of path) {
    if (value === null || typeof value !== 'object' || !Object.hasOwn(value, part))
      return undefined;
    value = (value as Record<string | number, unknown>)[part];
  }
  return value;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}
