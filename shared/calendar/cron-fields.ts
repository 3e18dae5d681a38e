/**
 * Reads cron expressions as Airflow does (it uses croniter): what each field allows, as numbers.
 * Never: time zones, or expressions whose meaning depends on chance or on the day they are read.
 */
import { fail } from '../failure.js';

/** Which times of which days: numbers ascending, weekdays from 0 (Sunday). */
export interface CronFields {
  readonly seconds: readonly number[];
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  readonly months: readonly number[];
  readonly days: DayRule;
}

/** Where both fields restrict, a day needs to match `either`; `nth` stands alone (the last Friday). */
export type DayRule =
  | { readonly kind: 'every' }
  | { readonly kind: 'ofMonth'; readonly days: ReadonlySet<number>; readonly last: boolean }
  | { readonly kind: 'ofWeek'; readonly weekdays: ReadonlySet<number> }
  | {
      readonly kind: 'either';
      readonly days: ReadonlySet<number>;
      readonly last: boolean;
      readonly weekdays: ReadonlySet<number>;
    }
  | { readonly kind: 'nth'; readonly of: readonly NthWeekday[] };

export interface NthWeekday {
  readonly weekday: number;
  readonly nth: number | 'last';
}

const presets: ReadonlyMap<string, string> = new Map(
  Object.entries({
    '@hourly': '0 * * * *',
    '@daily': '0 0 * * *',
    '@midnight': '0 0 * * *',
    '@weekly': '0 0 * * 0',
    '@monthly': '0 0 1 * *',
    '@quarterly': '0 0 1 */3 *',
    '@yearly': '0 0 1 1 *',
    '@annually': '0 0 1 1 *',
  }),
);

interface FieldRange {
  readonly what: string;
  readonly min: number;
  readonly max: number;
  readonly names: readonly string[];
}

const monthNames = 'jan feb mar apr may jun jul aug sep oct nov dec'.split(' ');
const weekdayNames = 'sun mon tue wed thu fri sat'.split(' ');
const ranges = {
  minute: { what: 'minute', min: 0, max: 59, names: [] },
  hour: { what: 'hour', min: 0, max: 23, names: [] },
  day: { what: 'day of month', min: 1, max: 31, names: [] },
  month: { what: 'month', min: 1, max: 12, names: monthNames },
  weekday: { what: 'day of week', min: 0, max: 6, names: weekdayNames },
  second: { what: 'second', min: 0, max: 59, names: [] },
} as const satisfies Record<string, FieldRange>;

/**
 * The fields of `minute hour day-of-month month day-of-week [second]`, or of a preset (`@daily`).
 * @throws WindrowError E_SPEC_INVALID naming the field that is wrong
 */
export function parseCronFields(expression: string): CronFields {
  const lower = expression.trim().toLowerCase();
  const fields = (presets.get(lower) ?? lower).split(/\s+/);
  if (lower.startsWith('@') && !presets.has(lower)) {
    refuse(expression, 'is not a preset', `write one of ${[...presets.keys()].join(', ')}`);
  }
  const [minute, hour, day, month, weekday, second = '0'] = fields;
  if (
    minute === undefined ||
    hour === undefined ||
    day === undefined ||
    month === undefined ||
    weekday === undefined ||
    fields.length > 6
  ) {
    return refuse(
      expression,
      `has ${fields.length} fields`,
      'write minute, hour, day of month, month and day of week, and seconds as a sixth if wanted',
    );
  }
  const valuesOf = (text: string, range: FieldRange): number[] =>
    [...listOf(expression, text, range)].sort((a, b) => a - b);
  return {
    seconds: valuesOf(second, ranges.second),
    minutes: valuesOf(minute, ranges.minute),
    hours: valuesOf(hour, ranges.hour),
    months: valuesOf(month, ranges.month),
    days: dayRule(expression, day === '?' ? '*' : day, weekday === '?' ? '*' : weekday),
  };
}

function dayRule(expression: string, day: string, weekday: string): DayRule {
  const dayParts = day.split(',');
  const numbered = dayParts.filter((part) => part !== 'l');
  const last = numbered.length < dayParts.length;
  const days =
    numbered.length > 0 ? listOf(expression, numbered.join(','), ranges.day) : new Set<number>();
  const everyDay = isEvery(day, days.size === 31, weekday);

  const nth = weekday.split(',').map((part) => nthWeekdays(expression, part));
  if (nth.some((found) => found !== undefined)) {
    if (!everyDay || nth.includes(undefined)) {
      refuse(
        expression,
        `mixes '${weekday.slice(0, 50)}' with other days`,
        'where the day of week has # or L, give every day in it one, and write * as day of month',
      );
    }
    return { kind: 'nth', of: nth.flatMap((found) => found ?? []) };
  }

  const weekdays = listOf(expression, weekday, ranges.weekday);
  const everyWeekday = isEvery(weekday, weekdays.size === 7, day);
  if (everyDay) return everyWeekday ? { kind: 'every' } : { kind: 'ofWeek', weekdays };
  return everyWeekday ? { kind: 'ofMonth', days, last } : { kind: 'either', days, last, weekdays };
}

/** As in croniter: a list of all values counts as `*` only beside a field that has a `*` itself. */
function isEvery(text: string, full: boolean, other: string): boolean {
  return text.split(',').includes('*') || (full && other.includes('*'));
}

/** `fri#2`, `mon-wed#1` and `l5` (the last Friday); undefined for days of every week. */
function nthWeekdays(expression: string, part: string): NthWeekday[] | undefined {
  const last = /^l(\d)$/.exec(part)?.[1];
  if (last !== undefined) {
    return [...listOf(expression, last, ranges.weekday)].map((weekday) => ({
      weekday,
      nth: 'last',
    }));
  }
  const [of, nth] = part.split('#');
  if (nth === undefined || of === undefined) return undefined;
  if (!/^[1-5]$/.test(nth))
    refuse(expression, `has '${part.slice(0, 50)}'`, 'write a number from 1 to 5 after #');
  return [...listOf(expression, of, ranges.weekday)].map((weekday) => ({
    weekday,
    nth: Number(nth),
  }));
}

/** The numbers that a comma-separated list allows. */
function listOf(expression: string, text: string, range: FieldRange): Set<number> {
  return new Set(text.split(',').flatMap((part) => partOf(expression, part, range)));
}

/** The numbers of `*`, `5`, `mon`, `1-5`, each with an optional `/step`. */
function partOf(expression: string, part: string, range: FieldRange): number[] {
  const wrong = (why: string, hint: string): never =>
    refuse(expression, `has '${part.slice(0, 50)}' as ${range.what}, ${why}`, hint);
  const match = /^(\*|\w+)(?:-(\w+))?(?:\/(\d+))?$/.exec(part);
  const [, first, second, stepText] = match ?? [];
  if (first === undefined || (first === '*' && second !== undefined)) {
    return wrong('which is no value, range or step', 'write such as 5, 1-5, */15 or 0,30');
  }
  // Sunday may be 7 as well as 0.
  const highest = range.names === weekdayNames ? 7 : range.max;
  const valueOf = (text: string): number => {
    if (text === 'l' && range === ranges.day && second === 'l') return range.max;
    const named = range.names.indexOf(text);
    const value = named >= 0 ? named + range.min : /^\d{1,3}$/.test(text) ? Number(text) : NaN;
    if (value >= range.min && value <= highest) return value;
    return wrong('which is out of range', `write numbers from ${range.min} to ${range.max}`);
  };
  const step = stepText === undefined ? 1 : Number(stepText);
  if (step === 0) wrong('which never advances', 'write a step of at least 1');
  const low = first === '*' ? range.min : valueOf(first);
  // `*` and `10/25` go on to the end of the field.
  const end = first === '*' || stepText !== undefined ? Math.max(range.max, low) : low;
  const high = second === undefined ? end : valueOf(second);
  if (second !== undefined && low === high) {
    // Airflow takes 5-5 for the whole field, everybody else for 5.
    wrong('which systems read in two ways', `write ${first.slice(0, 50)}, or * for all`);
  }
  if (low <= high) return counted(low, high, step).map((value) => (value > range.max ? 0 : value));
  if (step !== 1) wrong('which wraps and has a step', 'write the values as a list');
  return [...counted(low, range.max, 1), ...counted(range.min, high, 1)];
}

function counted(low: number, high: number, step: number): number[] {
  return Array.from({ length: Math.floor((high - low) / step) + 1 }, (_, k) => low + k * step);
}

function refuse(expression: string, what: string, hint: string): never {
  return fail('invalidSpec', 'E_SPEC_INVALID', `cron '${expression.slice(0, 100)}' ${what}`, {
    hint,
  });
}
