/**
 * DuckDB's serialised plan as data: reading it without losing digits, and members of the kind one
 * expects. What is not as expected is thrown as `UnsupportedPlan`; never a guess.
 */

/** The plan holds something that this planner does not know. */
export class UnsupportedPlan extends Error {
  constructor(readonly what: string) {
    super(what);
    this.name = 'UnsupportedPlan';
  }
}

export function unsupported(what: string): never {
  throw new UnsupportedPlan(what);
}

export interface PlanObject {
  readonly [member: string]: unknown;
}

const token = /"(?:[^"\\]|\\.)*"|-?Infinity|NaN|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
/** Marks a number kept as text; U+0001 cannot stand in JSON unescaped. */
const mark = '\u0001';

/** Parses the JSON text; numbers other than small whole ones stay digit by digit (`digitsOf`). */
export function parsePlan(json: string): unknown {
  const exact = json.replace(token, (text) =>
    text.startsWith('"') || /^(?:0|-?[1-9]\d{0,14})$/.test(text) ? text : `"\\u0001${text}"`,
  );
  return JSON.parse(exact) as unknown;
}

/** A number's text: `12`, `-0.5`, `NaN`, `-Infinity`. */
export function digitsOf(value: unknown, what: string): string {
  if (typeof value === 'number') return String(value);
  if (typeof value === 'string' && value.startsWith(mark)) return value.slice(1);
  return unsupported(`${what} without a number`);
}

export function bigOf(value: unknown, what: string): bigint {
  const digits = digitsOf(value, what);
  return /^-?\d+$/.test(digits) ? BigInt(digits) : unsupported(`${what} ${digits}`);
}

export function isObject(value: unknown): value is PlanObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function objectOf(value: unknown, what: string): PlanObject {
  return isObject(value) ? value : unsupported(`no ${what}`);
}

/** Objects of a list; a list that is missing is empty. */
export function objectsOf(value: unknown, what: string): readonly PlanObject[] {
  return listOf(value, what).map((member) => objectOf(member, what));
}

export function listOf(value: unknown, what: string): readonly unknown[] {
  if (value === undefined || value === null) return [];
  return Array.isArray(value) ? value : unsupported(`${what} that is no list`);
}

export function textOf(value: unknown, what: string): string {
  return typeof value === 'string' && !value.startsWith(mark)
    ? value
    : unsupported(`${what} that is no text`);
}

/** A small whole number from 0. */
export function indexOf(value: unknown, what: string): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
    ? value
    : unsupported(`${what} that is no index`);
}

export function flagOf(value: unknown, what: string): boolean {
  return typeof value === 'boolean' ? value : unsupported(`${what} that is neither true nor false`);
}
