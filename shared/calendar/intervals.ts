/**
 * Which runs a schedule has: the timetables of Airflow 3 as pure functions. Never: the current time
 * (it comes in as `nowMs`), what has run (it comes in as `last`), or whether a run may start now.
 */
import { fail } from '../failure.js';
import { cronFirings } from './cron.js';

interface Bounds {
  /** No run has a logical date before this. */
  readonly startDateMs?: number;
  /** No run has a logical date after this. */
  readonly endDateMs?: number;
  /** Whether intervals that were missed get their runs; default no, only the latest does. */
  readonly catchup?: boolean;
}

/**
 * - `cronInterval`: a run covers the time between two firings and starts at the second.
 * - `cronTrigger`: a run starts at a firing; its interval has no length.
 * - `delta`: a run covers so many ms and starts at their end. It does not follow the wall clock.
 */
export type Timetable =
  | (Bounds & {
      readonly kind: 'cronInterval' | 'cronTrigger';
      readonly cron: string;
      /** IANA name. */
      readonly timezone: string;
    })
  | (Bounds & { readonly kind: 'delta'; readonly everyMs: number });

/** A run's data interval, the end excluded: it starts at the end, its logical date is the start. */
export interface DataInterval {
  readonly startMs: number;
  readonly endMs: number;
}

/** The years that every text of an instant can tell: 0001 to 9999. */
const earliestMs = Date.parse('0001-01-01T00:00:00.000Z');
const latestMs = Date.parse('9999-12-31T23:59:59.999Z');

/** Whether these are two instants that have texts, the first no later than the second. */
export function isInterval({ startMs, endMs }: DataInterval): boolean {
  if (!Number.isSafeInteger(startMs) || !Number.isSafeInteger(endMs)) return false;
  return earliestMs <= startMs && startMs <= endMs && endMs <= latestMs;
}

/** A run as users see it: instants in UTC, ISO 8601. */
export interface RunTimes {
  readonly logicalDate: string;
  readonly dataIntervalStart: string;
  readonly dataIntervalEnd: string;
  readonly runAt: string;
}

/** What the kinds of timetables share: where interval borders are. */
interface Borders {
  next(instant: number): number;
  previous(instant: number): number;
  /** The first border at or after an instant; with `delta`, which has no grid of its own, itself. */
  atOrAfter(instant: number): number;
  /** The last border at or before an instant; with `delta` itself. */
  atOrBefore(instant: number): number;
  /** Where the latest interval that is complete at an instant began. */
  latestStart(instant: number): number;
}

/**
 * Says whether a timetable can be used; every function below says the same.
 * @throws WindrowError E_SPEC_INVALID
 */
export function checkTimetable(timetable: Timetable): void {
  bordersOf(timetable);
}

/**
 * The run that follows `last`, the latest run that the schedule itself started, or the first one;
 * undefined when there is none, as after the year 9999. It may be due (`endMs <= nowMs`) or not yet.
 */
export function nextRun(
  timetable: Timetable,
  last: DataInterval | undefined,
  nowMs: number,
): DataInterval | undefined {
  const { kind, catchup = false, startDateMs, endDateMs = Infinity } = timetable;
  const borders = bordersOf(timetable);
  const candidates: number[] = [];
  if (startDateMs !== undefined) candidates.push(borders.atOrAfter(startDateMs));
  if (kind === 'cronTrigger') {
    if (last) candidates.push(borders.next(last.endMs));
    if (!catchup) candidates.push(borders.atOrBefore(nowMs));
    if (!last && startDateMs === undefined) candidates.push(firstTrigger(borders, nowMs));
  } else {
    if (last) candidates.push(borders.atOrBefore(last.endMs));
    if (!catchup) candidates.push(borders.latestStart(nowMs));
  }
  const startMs = Math.max(...candidates);
  if (startMs > endDateMs) return undefined;
  const endMs = kind === 'cronTrigger' ? startMs : borders.next(startMs);
  return endMs > latestMs ? undefined : { startMs, endMs };
}

/**
 * All runs with a logical date from `fromMs` to `toMs`, both included, in order: what a backfill
 * covers, whatever the schedule's own start and end. Lazy, since there may be millions.
 */
export function* runsBetween(
  timetable: Timetable,
  fromMs: number,
  toMs: number,
): Generator<DataInterval, void, undefined> {
  const backfill = { ...timetable, startDateMs: fromMs, endDateMs: toMs, catchup: true };
  if (fromMs > toMs) return;
  let run = nextRun(backfill, undefined, fromMs);
  while (run) {
    yield run;
    run = nextRun(backfill, run, fromMs);
  }
}

/** The interval before one; undefined where that would begin before the schedule's start. */
export function previousInterval(
  timetable: Timetable,
  interval: DataInterval,
): DataInterval | undefined {
  const { kind, startDateMs = -Infinity } = timetable;
  const startMs = bordersOf(timetable).previous(interval.startMs);
  if (startMs < startDateMs) return undefined;
  return { startMs, endMs: kind === 'cronTrigger' ? startMs : interval.startMs };
}

/** The interval of a run that somebody starts by hand: the latest that is complete then. */
export function manualInterval(timetable: Timetable, atMs: number): DataInterval {
  const borders = bordersOf(timetable);
  if (timetable.kind === 'cronTrigger') return { startMs: atMs, endMs: atMs };
  const endMs = borders.atOrBefore(atMs);
  return { startMs: borders.previous(endMs), endMs };
}

/**
 * The next `count` runs that start after `fromMs`, for a schedule that is not behind: fewer where it
 * ends before.
 */
export function nextRuns(timetable: Timetable, fromMs: number, count: number): RunTimes[] {
  const runs: RunTimes[] = [];
  let run = nextRun(timetable, intervalBy(timetable, fromMs), fromMs);
  while (run && runs.length < count) {
    if (run.endMs > fromMs) runs.push(runTimes(run));
    run = nextRun(timetable, run, fromMs);
  }
  return runs;
}

/** A run's times as text. */
export function runTimes({ startMs, endMs }: DataInterval): RunTimes {
  const start = new Date(startMs).toISOString();
  const end = new Date(endMs).toISOString();
  return { logicalDate: start, dataIntervalStart: start, dataIntervalEnd: end, runAt: end };
}

/** With catchup, the run that a schedule that is not behind has last had; without, it skips by itself. */
function intervalBy(timetable: Timetable, nowMs: number): DataInterval | undefined {
  const { catchup = false, startDateMs } = timetable;
  if (!catchup || startDateMs === undefined || startDateMs > nowMs) return undefined;
  if (timetable.kind !== 'delta') {
    const endMs = bordersOf(timetable).atOrBefore(nowMs);
    return { startMs: endMs, endMs };
  }
  const endMs = nowMs - ((nowMs - startDateMs) % timetable.everyMs);
  return { startMs: endMs - timetable.everyMs, endMs };
}

/** As Airflow does without a start date: the last firing if that was a moment ago, else the next. */
function firstTrigger(borders: Borders, nowMs: number): number {
  const past = borders.atOrBefore(nowMs);
  const next = borders.atOrAfter(nowMs);
  const moment = Math.max((next - past) / 10, 5 * 60_000);
  return nowMs - past <= moment ? past : next;
}

/** A timetable is asked once a run, and reading its cron expression takes longer than the answer. */
const known = new WeakMap<Timetable, Borders>();

function bordersOf(timetable: Timetable): Borders {
  let borders = known.get(timetable);
  if (!borders) {
    borders = makeBorders(timetable);
    known.set(timetable, borders);
  }
  return borders;
}

function makeBorders(timetable: Timetable): Borders {
  const { startDateMs, endDateMs, catchup = false } = timetable;
  if (startDateMs !== undefined && endDateMs !== undefined && endDateMs < startDateMs) {
    fail('invalidSpec', 'E_SPEC_INVALID', 'a schedule ends before it starts', {
      hint: 'give an endDate after startDate',
    });
  }
  if (catchup && startDateMs === undefined) {
    fail('invalidSpec', 'E_SPEC_INVALID', 'catchup has no date to catch up from', {
      hint: 'give a startDate',
    });
  }
  return timetable.kind === 'delta' ? deltaBorders(timetable.everyMs) : cronBorders(timetable);
}

function cronBorders({ cron, timezone }: { cron: string; timezone: string }): Borders {
  const { next, previous } = cronFirings(cron, timezone);
  const atOrBefore = (instant: number): number => previous(instant + 1);
  return {
    next,
    previous,
    atOrAfter: (instant) => next(instant - 1),
    atOrBefore,
    latestStart: (instant) => previous(atOrBefore(instant)),
  };
}

function deltaBorders(everyMs: number): Borders {
  if (!Number.isSafeInteger(everyMs) || everyMs <= 0) {
    fail('invalidSpec', 'E_SPEC_INVALID', `a schedule cannot repeat every ${everyMs} ms`, {
      hint: 'give a duration above zero, such as PT1H',
    });
  }
  const itself = (instant: number): number => instant;
  return {
    next: (instant) => instant + everyMs,
    previous: (instant) => instant - everyMs,
    atOrAfter: itself,
    atOrBefore: itself,
    // Counted from 1970, as in Airflow, and not from the start date.
    latestStart: (instant) => (Math.floor(instant / everyMs) - 1) * everyMs,
  };
}
