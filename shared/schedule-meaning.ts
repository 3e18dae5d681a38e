/**
 * What a well-shaped schedule must also satisfy, and what its trigger means as a timetable. Never:
 * files; whether there is a job at the path is found out by who loads it.
 */
import { cronFirings } from './calendar/cron.js';
import { checkTimetable, type Timetable } from './calendar/intervals.js';
import { zoneNamed } from './calendar/zone.js';
import { parseDurationMs } from './duration.js';
import { fail } from './failure.js';
import { datePattern, type ScheduleSpec, type TriggerSpec } from './schedule-spec.js';
import type { SpecProblems } from './spec-problems.js';

const kinds = ['cronInterval', 'cronTrigger', 'delta'] as const;

export function checkScheduleMeaning(spec: ScheduleSpec, problems: SpecProblems): void {
  checkTrigger(spec.trigger, problems);
  const { timeout, startWithin, retries } = spec;
  if (timeout !== undefined) checkLength(timeout, ['timeout'], problems);
  if (startWithin !== undefined) checkLength(startWithin, ['startWithin'], problems);
  problems.attempt(() => parseDurationMs(retries.delay), ['retries', 'delay']);
}

function checkTrigger(trigger: TriggerSpec, problems: SpecProblems): void {
  const at = (field: keyof TriggerSpec): ['trigger', string] => ['trigger', field];
  const [kind, second] = kinds.filter((each) => trigger[each] !== undefined);
  if (kind === undefined) {
    problems.add('E_SPEC_INVALID', ['trigger'], 'says nothing about when', {
      hint: `give it one of ${kinds.join(', ')}`,
    });
  } else if (second !== undefined) {
    problems.add('E_SPEC_INVALID', at(second), `there is a ${kind} already`, {
      hint: 'keep one of them, or make it two schedules',
      what: 'key',
    });
  }
  const zone = problems.attempt(() => zoneNamed(trigger.timezone), at('timezone'));
  for (const field of ['cronInterval', 'cronTrigger'] as const) {
    const cron = trigger[field];
    if (cron !== undefined) problems.attempt(() => cronFirings(cron, 'UTC'), at(field));
  }
  if (trigger.delta !== undefined) checkLength(trigger.delta, at('delta'), problems);
  if (!zone) return;
  const dates = (['startDate', 'endDate'] as const).filter((field) => trigger[field] !== undefined);
  const sound = dates.filter(
    (field) =>
      problems.attempt(() => instantOf(trigger[field]!, trigger.timezone), at(field)) !== undefined,
  );
  if (problems.found.length > 0 || sound.length < dates.length) return;
  // What is left are the dates and catchup, which only mean something together.
  const wrong = trigger.endDate !== undefined && trigger.startDate !== undefined;
  problems.attempt(() => checkTimetable(timetableOf(trigger)), at(wrong ? 'endDate' : 'catchup'));
}

function checkLength(text: string, path: readonly string[], problems: SpecProblems): void {
  const ms = problems.attempt(() => parseDurationMs(text), path);
  if (ms !== 0) return;
  problems.add('E_SPEC_INVALID', path, 'no time at all', {
    hint: 'give a duration above zero, such as PT1H',
  });
}

/**
 * The trigger of a valid schedule as what the calendar works with.
 * @throws WindrowError E_SPEC_INVALID for one that was not checked
 */
export function timetableOf(trigger: TriggerSpec): Timetable {
  const { cronInterval, cronTrigger, delta, timezone, startDate, endDate, catchup } = trigger;
  const bounds = {
    ...(startDate === undefined ? {} : { startDateMs: instantOf(startDate, timezone) }),
    ...(endDate === undefined ? {} : { endDateMs: instantOf(endDate, timezone) }),
    catchup,
  };
  if (delta !== undefined) return { kind: 'delta', everyMs: parseDurationMs(delta), ...bounds };
  const kind = cronInterval === undefined ? 'cronTrigger' : 'cronInterval';
  return { kind, cron: cronInterval ?? cronTrigger ?? '', timezone, ...bounds };
}

/**
 * A date or time as milliseconds since 1970; one without an offset is what the zone's clock shows.
 * @throws WindrowError E_SPEC_INVALID for a day or time that does not exist
 */
export function instantOf(text: string, timezone: string): number {
  const offset = /(Z|[+-]\d\d:\d\d)$/.exec(text.slice(10))?.[0];
  const local = offset === undefined ? text : text.slice(0, -offset.length);
  const wall = Date.parse(`${local.length === 10 ? `${local}T00:00` : local}Z`);
  // JavaScript takes the 31st of each month, and then means the 1st of the next.
  const exists = datePattern.test(text) && !Number.isNaN(wall);
  if (!exists || !new Date(wall).toISOString().startsWith(local.slice(0, 16))) {
    return fail('invalidSpec', 'E_SPEC_INVALID', `'${text.slice(0, 50)}' is not a date or time`, {
      hint: 'write such as 2026-01-31, 2026-01-31T06:00 or 2026-01-31T06:00:00Z',
    });
  }
  return offset === undefined ? zoneNamed(timezone).resolve(wall) : wall - offsetMs(offset);
}

function offsetMs(offset: string): number {
  if (offset === 'Z') return 0;
  const [hours, minutes] = offset.slice(1).split(':').map(Number) as [number, number];
  return (offset.startsWith('-') ? -1 : 1) * (hours * 60 + minutes) * 60_000;
}
