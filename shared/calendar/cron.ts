/**
 * When a cron expression fires in a time zone. Never: the current time; which run a firing starts is
 * for intervals.ts.
 *
 * Cron follows the wall clock, and the hours decide what becomes of a day on which it is set:
 * - An expression for every hour (`30 * * * *`) fires at each instant whose wall time matches: in the
 *   repeated hour twice, in the missing one not at all.
 * - Any other fires once for each wall time that matches: of two instants at the later one, and for a
 *   missing time by the length of the gap later (Zone.resolve).
 */
import { fail } from '../failure.js';
import { parseCronFields, type CronFields, type NthWeekday } from './cron-fields.js';
import { zoneNamed, type Zone } from './zone.js';

export interface Firings {
  /** The first firing after an instant. */
  next(instant: number): number;
  /** The last firing before an instant. */
  previous(instant: number): number;
}

const dayMs = 86_400_000;
/** The longest wait is that for a weekday on 29 February where a century has none (`0 0 * 2 mon#5`). */
const yearsWithoutFiring = 40;

/**
 * @param expression five fields, a sixth for seconds, or a preset such as `@daily`
 * @throws WindrowError E_SPEC_INVALID for an expression that is none or never fires, or no such zone
 */
export function cronFirings(expression: string, timezone: string): Firings {
  const zone = zoneNamed(timezone);
  const fields = parseCronFields(expression);
  if (wallFrom(fields, 0, 1) === undefined) {
    fail('invalidSpec', 'E_SPEC_INVALID', `cron '${expression.slice(0, 100)}' never fires`, {
      hint: 'name a day that its months have',
    });
  }
  const everyHour = fields.hours.length === 24;
  const instantsOf = (wall: number): number[] =>
    everyHour ? zone.instantsAt(wall) : [zone.resolve(wall)];
  return {
    next: (instant) => search(fields, zone, instantsOf, instant, 1),
    previous: (instant) => search(fields, zone, instantsOf, instant, -1),
  };
}

/**
 * The nearest firing after (`sign` 1) or before (-1) an instant. Where the clock is set nearby, wall
 * times do not come in the order of their instants, so as much more is looked at as it was set by.
 */
function search(
  fields: CronFields,
  zone: Zone,
  instantsOf: (wall: number) => readonly number[],
  instant: number,
  sign: 1 | -1,
): number {
  let wall = zone.wallAt(instant) - sign * zone.jumpNear(instant);
  let best: number | undefined;
  let enough = Infinity;
  for (;;) {
    const found = wallFrom(fields, wall + sign, sign);
    if (found === undefined) return best ?? neverAgain(instant);
    wall = found;
    for (const candidate of instantsOf(wall)) {
      if (sign * (candidate - instant) <= 0) continue;
      if (best !== undefined && sign * (candidate - best) >= 0) continue;
      best = candidate;
      enough = sign * zone.wallAt(best) + zone.jumpNear(best);
    }
    if (sign * wall >= enough) return best ?? neverAgain(instant);
  }
}

function neverAgain(instant: number): never {
  return fail('broken', 'E_INTERNAL', `a cron expression has no firing near ${instant} ms`);
}

/** The first wall time at or after one (`sign` 1), or the last at or before it (-1), that matches. */
function wallFrom(fields: CronFields, wall: number, sign: 1 | -1): number | undefined {
  let day = Math.floor(wall / dayMs) * dayMs;
  let time = (wall - day) / 1000;
  const start = new Date(day).getUTCFullYear();
  for (;;) {
    const date = new Date(day);
    const year = date.getUTCFullYear();
    const month = date.getUTCMonth();
    // Written so that the end of all dates, where the year is NaN, ends the search too.
    if (!(Math.abs(year - start) <= yearsWithoutFiring)) return undefined;
    if (!fields.months.includes(month + 1)) {
      // The first day of the next month, or the last of the one before.
      day = sign === 1 ? midnight(year, month + 1, 1) : midnight(year, month, 0);
    } else {
      const match = matchesDay(fields, date) ? timeFrom(fields, time, sign) : undefined;
      if (match !== undefined) return day + match * 1000;
      day += sign * dayMs;
    }
    time = sign === 1 ? 0 : dayMs / 1000 - 1;
  }
}

/** Seconds since midnight of the nearest matching time of a day, itself included. */
function timeFrom(fields: CronFields, time: number, sign: 1 | -1): number | undefined {
  const ordered = (values: readonly number[]): readonly number[] =>
    sign === 1 ? values : values.toReversed();
  // What begins at `from` and lasts `length` seconds holds a time that is not yet past.
  const reaches = (from: number, length: number): boolean =>
    sign === 1 ? from + length - 1 >= time : from <= time;
  for (const hour of ordered(fields.hours)) {
    if (!reaches(hour * 3600, 3600)) continue;
    for (const minute of ordered(fields.minutes)) {
      if (!reaches(hour * 3600 + minute * 60, 60)) continue;
      for (const second of ordered(fields.seconds)) {
        const candidate = hour * 3600 + minute * 60 + second;
        if (reaches(candidate, 1)) return candidate;
      }
    }
  }
  return undefined;
}

function matchesDay({ days: rule }: CronFields, date: Date): boolean {
  const day = date.getUTCDate();
  const weekday = date.getUTCDay();
  const ofMonth = (days: ReadonlySet<number>, last: boolean): boolean =>
    days.has(day) || (last && day === daysInMonth(date));
  switch (rule.kind) {
    case 'every':
      return true;
    case 'ofMonth':
      return ofMonth(rule.days, rule.last);
    case 'ofWeek':
      return rule.weekdays.has(weekday);
    case 'either':
      return ofMonth(rule.days, rule.last) || rule.weekdays.has(weekday);
    case 'nth':
      return rule.of.some((each) => each.weekday === weekday && isNth(each, date));
  }
}

function isNth({ nth }: NthWeekday, date: Date): boolean {
  const day = date.getUTCDate();
  return nth === 'last' ? day + 7 > daysInMonth(date) : Math.ceil(day / 7) === nth;
}

function daysInMonth(date: Date): number {
  return new Date(midnight(date.getUTCFullYear(), date.getUTCMonth() + 1, 0)).getUTCDate();
}

/** `Date.UTC`, which takes the years 0 to 99 for 1900 to 1999, of any year. */
function midnight(year: number, month: number, day: number): number {
  return new Date(0).setUTCFullYear(year, month, day);
}
