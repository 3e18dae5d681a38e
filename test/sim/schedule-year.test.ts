/**
 * A whole year of schedules in virtual time, through the real core under a coordinator that is away at
 * times and dies between events: every run is the one that a real Airflow recorded, and there is no
 * other (test/interop/airflow/make_year.py made the recording).
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkInvariants } from '../../coordinator/core/invariants.js';
import { dueRuns } from '../../coordinator/core/schedule-due.js';
import type { ScheduleEvent } from '../../coordinator/core/schedule-events.js';
import { scheduleToRow } from '../../coordinator/core/schedule-snapshot.js';
import { isFinished, type RunState } from '../../coordinator/core/schedule-state.js';
import type { State } from '../../coordinator/core/state.js';
import { transition } from '../../coordinator/core/transition.js';
import { replay } from '../../coordinator/replay.js';
import { nextRun, type DataInterval, type Timetable } from '../../shared/calendar/intervals.js';
import { zoneNamed } from '../../shared/calendar/zone.js';
import { parseDurationMs } from '../../shared/duration.js';
import { defined, S, scheduleOf } from '../coordinator/core/schedule-fixtures.js';
import { Prng } from './prng.js';

interface Recorded {
  readonly kind: Timetable['kind'];
  readonly rule: string;
  readonly zone: string;
  /** Every interval: words `gap+length*count`, see `decoded`. */
  readonly catchup: readonly string[];
  /** Without catchup, beside the downtimes of the recording. */
  readonly latest?: readonly string[];
}

const year = JSON.parse(
  readFileSync(path.join(import.meta.dirname, '../interop/airflow/year.json'), 'utf8'),
) as {
  readonly first: string;
  readonly last: string;
  readonly downtimes: readonly string[];
  readonly schedules: readonly (Recorded & { readonly latest: readonly string[] })[];
  readonly different: readonly Recorded[];
};
const firstMs = Date.parse(year.first);
const lastMs = Date.parse(year.last);
const minuteMs = 60_000;

type Downtime = readonly [fromMs: number, untilMs: number];
const recordedDowntimes = year.downtimes.map((text): Downtime => {
  const [from, until] = text.split('/').map((each) => Date.parse(`${each}Z`));
  return [from!, until!];
});

/** Minutes from the end of the run before (of the first: from the year's) to the start, and on to the end. */
function decoded(lines: readonly string[]): DataInterval[] {
  let endMs = firstMs;
  return lines
    .flatMap((line) => line.split(' '))
    .flatMap((word) => {
      const [, gap, length, count = '1'] = /^(-?\d+)\+(\d+)(?:\*(\d+))?$/.exec(word)!;
      return Array.from({ length: Number(count) }, () => {
        const startMs = endMs + Number(gap) * minuteMs;
        endMs = startMs + Number(length) * minuteMs;
        return { startMs, endMs };
      });
    });
}

/** Zones whose rules were changed after the recording, by when: newer versions of Node know of it. */
const changedMs: Readonly<Record<string, number>> = {
  // Morocco keeps to UTC from then on (tzdata 2026c).
  'Africa/Casablanca': Date.parse('2026-09-18T00:00Z'),
};

/** As text, as far as the zone had its rules when Airflow ran. */
const comparable = (runs: readonly DataInterval[], zone: string): string[] =>
  runs.filter(({ endMs }) => endMs < (changedMs[zone] ?? Infinity)).map(text);

const text = ({ startMs, endMs }: DataInterval): string =>
  `${new Date(startMs).toISOString()}/${new Date(endMs).toISOString()}`;

function timetableOf({ kind, rule, zone }: Recorded, catchup: boolean): Timetable {
  const bounds = { startDateMs: firstMs, catchup };
  return kind === 'delta'
    ? { kind, everyMs: parseDurationMs(rule), ...bounds }
    : { kind, cron: rule, timezone: zone, ...bounds };
}

/** When somebody looks at what comes due at a time. */
type Looked = (dueMs: number) => number;

/** How likely it is to die before an event is durable, and after it. */
const deaths = 0.003;

/** A coordinator that is asked whenever it wants to be, dies by chance, and knows only its journal then. */
class Coordinator {
  private snapshots: string[] = [];
  private journal: ScheduleEvent[] = [];
  private state: State = replay({ snapshots: [], events: [] });
  private nowMs = firstMs;
  readonly made: DataInterval[] = [];
  deaths = 0;

  constructor(
    timetable: Timetable,
    private readonly random: Prng,
    private readonly looked: Looked,
  ) {
    this.keep(defined({ timetable, maxActiveRuns: 2 }, { nowMs: firstMs }));
  }

  toTheEnd(): readonly DataInterval[] {
    for (;;) {
      const due = dueRuns(this.state, this.nowMs);
      // What a death leaves undone is due again.
      for (const event of due) if (!this.post(event)) break;
      this.endRuns();
      const { wakeMs } = scheduleOf(this.state);
      if (due.length > 0 || wakeMs <= this.nowMs) continue;
      const nowMs = this.looked(wakeMs);
      if (nowMs >= lastMs) return this.made;
      this.nowMs = nowMs;
    }
  }

  /** Whether it lived on: it may die before an event is durable, and after it. */
  private post(event: ScheduleEvent): boolean {
    if (this.random.chance(deaths)) return this.die();
    if (event.type === 'run.made') {
      expect(scheduleOf(this.state).runs.has(event.runId)).toBe(false);
      this.made.push(event.interval);
    }
    this.keep(event);
    return this.random.chance(deaths) ? this.die() : true;
  }

  private keep(event: ScheduleEvent): void {
    this.journal.push(event);
    transition(this.state, event);
  }

  private die(): false {
    this.deaths += 1;
    this.state = replay({ snapshots: this.snapshots, events: this.journal });
    checkInvariants(this.state);
    this.snapshots = [scheduleToRow(scheduleOf(this.state))];
    this.journal = [];
    return false;
  }

  private endRuns(): void {
    const { random, nowMs } = this;
    const unfinished = (): RunState | undefined =>
      [...scheduleOf(this.state).runs.values()].slice(-2).find((run) => !isFinished(run));
    for (let run = unfinished(); run; run = unfinished()) {
      const outcome = random.chance(0.1) ? 'failed' : 'succeeded';
      const about = { scheduleId: S, runId: run.id, try: run.tries, nowMs };
      this.post({ type: 'run.ended', ...about, outcome });
    }
  }
}

/** So many runs a year have their machine and its deaths; of more, only the calendar is asked. */
const denseRuns = 1000;

function walked(
  recorded: Recorded,
  { catchup, seed, looked }: { catchup: boolean; seed: number; looked: Looked },
): readonly DataInterval[] {
  const timetable = timetableOf(recorded, catchup);
  if (decoded(recorded.catchup).length <= denseRuns) {
    const coordinator = new Coordinator(timetable, new Prng(seed), looked);
    const made = coordinator.toTheEnd();
    if (made.length > 200) expect(coordinator.deaths).toBeGreaterThan(0);
    return made;
  }
  const made: DataInterval[] = [];
  let nowMs = firstMs;
  while (nowMs < lastMs) {
    const run = nextRun(timetable, made.at(-1), nowMs)!;
    if (run.endMs <= nowMs) made.push(run);
    else nowMs = looked(run.endMs);
  }
  return made;
}

const title = ({ kind, rule, zone }: Recorded): string => `${kind} ${rule} in ${zone}`;
const titled = <R extends Recorded>(list: readonly R[]): [string, number, R][] =>
  list.map((each, k) => [title(each), k + 1, each]);

/** Somebody who goes away every so often, for minutes or for days. */
function awayAtTimes(seed: number): Looked {
  const random = new Prng(seed);
  return (dueMs) => {
    if (!random.chance(0.02)) return dueMs;
    const minutes = random.chance(0.5) ? random.below(240) : random.below(10 * 1440);
    // Back before the year is over, so that nothing is left to be made after it.
    return Math.max(dueMs, Math.min(dueMs + minutes * minuteMs, lastMs - 1));
  };
}

describe('a year with catchup, deaths and absences: each interval that Airflow has, once', () => {
  it.each(titled(year.schedules))('%s', (_, seed, recorded) => {
    const made = walked(recorded, { catchup: true, seed, looked: awayAtTimes(seed) });
    const { zone } = recorded;
    expect(comparable(made, zone)).toEqual(comparable(decoded(recorded.catchup), zone));
  });
});

describe('a year without catchup, with deaths and the recorded downtimes: the runs that Airflow made', () => {
  /** Without catchup, and looked at once it is over, an interval that ends at a missing time is lost. */
  const lostByAirflow: Readonly<Record<string, readonly string[]>> = {
    'cronInterval 15 2 * * * in Australia/Lord_Howe': [
      '2026-10-02T15:45:00.000Z/2026-10-03T15:45:00.000Z',
    ],
    'cronInterval @daily in America/Santiago': [
      '2026-09-05T04:00:00.000Z/2026-09-06T04:00:00.000Z',
    ],
    'cronInterval 30 2 * * * in Africa/Casablanca': [
      '2026-03-21T02:30:00.000Z/2026-03-22T02:30:00.000Z',
    ],
  };
  const looked: Looked = (dueMs) =>
    recordedDowntimes.find(([from, until]) => from <= dueMs && dueMs < until)?.[1] ?? dueMs;

  it.each(titled(year.schedules))('%s', (name, seed, recorded) => {
    const made = comparable(walked(recorded, { catchup: false, seed, looked }), recorded.zone);
    const airflow = comparable(decoded(recorded.latest), recorded.zone);
    const lost = lostByAirflow[name] ?? [];
    expect(airflow.filter((run) => lost.includes(run))).toEqual([]);
    expect(made).toEqual([...airflow, ...lost].sort());
  });

  it('where schedules fire more often than downtimes last, runs are passed over', () => {
    const counts = year.schedules.map(({ catchup, latest }) =>
      [catchup, latest].map((lines) => decoded(lines).length),
    );
    const fewer = counts.filter(([all = 0, latest = 0]) => latest < all);
    expect(fewer.length).toBeGreaterThan(year.schedules.length / 2);
  });
});

describe('where Airflow loses or invents firings, the rest of the year is the same', () => {
  /** Intervals that only one of the two has, as the zone's clock shows them. */
  function differences(rule: string): { airflow: string[]; windrow: string[] } {
    const recorded = year.different.find((each) => each.rule === rule)!;
    const windrow = walked(recorded, { catchup: true, seed: 1, looked: awayAtTimes(1) });
    const airflow = decoded(recorded.catchup);
    const zone = zoneNamed(recorded.zone);
    const clock = (ms: number): string => new Date(zone.wallAt(ms)).toISOString().slice(5, 16);
    const without = (some: readonly DataInterval[], others: readonly DataInterval[]): string[] => {
      const known = new Set(others.map(text));
      return some
        .filter((each) => !known.has(text(each)))
        .map(({ startMs, endMs }) => `${clock(startMs)} to ${clock(endMs)}`);
    };
    return { airflow: without(airflow, windrow), windrow: without(windrow, airflow) };
  }

  it('an interval that begins at the end of the gap is not skipped', () => {
    expect(differences('0,30 1-3 * * *')).toEqual({
      airflow: [],
      windrow: ['03-29T03:00 to 03-29T03:30'],
    });
  });

  it('intervals of an hourly schedule do not overlap where the clock is set by half an hour', () => {
    expect(differences('30 * * * *')).toEqual({
      airflow: ['04-05T01:30 to 04-05T02:00', '10-04T01:30 to 10-04T03:00'],
      windrow: ['04-05T01:30 to 04-05T01:30', '10-04T01:30 to 10-04T02:30'],
    });
  });

  it('a firing that a moved one overtakes is kept', () => {
    expect(differences('15,40 2 * * *')).toEqual({
      airflow: [],
      windrow: ['10-04T02:40 to 10-04T02:40'],
    });
  });
});
