/** Timetables: which runs there are, listed, by hand and backwards; and what is refused. */
import { describe, expect, it } from 'vitest';
import {
  checkTimetable,
  manualInterval,
  nextRun,
  nextRuns,
  previousInterval,
  runsBetween,
  runTimes,
  type DataInterval,
  type Timetable,
} from '../../../shared/calendar/intervals.js';
import { parseDurationMs } from '../../../shared/duration.js';

const ms = (text: string): number => Date.parse(text);
const brief = ({ startMs, endMs }: DataInterval): string =>
  [startMs, endMs].map((at) => new Date(at).toISOString().slice(0, 16)).join('/');

const nightly: Timetable = { kind: 'cronInterval', cron: '30 2 * * *', timezone: 'Europe/Berlin' };
const trigger: Timetable = { ...nightly, kind: 'cronTrigger' };
const hourly: Timetable = { kind: 'delta', everyMs: 3_600_000 };
const start = { startDateMs: ms('2025-03-28T00:00Z') };

describe('nextRuns', () => {
  it('lists coming runs across a change of the clock, each covering the time since the one before', () => {
    const expected = [
      ['2025-03-29T01:30:00.000Z', '2025-03-30T01:30:00.000Z'],
      ['2025-03-30T01:30:00.000Z', '2025-03-31T00:30:00.000Z'],
      ['2025-03-31T00:30:00.000Z', '2025-04-01T00:30:00.000Z'],
    ].map(([from, to]) => ({
      logicalDate: from,
      dataIntervalStart: from,
      dataIntervalEnd: to,
      runAt: to,
    }));
    expect(nextRuns(nightly, ms('2025-03-29T12:00Z'), 3)).toEqual(expected);
    expect(nextRuns({ ...nightly, ...start, catchup: true }, ms('2025-03-29T12:00Z'), 3)).toEqual(
      expected,
    );
  });

  it('lists none that the year 9999 is over for', () => {
    const left = (timetable: Timetable, from: string) =>
      nextRuns(timetable, ms(from), 5).map(({ runAt }) => runAt);
    const daily: Timetable = { kind: 'cronInterval', cron: '@daily', timezone: 'UTC' };
    expect(left(daily, '9999-12-30T00:00Z')).toEqual(['9999-12-31T00:00:00.000Z']);
    expect(left({ ...daily, kind: 'cronTrigger' }, '9999-12-31T00:00Z')).toEqual([]);
    expect(left(hourly, '9999-12-31T22:30Z')).toEqual(['9999-12-31T23:00:00.000Z']);
  });

  it('lists triggers with intervals of no length', () => {
    expect(
      nextRuns(trigger, ms('2025-10-25T12:00Z'), 2).map(({ logicalDate, runAt }) => [
        logicalDate,
        runAt,
      ]),
    ).toEqual([
      ['2025-10-26T01:30:00.000Z', '2025-10-26T01:30:00.000Z'],
      ['2025-10-27T01:30:00.000Z', '2025-10-27T01:30:00.000Z'],
    ]);
  });

  it.each([nightly, trigger])('leaves out a run that starts exactly then ($kind)', (timetable) => {
    const [first] = nextRuns(timetable, ms('2025-05-01T00:30Z'), 1);
    expect(first?.runAt).toBe('2025-05-02T00:30:00.000Z');
    const [before] = nextRuns(timetable, ms('2025-05-01T00:30Z') - 1, 1);
    expect(before?.runAt).toBe('2025-05-01T00:30:00.000Z');
  });

  it('begins with the first whole interval after the start date', () => {
    for (const catchup of [false, true]) {
      const [first] = nextRuns({ ...nightly, ...start, catchup }, ms('2024-01-01'), 1);
      expect(first?.dataIntervalStart).toBe('2025-03-28T01:30:00.000Z');
      expect(first?.runAt).toBe('2025-03-29T01:30:00.000Z');
    }
  });

  it('ends with the last logical date that the end date allows', () => {
    const bounds = { ...start, endDateMs: ms('2025-03-30T01:30Z') };
    expect(
      nextRuns({ ...nightly, ...bounds }, ms('2025-03-28'), 10).map(
        ({ logicalDate }) => logicalDate,
      ),
    ).toEqual(['2025-03-28T01:30:00.000Z', '2025-03-29T01:30:00.000Z', '2025-03-30T01:30:00.000Z']);
    expect(nextRuns({ ...nightly, ...bounds }, ms('2025-04-02'), 10)).toEqual([]);
    expect(nextRuns({ ...trigger, ...bounds }, ms('2025-03-28'), 10)).toHaveLength(3);
  });

  it('counts a delta from its start with catchup, and from 1970 without, as Airflow does', () => {
    const odd = { ...hourly, startDateMs: ms('2025-03-01T00:07Z') };
    const from = ms('2025-03-28T17:20Z');
    expect(nextRuns({ ...odd, catchup: true }, from, 2).map(({ runAt }) => runAt)).toEqual([
      '2025-03-28T18:07:00.000Z',
      '2025-03-28T19:07:00.000Z',
    ]);
    expect(nextRuns(odd, from, 1).map(({ runAt }) => runAt)).toEqual(['2025-03-28T18:00:00.000Z']);
    expect(nextRuns(odd, ms('2025-02-01'), 1).map(({ runAt }) => runAt)).toEqual([
      '2025-03-01T01:07:00.000Z',
    ]);
  });

  it('does not follow the wall clock with a delta of a day', () => {
    const daily: Timetable = {
      kind: 'delta',
      everyMs: 86_400_000,
      startDateMs: ms('2025-03-28T01:30Z'),
      catchup: true,
    };
    expect(nextRuns(daily, ms('2025-03-29T12:00Z'), 2).map(({ runAt }) => runAt)).toEqual([
      '2025-03-30T01:30:00.000Z',
      '2025-03-31T01:30:00.000Z',
    ]);
  });

  it('lists none where none is asked for', () => {
    expect(nextRuns(nightly, 0, 0)).toEqual([]);
  });
});

describe('nextRun', () => {
  const nowMs = ms('2025-05-10T12:00Z');
  const last = { startMs: ms('2025-05-01T00:30Z'), endMs: ms('2025-05-02T00:30Z') };

  it('without catchup goes on with the latest complete interval, which is due at once', () => {
    expect(brief(nextRun(nightly, last, nowMs)!)).toBe('2025-05-09T00:30/2025-05-10T00:30');
  });

  it('with catchup goes on with the interval after the last', () => {
    expect(brief(nextRun({ ...nightly, ...start, catchup: true }, last, nowMs)!)).toBe(
      '2025-05-02T00:30/2025-05-03T00:30',
    );
  });

  it('never goes back before the last run, whatever the clock says', () => {
    for (const timetable of [nightly, trigger, hourly]) {
      expect(nextRun(timetable, last, ms('2025-04-01'))!.startMs).toBeGreaterThanOrEqual(
        last.endMs,
      );
    }
  });

  it('realigns to a schedule that was changed since the last run', () => {
    const changed: Timetable = { ...nightly, cron: '0 6 * * *' };
    expect(brief(nextRun(changed, last, ms('2025-05-02T01:00Z'))!)).toBe(
      '2025-05-01T04:00/2025-05-02T04:00',
    );
  });
});

describe('runsBetween', () => {
  it('covers logical dates from the first to the last, both included', () => {
    expect(
      [...runsBetween(nightly, ms('2025-10-24T00:30Z'), ms('2025-10-26T01:30Z'))].map(brief),
    ).toEqual([
      '2025-10-24T00:30/2025-10-25T00:30',
      '2025-10-25T00:30/2025-10-26T01:30',
      '2025-10-26T01:30/2025-10-27T01:30',
    ]);
  });

  it('may lie before the start of the schedule and after its end', () => {
    const bounds = { startDateMs: ms('2025-06-01'), endDateMs: ms('2025-06-02') };
    expect([
      ...runsBetween({ ...nightly, ...bounds }, ms('2025-01-01'), ms('2025-01-03')),
    ]).toHaveLength(2);
  });

  it('has none in an empty or reversed range', () => {
    expect([...runsBetween(nightly, ms('2025-01-01T02:00Z'), ms('2025-01-01T03:00Z'))]).toEqual([]);
    expect([...runsBetween(nightly, ms('2025-02-01'), ms('2025-01-01'))]).toEqual([]);
  });

  it('can be left after a few of millions', () => {
    const everySecond: Timetable = { ...nightly, cron: '* * * * * *' };
    const runs = runsBetween(everySecond, ms('1990-01-01'), ms('2020-01-01'));
    expect(brief(runs.next().value!)).toBe('1990-01-01T00:00/1990-01-01T00:00');
    runs.return();
    expect(runs.next().done).toBe(true);
  });
});

describe('other intervals', () => {
  it('the previous one ends where the interval begins, back to the start date', () => {
    const bounded = { ...nightly, ...start };
    const second = previousInterval(bounded, {
      startMs: ms('2025-03-30T01:30Z'),
      endMs: ms('2025-03-31T00:30Z'),
    })!;
    expect(brief(second)).toBe('2025-03-29T01:30/2025-03-30T01:30');
    const first = previousInterval(bounded, second)!;
    expect(brief(first)).toBe('2025-03-28T01:30/2025-03-29T01:30');
    expect(previousInterval(bounded, first)).toBeUndefined();
  });

  it('a run by hand covers what the latest run of the schedule would', () => {
    const atMs = ms('2025-05-10T12:00Z');
    expect(brief(manualInterval(nightly, atMs))).toBe('2025-05-09T00:30/2025-05-10T00:30');
    expect(brief(manualInterval(nightly, ms('2025-05-10T00:30Z')))).toBe(
      '2025-05-09T00:30/2025-05-10T00:30',
    );
    expect(manualInterval(trigger, atMs)).toEqual({ startMs: atMs, endMs: atMs });
    expect(brief(manualInterval(hourly, atMs))).toBe('2025-05-10T11:00/2025-05-10T12:00');
  });

  it('times are shown in UTC', () => {
    expect(runTimes({ startMs: 0, endMs: 1000 })).toEqual({
      logicalDate: '1970-01-01T00:00:00.000Z',
      dataIntervalStart: '1970-01-01T00:00:00.000Z',
      dataIntervalEnd: '1970-01-01T00:00:01.000Z',
      runAt: '1970-01-01T00:00:01.000Z',
    });
  });
});

describe('refused', () => {
  it.each<[string, Timetable, RegExp]>([
    [
      'an interval of zero',
      { kind: 'delta', everyMs: 0 },
      /cannot repeat every 0 ms; give a duration/,
    ],
    ['a negative interval', { kind: 'delta', everyMs: -1 }, /cannot repeat every -1 ms/],
    ['half a millisecond', { kind: 'delta', everyMs: 0.5 }, /cannot repeat every 0.5 ms/],
    [
      'an end before the start',
      { ...hourly, startDateMs: 2, endDateMs: 1 },
      /ends before it starts/,
    ],
    ['catchup without a start', { ...nightly, catchup: true }, /no date to catch up from/],
    ['a cron that never fires', { ...nightly, cron: '0 0 30 2 *' }, /never fires/],
    ['an unknown zone', { ...nightly, timezone: 'Europe/Atlantis' }, /is not a time zone/],
  ])('is %s', (_, timetable, message) => {
    expect(() => checkTimetable(timetable)).toThrow(message);
    expect(() => checkTimetable(timetable)).toThrow(/^E_SPEC_INVALID/);
    expect(() => nextRuns(timetable, 0, 1)).toThrow(message);
  });

  it('is a delta of months, whose length varies', () => {
    expect(() => parseDurationMs('P1M')).toThrow(
      /^E_SPEC_INVALID: 'P1M' is not an ISO 8601 duration/,
    );
  });

  it('is not an end at the start', () => {
    expect(() => checkTimetable({ ...hourly, startDateMs: 1, endDateMs: 1 })).not.toThrow();
  });
});
