/**
 * What a well-shaped schedule must also satisfy, and what its trigger means as a timetable. Never:
 * files; whether there is a job at the path is found out by who loads it.
 */
import { conditionOf, type AssetTrigger } from './asset-condition.js';
import { cronFirings } from './calendar/cron.js';
import { checkTimetable, nextRuns, type RunTimes, type Timetable } from './calendar/intervals.js';
import { zoneNamed } from './calendar/zone.js';
import { parseDurationMs } from './duration.js';
import { fail } from './failure.js';
import {
  datePattern,
  type ScheduleSpec,
  type TriggerSpec,
  type WebhookSpec,
} from './schedule-spec.js';
import type { SpecPath, SpecProblems } from './spec-problems.js';
import { checkAssets } from './trigger-meaning.js';

const times = ['cronInterval', 'cronTrigger', 'delta'] as const;
const kinds = [...times, 'asset', 'assetOrTime'] as const;
const checkEveryDefault = 'PT30S';
/** What one try may take. */
const webhookMostMs = 600_000;

export function checkScheduleMeaning(spec: ScheduleSpec, problems: SpecProblems): void {
  checkTrigger(spec.trigger, problems);
  const { timeout, startWithin, retries } = spec;
  if (startWithin !== undefined && spec.trigger.asset) noCalendar(['startWithin'], problems);
  for (const field of ['onSuccess', 'onFailure'] as const) {
    if (spec[field]) checkWebhook(spec[field], field, problems);
  }
  if (timeout !== undefined) checkLength(timeout, ['timeout'], problems);
  if (startWithin !== undefined) checkLength(startWithin, ['startWithin'], problems);
  problems.attempt(() => parseDurationMs(retries.delay), ['retries', 'delay']);
}

function checkTrigger(trigger: TriggerSpec, problems: SpecProblems): void {
  const at = (field: keyof TriggerSpec): ['trigger', string] => ['trigger', field];
  checkKinds(trigger, kinds, ['trigger'], problems);
  const { asset, assetOrTime, checkEvery } = trigger;
  if (asset) checkAssets(asset, at('asset'), problems);
  if (assetOrTime) {
    checkKinds(assetOrTime, times, at('assetOrTime'), problems);
    checkAssets(assetOrTime.asset, [...at('assetOrTime'), 'asset'], problems);
  }
  if (checkEvery !== undefined) checkLength(checkEvery, at('checkEvery'), problems);
  if (checkEvery !== undefined && !asset && !assetOrTime) {
    problems.add('E_SPEC_INVALID', at('checkEvery'), 'there is no data set to look at', {
      hint: 'leave it out, or give asset or assetOrTime',
      what: 'key',
    });
  }
  const zone = problems.attempt(() => zoneNamed(trigger.timezone), at('timezone'));
  const timed = assetOrTime ?? trigger;
  const timedAt = assetOrTime ? at('assetOrTime') : ['trigger'];
  for (const field of ['cronInterval', 'cronTrigger'] as const) {
    const cron = timed[field];
    if (cron !== undefined) problems.attempt(() => cronFirings(cron, 'UTC'), [...timedAt, field]);
  }
  if (timed.delta !== undefined) checkLength(timed.delta, [...timedAt, 'delta'], problems);
  const bounds = (['startDate', 'endDate'] as const).filter((field) => trigger[field]);
  if (asset) {
    for (const field of bounds) noCalendar(at(field), problems);
    if (trigger.catchup) noCalendar(at('catchup'), problems);
  }
  if (!zone) return;
  const sound = bounds.filter(
    (field) =>
      problems.attempt(() => instantOf(trigger[field]!, trigger.timezone), at(field)) !== undefined,
  );
  if (problems.found.length > 0 || sound.length < bounds.length) return;
  const timetable = timetableOf(trigger);
  if (!timetable) return;
  // What is left are the dates and catchup, which only mean something together.
  const wrong = trigger.endDate !== undefined && trigger.startDate !== undefined;
  problems.attempt(() => checkTimetable(timetable), at(wrong ? 'endDate' : 'catchup'));
}

function checkKinds<Kind extends string>(
  value: { readonly [kind in Kind]?: unknown },
  wanted: readonly Kind[],
  at: SpecPath,
  problems: SpecProblems,
): void {
  const [kind, second] = wanted.filter((each) => value[each] !== undefined);
  if (kind === undefined) {
    problems.add('E_SPEC_INVALID', at, 'says nothing about when', {
      hint: `give it one of ${wanted.join(', ')}`,
    });
  } else if (second !== undefined) {
    problems.add('E_SPEC_INVALID', [...at, second], `there is a ${kind} already`, {
      hint: 'keep one of them, or make it two schedules',
      what: 'key',
    });
  }
}

function noCalendar(at: SpecPath, problems: SpecProblems): void {
  const field = at[at.length - 1];
  problems.add('E_SPEC_INVALID', at, `runs of data sets have no calendar, and no ${field}`, {
    hint: 'leave it out, or give assetOrTime',
    what: 'key',
  });
}

/** Whether the coordinator may call there is its own affair. */
function checkWebhook(
  { url, timeout }: WebhookSpec,
  field: 'onSuccess' | 'onFailure',
  problems: SpecProblems,
): void {
  const timeoutMs = checkLength(timeout, [field, 'timeout'], problems) ?? 0;
  if (timeoutMs > webhookMostMs) {
    problems.add('E_SPEC_INVALID', [field, 'timeout'], 'is longer than ten minutes', {
      hint: 'let the webhook answer first, and work then',
    });
  }
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  const at = [field, 'url'];
  if (!parsed || !['http:', 'https:'].includes(parsed.protocol)) {
    problems.add('E_SPEC_INVALID', at, 'is no address that can be called', {
      hint: 'write https://HOST/PATH',
    });
  } else if (parsed.username !== '' || parsed.password !== '') {
    problems.add('E_SPEC_INVALID', at, 'holds a password, which a spec must not', {
      hint: 'leave it out',
    });
  }
}

/** The duration in ms; undefined after noting that it is none. */
function checkLength(text: string, path: SpecPath, problems: SpecProblems): number | undefined {
  const ms = problems.attempt(() => parseDurationMs(text), path);
  if (ms !== 0) return ms;
  problems.add('E_SPEC_INVALID', path, 'no time at all', {
    hint: 'give a duration above zero, such as PT1H',
  });
  return undefined;
}

/**
 * The trigger of a valid schedule as what the calendar works with; undefined where data sets alone
 * say when.
 * @throws WindrowError E_SPEC_INVALID for one that was not checked
 */
export function timetableOf(trigger: TriggerSpec): Timetable | undefined {
  const { timezone, startDate, endDate, catchup } = trigger;
  const { cronInterval, cronTrigger, delta } = trigger.assetOrTime ?? trigger;
  const bounds = {
    ...(startDate === undefined ? {} : { startDateMs: instantOf(startDate, timezone) }),
    ...(endDate === undefined ? {} : { endDateMs: instantOf(endDate, timezone) }),
    catchup,
  };
  if (delta !== undefined) return { kind: 'delta', everyMs: parseDurationMs(delta), ...bounds };
  const cron = cronInterval ?? cronTrigger;
  if (cron === undefined) return undefined;
  const kind = cronInterval === undefined ? 'cronTrigger' : 'cronInterval';
  return { kind, cron, timezone, ...bounds };
}

/** The runs of a valid schedule after an instant; none where data sets alone say when. */
export function comingRuns(trigger: TriggerSpec, fromMs: number, count: number): RunTimes[] {
  const timetable = timetableOf(trigger);
  return timetable ? nextRuns(timetable, fromMs, count) : [];
}

/** The data sets that a valid schedule waits for, and how often it looks at them. */
export function assetTriggerOf(trigger: TriggerSpec): AssetTrigger | undefined {
  const spec = trigger.asset ?? trigger.assetOrTime?.asset;
  if (!spec) return undefined;
  const checkEveryMs = parseDurationMs(trigger.checkEvery ?? checkEveryDefault);
  return { condition: conditionOf(spec), checkEveryMs };
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
