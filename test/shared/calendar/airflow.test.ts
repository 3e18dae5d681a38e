/** Windrow's timetables against what a real Airflow answered (test/interop/airflow). */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  nextRun,
  runsBetween,
  type DataInterval,
  type Timetable,
} from '../../../shared/calendar/intervals.js';
import { zoneNamed } from '../../../shared/calendar/zone.js';
import { parseDurationMs } from '../../../shared/duration.js';

interface Vector {
  readonly kind: Timetable['kind'];
  readonly rule: string;
  readonly zone: string;
  readonly catchup: boolean;
  readonly startDate: string | null;
  readonly endDate: string | null;
  readonly now: string;
  readonly jumpTo?: string;
  readonly runs: readonly (readonly [string, string])[];
}

const vectors = JSON.parse(
  readFileSync(path.join(import.meta.dirname, '../../interop/airflow/vectors.json'), 'utf8'),
) as Record<'schedules' | 'downtimes' | 'different', readonly Vector[]>;

function timetableOf(vector: Vector): Timetable {
  const bounds = {
    catchup: vector.catchup,
    ...(vector.startDate === null ? {} : { startDateMs: Date.parse(vector.startDate) }),
    ...(vector.endDate === null ? {} : { endDateMs: Date.parse(vector.endDate) }),
  };
  return vector.kind === 'delta'
    ? { kind: 'delta', everyMs: parseDurationMs(vector.rule), ...bounds }
    : { kind: vector.kind, cron: vector.rule, timezone: vector.zone, ...bounds };
}

const iso = ({ startMs, endMs }: DataInterval): [string, string] => [
  new Date(startMs).toISOString(),
  new Date(endMs).toISOString(),
];

/** The runs of a coordinator that makes each when it is due, with the clock of the recording. */
function runsOf(vector: Vector, count: number): [string, string][] {
  const timetable = timetableOf(vector);
  let nowMs = Date.parse(vector.now);
  let last: DataInterval | undefined;
  const runs: [string, string][] = [];
  for (let number = 0; number < count; number += 1) {
    if (number === 2 && vector.jumpTo !== undefined) nowMs = Date.parse(vector.jumpTo);
    last = nextRun(timetable, last, nowMs);
    if (!last) break;
    runs.push(iso(last));
    nowMs = Math.max(nowMs, last.endMs);
  }
  return runs;
}

const title = (vector: Vector): string =>
  `${vector.kind} ${vector.rule} in ${vector.zone}, catchup ${vector.catchup ? 'on' : 'off'}, from ${vector.startDate ?? 'any time'} at ${vector.now}`;
const titled = (list: readonly Vector[]): [string, Vector][] =>
  list.map((vector) => [title(vector), vector]);

describe('the runs of a schedule are those that Airflow makes', () => {
  it.each(titled(vectors.schedules))('%s', (_, vector) => {
    // One more is asked for, so that an end is compared too.
    const asked = vector.endDate === null ? vector.runs.length : vector.runs.length + 1;
    expect(runsOf(vector, asked)).toEqual(vector.runs);
  });
});

describe('after a downtime the schedule goes on where Airflow does', () => {
  it.each(titled(vectors.downtimes))('%s', (_, vector) => {
    expect(runsOf(vector, vector.runs.length)).toEqual(vector.runs);
  });
});

describe('a backfill covers the intervals that Airflow makes', () => {
  const caughtUp = vectors.schedules.filter(
    ({ catchup, startDate, runs }) => catchup && startDate !== null && runs.length > 2,
  );
  it.each(titled(caughtUp))('%s', (_, vector) => {
    const from = Date.parse(vector.startDate ?? '');
    const to = Date.parse(vector.runs.at(-1)?.[0] ?? '');
    const runs = [...runsBetween(timetableOf(vector), from, to)].map(iso);
    expect(runs).toEqual(vector.runs);
  });
});

describe('where Airflow loses or invents firings, Windrow keeps to the expression', () => {
  function recorded(rule: string, startDate: string): Vector {
    const vector = vectors.different.find(
      (each) => each.rule === rule && each.startDate?.startsWith(startDate),
    );
    if (!vector) throw new Error(`no recording of ${rule} from ${startDate}`);
    return vector;
  }

  /** Starts of intervals, as `day hour:minute` of the zone's clock: what Airflow did, what we do. */
  function both(rule: string, startDate: string): { airflow: string[]; windrow: string[] } {
    const vector = recorded(rule, startDate);
    const zone = zoneNamed(vector.zone);
    const clock = (runs: Vector['runs']): string[] =>
      runs.map(([start]) =>
        new Date(zone.wallAt(Date.parse(start))).toISOString().slice(8, 16).replace('T', ' '),
      );
    return { airflow: clock(vector.runs), windrow: clock(runsOf(vector, vector.runs.length)) };
  }

  it('an interval that begins at the end of the gap is not skipped', () => {
    const { airflow, windrow } = both('0,30 1-3 * * *', '2026-03-28');
    expect(airflow).toEqual(['29 01:00', '29 01:30', '29 03:30', '30 01:00', '30 01:30']);
    expect(windrow).toEqual(['29 01:00', '29 01:30', '29 03:00', '29 03:30', '30 01:00']);
  });

  it('a schedule for every hour of some days neither fires on another day nor goes back in time', () => {
    const { airflow, windrow } = both('0 * * * mon', '2025-10-20');
    expect(airflow).toEqual(['20 21:00', '20 22:00', '20 23:00', '26 23:00', '21 00:00']);
    expect(windrow).toEqual(['20 21:00', '20 22:00', '20 23:00', '27 00:00', '27 01:00']);
  });

  it.each(['2025-10-04', '2026-04-04'])(
    'intervals of an hourly schedule do not overlap where the clock is set by half an hour (%s)',
    (startDate) => {
      const vector = recorded('30 * * * *', startDate);
      const overlaps = (runs: Vector['runs']): boolean =>
        runs.some(([start], k) => k > 0 && start < (runs[k - 1]?.[1] ?? ''));
      expect(overlaps(vector.runs)).toBe(true);
      expect(overlaps(runsOf(vector, 5))).toBe(false);
    },
  );

  it('a firing that a moved one overtakes is kept', () => {
    const { airflow, windrow } = both('15,40 2 * * *', '2025-10-04');
    expect(airflow).toEqual(['05 02:45', '06 02:15', '06 02:40']);
    expect(windrow).toEqual(['05 02:40', '05 02:45', '06 02:15']);
  });

  it('a start date in the first of two equal hours does not lose the firing in the second', () => {
    const { airflow, windrow } = both('30 2 * * *', '2025-10-26');
    expect(airflow).toEqual(['27 02:30', '28 02:30']);
    expect(windrow).toEqual(['26 02:30', '27 02:30']);
  });
});
